//! When a server may be asked again: what its operators allow, and what it asked for itself.

use std::time::Duration;

use tokenwatch_core::base::time::{Delta, Monotonic};
use tokenwatch_core::world::clocks::ExchangeError;

/// RFC 5905's MINPOLL of 16 s is the fastest that a server on the network is asked.
pub(super) const FASTEST: Duration = Duration::from_secs(16);
/// Volunteers' servers are asked as rarely as a settled daemon asks them: 2^10 s, the default
/// maxpoll of chrony and ntpd.
const POOL: Duration = Duration::from_secs(1_024);
/// RATE doubles the interval up to this (RFC 5905's MAXPOLL would be 36 h: no clock is told by
/// that).
const SLOWEST: Duration = Duration::from_secs(2_048);
/// DENY and RSTR mean "stop"; after this long its operators may have changed their minds.
const DENIED: Duration = Duration::from_hours(24);

/// RFC 5905 spaces the packets of a burst by this: the least between two questions to one server,
/// at start or after a step.
const BURST: Duration = Duration::from_secs(2);
/// A pool server that gave nothing usable is tried again after RFC 5905's MINPOLL of a client that
/// has just started.
const POOL_RETRY: Duration = Duration::from_secs(64);

/// What one address is owed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Courtesy {
    not_before: Monotonic,
    /// The least time between two questions.
    gap: Duration,
}

impl Courtesy {
    /// Towards a server on this machine (where tests and demos ask as often as they like), or of a
    /// public pool, or else.
    pub(super) fn new(is_local: bool, is_pool: bool) -> Self {
        let gap = match (is_local, is_pool) {
            (true, _) => Duration::ZERO,
            (_, true) => POOL,
            _ => BURST,
        };
        Self { not_before: Monotonic::default(), gap }
    }

    /// Whether it may be asked now.
    pub(super) fn allows(&self, now: Monotonic) -> bool {
        now >= self.not_before
    }

    /// Takes in how it answered; it is asked every `interval` in quiet times.
    pub(super) fn asked(
        &mut self,
        now: Monotonic,
        interval: Duration,
        error: Option<&ExchangeError>,
    ) {
        let kiss =
            if let Some(ExchangeError::KissOfDeath(code)) = error { code.as_str() } else { "" };
        if kiss == "RATE" {
            self.gap = (self.gap.max(interval) * 2).min(SLOWEST);
        }
        let pause = match kiss {
            "DENY" | "RSTR" => DENIED,
            _ if error.is_some() && kiss.is_empty() => self.gap.min(POOL_RETRY),
            _ => self.gap,
        };
        // Rounds are jittered by a tenth: a server whose time has come by then is not made to wait
        // for another round.
        self.not_before = now + Delta::from_std(pause).fraction(9, 10);
    }
}

//! When a server may be polled again: what its operators allow, and what it requested itself.

use std::time::Duration;

use tokenwatch_core::base::time::{Delta, Monotonic};
use tokenwatch_core::world::clocks::ExchangeError;

/// Shortest interval for a server on the network: 16 s, RFC 5905's MINPOLL.
pub(super) const MIN_INTERVAL: Duration = Duration::from_secs(16);
/// Interval for public servers, many of which volunteers run: 2^10 s, the default maxpoll of
/// chrony and ntpd.
const POOL_INTERVAL: Duration = Duration::from_secs(1_024);
/// Longest interval that RATE leads to. RFC 5905's MAXPOLL would be 36 h, too seldom to judge a
/// clock.
const MAX_INTERVAL: Duration = Duration::from_secs(2_048);
/// Pause after DENY or RSTR, which mean "stop". After this long the operators may have changed
/// their configuration.
const DENIED_PAUSE: Duration = Duration::from_hours(24);
/// Shortest time between two requests to one server, at start or after a step: the spacing of RFC
/// 5905's burst.
const BURST_SPACING: Duration = Duration::from_secs(2);
/// A pool server that gave no usable response is tried again after RFC 5905's MINPOLL of a client
/// that has just started.
const POOL_RETRY: Duration = Duration::from_secs(64);

/// The policy for one address.
#[derive(Clone, Copy, Debug)]
pub(super) struct PollPolicy {
    not_before: Monotonic,
    /// Shortest time between two requests.
    spacing: Duration,
}

/// What a response demands of the client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// Nothing: a usable response, or a kiss code that this client does not know.
    None,
    /// Nothing: there was no usable response.
    Retry,
    /// RATE: poll less often.
    SlowDown,
    /// DENY, RSTR: stop.
    Stop,
}

impl PollPolicy {
    /// For a server on this machine, where tests and demos poll as often as they like; of a public
    /// pool; or of any other kind.
    pub(super) fn new(is_local: bool, is_pool: bool) -> Self {
        let spacing = match (is_local, is_pool) {
            (true, _) => Duration::ZERO,
            (false, true) => POOL_INTERVAL,
            (false, false) => BURST_SPACING,
        };
        Self { not_before: Monotonic::default(), spacing }
    }

    /// Whether the server may be polled now.
    pub(super) fn allows(&self, now: Monotonic) -> bool {
        now >= self.not_before
    }

    /// Records a poll that ended at `now`, with its error if it failed. `interval` is the time
    /// between regular rounds.
    pub(super) fn record(
        &mut self,
        now: Monotonic,
        interval: Duration,
        error: Option<&ExchangeError>,
    ) {
        let demand = demand(error);
        if demand == Demand::SlowDown {
            self.spacing = (self.spacing.max(interval) * 2).min(MAX_INTERVAL);
        }
        // Rounds are jittered by a tenth: a server due by then does not wait for another round.
        self.not_before = now + Delta::from_std(self.pause(demand)).fraction(9, 10);
    }

    fn pause(&self, demand: Demand) -> Duration {
        match demand {
            Demand::Stop => DENIED_PAUSE,
            Demand::Retry => self.spacing.min(POOL_RETRY),
            Demand::SlowDown | Demand::None => self.spacing,
        }
    }
}

fn demand_of_kiss(code: &str) -> Demand {
    match code {
        "DENY" | "RSTR" => Demand::Stop,
        "RATE" => Demand::SlowDown,
        _ => Demand::None,
    }
}

fn demand(error: Option<&ExchangeError>) -> Demand {
    match error {
        None => Demand::None,
        Some(ExchangeError::KissOfDeath(code)) => demand_of_kiss(code),
        Some(
            ExchangeError::Timeout
            | ExchangeError::Network(_)
            | ExchangeError::Resolve(_)
            | ExchangeError::Unsynchronised
            | ExchangeError::RootDistanceExceeded(_)
            | ExchangeError::InvalidResponse(_)
            | ExchangeError::ClockStepped,
        ) => Demand::Retry,
    }
}

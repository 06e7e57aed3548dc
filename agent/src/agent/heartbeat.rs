//! When the engine last took a step. Kept apart from the engine's lock, so that an engine that
//! hangs within a step can be recognised.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clocks;
use crate::sinks::Pulse;

/// Times are those of the runtime's timer, which stands still while the machine sleeps.
#[derive(Debug)]
pub(super) struct Heartbeat {
    started: tokio::time::Instant,
    /// Milliseconds from `started` to the begin or end of the last step.
    last: AtomicU64,
    is_stepping: AtomicBool,
    /// Longest time between two steps of a healthy engine.
    longest_pause: Duration,
}

impl Heartbeat {
    pub(super) fn new(longest_pause: Duration) -> Self {
        Self {
            started: clocks::timer(),
            last: AtomicU64::new(0),
            is_stepping: AtomicBool::new(false),
            longest_pause,
        }
    }

    /// Records that a step begins, or has ended.
    pub(super) fn beat(&self, is_stepping: bool) {
        let now = u64::try_from((clocks::timer() - self.started).as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
        self.is_stepping.store(is_stepping, Ordering::Relaxed);
    }

    pub(super) fn pulse(&self) -> Pulse {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        Pulse {
            since: (clocks::timer() - self.started).saturating_sub(last),
            is_stepping: self.is_stepping.load(Ordering::Relaxed),
            longest_pause: self.longest_pause,
        }
    }
}

//! When the engine last took a step. Kept apart from the engine's lock, so that an engine that
//! hangs within a step can be recognised.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::sinks::Pulse;

/// What time is counted in: a sixth of the shortest limit that is compared with it.
const TICK: Duration = Duration::from_secs(10);

/// Time is counted in ticks of another task. So the time in which the whole process was stopped, or
/// the machine slept, is at most one tick: nothing could have made progress then.
#[derive(Debug)]
pub(super) struct Heartbeat {
    /// Ticks since the begin or end of the last step.
    ticks: AtomicU64,
    is_stepping: AtomicBool,
    /// Longest time between two steps of a healthy engine.
    longest_pause: Duration,
}

impl Heartbeat {
    pub(super) fn new(longest_pause: Duration) -> Self {
        Self { ticks: AtomicU64::new(0), is_stepping: AtomicBool::new(false), longest_pause }
    }

    /// Records that a step begins, or has ended.
    pub(super) fn beat(&self, is_stepping: bool) {
        self.is_stepping.store(is_stepping, Ordering::Relaxed);
        self.ticks.store(0, Ordering::Relaxed);
    }

    /// Counts, until it is dropped.
    pub(super) async fn count_time(self: Arc<Self>) {
        loop {
            tokio::time::sleep(TICK).await;
            self.tick();
        }
    }

    fn tick(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn pulse(&self) -> Pulse {
        let ticks = u32::try_from(self.ticks.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        Pulse {
            since: TICK.saturating_mul(ticks),
            is_stepping: self.is_stepping.load(Ordering::Relaxed),
            longest_pause: self.longest_pause,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_only_while_something_could_have_happened() {
        let heartbeat = Heartbeat::new(Duration::from_mins(5));
        heartbeat.beat(true);
        (0..6).for_each(|_| heartbeat.tick());
        let pulse = heartbeat.pulse();
        assert_eq!((pulse.since, pulse.is_stepping), (Duration::from_mins(1), true));
        heartbeat.beat(false);
        assert_eq!(heartbeat.pulse().since, Duration::ZERO);
        heartbeat.tick(); // the one during which the process was stopped for hours
        assert_eq!(heartbeat.pulse().since, TICK);
    }
}

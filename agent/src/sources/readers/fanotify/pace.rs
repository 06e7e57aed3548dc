//! When to read the queue of events.
//!
//! At once, as long as events are few: many readers live less than a millisecond, and what has
//! ended cannot be attributed. When they are many, only after a pause, in which the kernel merges
//! equal events: then reading them costs next to nothing, however often somebody opens a token.

use std::time::Duration;

use tokenwatch_core::base::time::{Delta, Monotonic};

/// Reads that may follow one another without a pause.
const BURST: u32 = 50;
/// After this time there may be one more of them. A reader brings two: it opens, and then it reads.
const REGAINED: Duration = Duration::from_millis(10);
/// The pause.
const PAUSE: Duration = Duration::from_millis(100);

/// Decides before each read.
#[derive(Debug)]
pub(super) struct Pace {
    left: u32,
    /// Up to when regained reads were counted.
    counted: Monotonic,
}

impl Pace {
    pub(super) fn new(now: Monotonic) -> Self {
        Self { left: BURST, counted: now }
    }

    /// How long to wait before the read that is due now.
    pub(super) fn pause(&mut self, now: Monotonic) -> Duration {
        self.regain(now);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Duration::ZERO
            }
            None => PAUSE,
        }
    }

    fn regain(&mut self, now: Monotonic) {
        let step = Delta::from_std(REGAINED);
        let regained = (now - self.counted).as_nanos() / step.as_nanos().max(1);
        let regained = u32::try_from(regained).unwrap_or(if regained < 0 { 0 } else { BURST });
        if regained > 0 {
            self.left = self.left.saturating_add(regained).min(BURST);
            self.counted = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Monotonic {
        Monotonic::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn few_events_are_read_at_once() {
        let mut pace = Pace::new(at(0));
        let pauses = (0..1_000).filter(|event| !pace.pause(at(event * 12)).is_zero()).count();
        assert_eq!(pauses, 0, "80 a second");
    }

    #[test]
    fn many_events_are_read_about_a_hundred_times_a_second() {
        let (mut pace, mut now, mut reads) = (Pace::new(at(0)), 0, 0);
        while now < 10_000 {
            now += i64::try_from(pace.pause(at(now)).as_millis()).unwrap();
            reads += 1;
        }
        assert!((1_000..1_200).contains(&reads), "{reads} reads in 10 s");
    }

    #[test]
    fn a_clock_that_stands_still_ends_in_pauses() {
        let mut pace = Pace::new(at(5));
        let pauses = (0..60).filter(|_| !pace.pause(at(0)).is_zero()).count();
        assert_eq!(pauses, 10);
    }
}

//! Whether a time daemon disciplines the clock, with hysteresis.

use super::types::KernelClock;
use crate::base::time::{Delta, Monotonic};

/// Whether the kernel reports a clock as disciplined, and since when. A daemon that starts, steps
/// the clock or polls seldom leaves it undisciplined for a while: a change counts only after it has
/// lasted for the hold, in both directions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Discipline {
    reported: bool,
    since: Monotonic,
    /// What counted before `since`.
    before: bool,
}

impl Discipline {
    /// After a report of the kernel, given the state before it.
    pub(crate) fn after(before: Option<Self>, kernel: &KernelClock, hold: Delta) -> Self {
        let taken = kernel.taken.monotonic;
        match before {
            Some(before) if before.reported == kernel.synchronised => before,
            Some(before) => Self {
                reported: kernel.synchronised,
                since: taken,
                before: before.holds(taken, hold),
            },
            // Of the time before the first report nothing is known, and nothing is wrong.
            None => Self { reported: kernel.synchronised, since: taken, before: true },
        }
    }

    /// Whether the clock counts as disciplined at `now`.
    pub(crate) fn holds(&self, now: Monotonic, hold: Delta) -> bool {
        if now - self.since >= hold { self.reported } else { self.before }
    }

    /// When the last change counts.
    pub(crate) fn settles(&self, hold: Delta) -> Monotonic {
        self.since + hold
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::clocks::testing::{at, kernel};

    const HOLD: Delta = Delta::from_secs(150);

    /// Whether it counts as disciplined at `now`, after these reports.
    fn after(reports: &[(i64, bool)], now: i64) -> bool {
        let mut state = None;
        for (secs, synchronised) in reports {
            state = Some(Discipline::after(state, &kernel(at(*secs), *synchronised), HOLD));
        }
        state.unwrap().holds(at(now).monotonic, HOLD)
    }

    #[test]
    fn a_change_counts_once_it_has_lasted() {
        assert!(after(&[(0, false)], 149), "the first report is no verdict yet");
        assert!(!after(&[(0, false)], 150));
        assert!(after(&[(0, true), (1_000, false), (1_064, false)], 1_149));
        assert!(!after(&[(0, true), (1_000, false), (1_064, false)], 1_150));
        let undisciplined = [(0, false), (1_000, true)];
        assert!(!after(&undisciplined, 1_149), "nor is one good report the end");
        assert!(after(&undisciplined, 1_150));
    }

    #[test]
    fn a_clock_that_flaps_changes_nothing() {
        let flaps = |start: bool| {
            let changes = (0..40).map(|n| (1_000 + 64 * n, start ^ (n % 2 == 0)));
            [(0, start)].into_iter().chain(changes).collect::<Vec<_>>()
        };
        for start in [true, false] {
            assert!((1_000..3_600).all(|now| {
                let reports: Vec<_> =
                    flaps(start).into_iter().filter(|(secs, _)| *secs <= now).collect();
                after(&reports, now) == start
            }));
        }
    }
}

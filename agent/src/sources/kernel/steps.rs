//! A step is a move of the wall clock against CLOCK_BOOTTIME. The kernel slews both alike, so a
//! slew is never taken for a step.

use tokenwatch_core::base::time::{Delta, Reading};
use tokenwatch_core::world::clocks::Step;

/// Smallest move that counts. The smallest step of a time daemon is 128 ms (ntpd's STEPT; those of
/// chrony and timesyncd are larger), and readings of the two clocks differ by less than this on a
/// machine that still works.
const THRESHOLD: Delta = Delta::from_millis(100);

/// Compares the wall clock with how it was set at start, or after the last step. Small moves add up
/// until they reach the threshold.
#[derive(Clone, Debug)]
pub(super) struct StepDetector {
    /// How far the wall clock was ahead of CLOCK_BOOTTIME.
    base: Delta,
}

impl StepDetector {
    pub(super) fn new(wall_minus_boottime: Delta) -> Self {
        Self { base: wall_minus_boottime }
    }

    /// Whether the clock was set since the last step that was detected.
    pub(super) fn is_stepped(&self, wall_minus_boottime: Delta) -> bool {
        (wall_minus_boottime - self.base).abs() >= THRESHOLD
    }

    /// The step since the last call, if there was one. Each step is returned once.
    pub(super) fn detect(&mut self, wall_minus_boottime: Delta, now: Reading) -> Option<Step> {
        let step = Step { size: wall_minus_boottime - self.base, after: now };
        self.is_stepped(wall_minus_boottime).then(|| {
            self.base = wall_minus_boottime;
            step
        })
    }
}

//! A step is a move of the wall clock against CLOCK_BOOTTIME. Slewing moves both alike, so that it
//! is never taken for one.

use tokenwatch_core::base::time::{Delta, Reading};
use tokenwatch_core::world::clocks::Step;

/// The smallest step a time daemon makes is 128 ms (ntpd's STEPT; chrony and timesyncd wait for
/// more). Two readings of the two clocks can only be torn apart by less than this on a machine that
/// still works.
const THRESHOLD: Delta = Delta::from_millis(100);

/// Compares how the wall clock is set with how it was at first, or after the last step: small moves
/// add up and are told once they matter.
#[derive(Clone, Debug)]
pub(super) struct StepDetector {
    base: Delta,
}

impl StepDetector {
    /// The wall clock was set to be `base` ahead of CLOCK_BOOTTIME.
    pub(super) fn new(base: Delta) -> Self {
        Self { base }
    }

    /// Whether the clock was set since.
    pub(super) fn sees(&self, set_to: Delta) -> bool {
        (set_to - self.base).abs() >= THRESHOLD
    }

    /// The step since the last look, if there was one; it is told once.
    pub(super) fn look(&mut self, set_to: Delta, now: Reading) -> Option<Step> {
        let step = Step { size: set_to - self.base, after: now };
        self.sees(set_to).then(|| {
            self.base = set_to;
            step
        })
    }
}

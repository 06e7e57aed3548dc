//! A step is a move of the wall clock against the boot clock. Slewing moves both alike, so that it is never taken for one.

use tokenwatch_core::clock::Step;
use tokenwatch_core::time::{Delta, Reading};

/// The smallest step a time daemon makes is 128 ms (ntpd's STEPT; chrony and timesyncd wait for more). Two readings of the two clocks can only be torn
/// apart by less than this on a machine that still works.
const THRESHOLD: Delta = Delta::from_millis(100);

/// Compares each reading with the first, or with the one after the last step: small moves add up and are told once they matter.
#[derive(Clone, Debug)]
pub(super) struct StepDetector {
    base: Reading,
}

impl StepDetector {
    pub(super) fn new(base: Reading) -> Self {
        Self { base }
    }

    fn moved(&self, now: Reading) -> Delta {
        now.wall - self.base.wall_at(now.boot)
    }

    /// Whether the clock was set since.
    pub(super) fn sees(&self, now: Reading) -> bool {
        self.moved(now).abs() >= THRESHOLD
    }

    /// The step since the last look, if there was one; it is told once.
    pub(super) fn look(&mut self, now: Reading) -> Option<Step> {
        let step = Step { size: self.moved(now), after: now };
        self.sees(now).then(|| {
            self.base = now;
            step
        })
    }
}

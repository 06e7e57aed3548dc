//! How often the same thing is reported.

use tokenwatch_core::base::time::{Delta, Monotonic};

/// Shortest time between two reports, …
const SHORTEST: Delta = Delta::from_secs(1);
/// … and the longest that a busy file makes of it.
const LONGEST: Delta = Delta::from_secs(5);
/// With more than this between two reports, a file is busy.
const BUSY: u32 = 20;

/// When something was last reported, and how much was left out since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spacing {
    last: Option<Monotonic>,
    wait: Delta,
    left_out: u32,
}

impl Spacing {
    /// Whether to report it now. The first time always.
    pub(super) fn admits(&mut self, now: Monotonic) -> bool {
        if self.last.is_some_and(|last| now - last < self.wait.max(SHORTEST)) {
            self.left_out = self.left_out.saturating_add(1);
            return false;
        }
        self.wait =
            if self.left_out > BUSY { (self.wait + SHORTEST).min(LONGEST) } else { SHORTEST };
        (self.last, self.left_out) = (Some(now), 0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `count` opens, `apart` milliseconds from each other, are reported.
    fn admitted(count: i64, apart: i64) -> usize {
        let mut spacing = Spacing::default();
        let times = (0..count).map(|nth| Monotonic::from_nanos(nth * apart * 1_000_000));
        times.filter(|now| spacing.admits(*now)).count()
    }

    #[test]
    fn rare_opens_are_all_reported_and_busy_ones_every_five_seconds() {
        assert_eq!(admitted(100, 1_000), 100);
        assert_eq!(admitted(100, 500), 50);
        assert_eq!(admitted(100_000, 1), 22, "in 100 s");
    }
}

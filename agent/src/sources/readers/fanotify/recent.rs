//! What was reported lately, so that a reader that opens a token thousands of times a second is
//! looked at and reported once a second.

use std::collections::BTreeMap;

use tokenwatch_core::base::time::{Delta, Monotonic};

/// Time in which the same is not reported again: less than a verdict distinguishes.
const APART: Delta = Delta::from_secs(1);
/// Openers that are kept. With more of them, some are reported more often.
const MAX: usize = 2_048;

/// Who opened what, lately.
#[derive(Debug, Default)]
pub(super) struct Recent(BTreeMap<Vec<u8>, Monotonic>);

impl Recent {
    /// Whether this process was reported for this entry of this directory within a second. If not,
    /// it counts as reported now.
    pub(super) fn has(&mut self, now: Monotonic, pid: u32, directory: &[u8], name: &[u8]) -> bool {
        let key = [&pid.to_ne_bytes()[..], directory, name].concat();
        let is_recent = |then: &Monotonic| now - *then < APART;
        if self.0.get(&key).is_some_and(is_recent) {
            return true;
        }
        if self.0.len() >= MAX {
            self.0.retain(|_, then| is_recent(then));
        }
        if self.0.len() >= MAX {
            self.0.clear();
        }
        self.0.insert(key, now);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Monotonic {
        Monotonic::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn the_same_is_reported_once_a_second() {
        let mut recent = Recent::default();
        let reported = |now: i64, recent: &mut Recent| !recent.has(at(now), 1, b"d", b"token");
        let times: Vec<i64> =
            (0..30).map(|tenth| tenth * 100).filter(|now| reported(*now, &mut recent)).collect();
        assert_eq!(times, [0, 1_000, 2_000]);
        assert!(!recent.has(at(2_100), 2, b"d", b"token"), "another process");
        assert!(!recent.has(at(2_100), 1, b"e", b"token"), "another generation");
        assert!(!recent.has(at(2_100), 1, b"d", b"ca.crt"), "another file");
    }

    #[test]
    fn memory_is_bounded() {
        let mut recent = Recent::default();
        for pid in 0..10 * u32::try_from(MAX).unwrap() {
            recent.has(at(0), pid, b"d", b"token");
        }
        assert!(recent.0.len() <= MAX);
    }
}

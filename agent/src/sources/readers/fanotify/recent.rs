//! What was reported lately, so that a reader that opens a token thousands of times a second is
//! looked at and reported once a second.

use std::hash::{BuildHasher as _, RandomState};

use tokenwatch_core::base::time::{Delta, Monotonic};

/// Time in which the same is not reported again: less than a verdict distinguishes.
const APART: Delta = Delta::from_secs(1);
/// Openers that are kept, 24 bytes each. Two that share a place are reported more often.
const PLACES: usize = 1_024;

/// Who opened what, lately: of each a hash, at the place that the hash names.
#[derive(Debug)]
pub(super) struct Recent {
    hasher: RandomState,
    places: Box<[Option<(u64, Monotonic)>]>,
}

impl Default for Recent {
    fn default() -> Self {
        Self { hasher: RandomState::new(), places: vec![None; PLACES].into_boxed_slice() }
    }
}

impl Recent {
    /// Whether this process was reported for this entry of this directory within a second. If not,
    /// it counts as reported now.
    pub(super) fn has(&mut self, now: Monotonic, pid: u32, directory: &[u8], name: &[u8]) -> bool {
        let hash = self.hasher.hash_one((pid, directory, name));
        let place = &mut self.places[place(hash)];
        if place.is_some_and(|(known, then)| known == hash && now - then < APART) {
            return true;
        }
        *place = Some((hash, now));
        false
    }
}

fn place(hash: u64) -> usize {
    usize::try_from(hash % PLACES as u64).unwrap_or_default() // less than PLACES
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
        assert!(!recent.has(at(2_100), 1, b"dt", b"oken"), "another directory with another file");
    }

    #[test]
    fn those_that_share_a_place_are_all_reported() {
        let mut recent = Recent::default();
        for pid in 0..10 * u32::try_from(PLACES).unwrap() {
            assert!(!recent.has(at(0), pid, b"d", b"token"), "{pid}");
        }
        assert_eq!(recent.places.len(), PLACES);
    }
}

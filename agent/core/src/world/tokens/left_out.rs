//! The token files that the agent does not follow, because their pods have more than their share.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::TokenKey;

/// Most files that are counted: 16 volumes of the most files that the agent lists in one. Each
/// takes some 12 bytes here.
const MOST: usize = 16 * 1_024;

/// The files that are left out of one pod.
#[derive(Clone, Debug, Default)]
struct OfPod {
    /// Hashes of volume and path: 8 bytes for each, however long the path is.
    files: BTreeSet<u64>,
}

/// The files that are left out, by the UID of their pod.
#[derive(Clone, Debug, Default)]
pub struct LeftOut {
    pods: BTreeMap<String, OfPod>,
    count: usize,
    /// Files that were not counted, because there are more than [`MOST`].
    is_more: bool,
}

impl LeftOut {
    /// Notes this file. Returns whether that is new.
    pub(super) fn insert(&mut self, key: &TokenKey) -> bool {
        if self.contains(key) {
            return false;
        }
        if self.count >= MOST {
            return !std::mem::replace(&mut self.is_more, true);
        }
        let of_pod = self.pods.entry(key.pod_uid.clone()).or_default();
        self.count += usize::from(of_pod.files.insert(hash(key)));
        true
    }

    /// The file is followed now, or gone. Returns whether it was left out.
    pub(super) fn remove(&mut self, key: &TokenKey) -> bool {
        let Some(of_pod) = self.pods.get_mut(&key.pod_uid) else { return false };
        let was_there = of_pod.files.remove(&hash(key));
        self.count -= usize::from(was_there);
        if of_pod.files.is_empty() {
            self.pods.remove(&key.pod_uid);
        }
        // Nobody knows which files were not counted: what is left is all that is known.
        self.is_more &= self.count > 0;
        was_there
    }

    /// Whether this file is left out, and counted.
    pub(super) fn contains(&self, key: &TokenKey) -> bool {
        self.pods.get(&key.pod_uid).is_some_and(|of_pod| of_pod.files.contains(&hash(key)))
    }

    /// How many pods there are, and whether there are files that were not counted.
    pub(super) fn outline(&self) -> (usize, bool) {
        (self.pods.len(), self.is_more)
    }

    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The pods by UID, with the number of the files of each.
    pub fn pods(&self) -> impl Iterator<Item = (&str, usize)> {
        self.pods.iter().map(|(uid, of_pod)| (uid.as_str(), of_pod.files.len()))
    }

    /// How many files are left out: at least as many where there are more than can be counted.
    pub fn count(&self) -> (usize, bool) {
        (self.count, self.is_more)
    }
}

/// The same within a process.
fn hash(key: &TokenKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&key.volume, &key.path).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(pod: &str, nth: usize) -> TokenKey {
        TokenKey { pod_uid: pod.into(), volume: "v".into(), path: format!("t{nth}") }
    }

    #[test]
    fn each_file_is_counted_once_until_it_is_gone() {
        let mut left_out = LeftOut::default();
        assert!(left_out.insert(&key("a", 1)) && !left_out.insert(&key("a", 1)));
        assert!(left_out.insert(&key("a", 2)) && left_out.insert(&key("b", 1)));
        let counts: Vec<_> = left_out.pods().collect();
        assert_eq!((counts.as_slice(), left_out.count()), (&[("a", 2), ("b", 1)][..], (3, false)));
        assert!(left_out.remove(&key("a", 1)) && !left_out.remove(&key("a", 1)));
        assert!(left_out.remove(&key("b", 1)) && !left_out.contains(&key("b", 1)));
        assert_eq!((left_out.count(), left_out.is_empty()), ((1, false), false));
        assert!(left_out.remove(&key("a", 2)) && left_out.is_empty());
    }

    #[test]
    fn a_count_that_ended_is_no_count() {
        let mut left_out = LeftOut::default();
        (0..MOST).for_each(|nth| assert!(left_out.insert(&key("a", nth))));
        assert_eq!(left_out.count(), (MOST, false));
        assert!(left_out.insert(&key("a", MOST)), "it makes a difference that there are more");
        assert!(!left_out.insert(&key("a", MOST + 1)));
        assert_eq!(left_out.count(), (MOST, true));
        (0..MOST).for_each(|nth| assert!(left_out.remove(&key("a", nth))));
        assert_eq!(left_out.count(), (0, false));
    }
}

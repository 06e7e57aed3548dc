//! A map of bounded size, of which each pod has a fair share: what is kept of its tokens or
//! volumes. When the room is used up, the pod that takes most loses of its own, and the others
//! nothing.

use std::collections::{BTreeMap, btree_map};

use crate::base::shares::{Shares, Tenant};
use crate::world::tokens::TokenKey;

/// What an entry takes of the room at least, in bytes: usual names, the value, and a part of a node
/// of the tree.
const LEAST: usize = 512;

/// The name of something of a pod. Those of one pod are adjacent.
pub(crate) trait OfPod: Ord + Clone {
    /// UID of the pod.
    fn pod_uid(&self) -> &str;
    /// Bytes of its texts.
    fn bytes(&self) -> usize;
    /// The first name that something of this pod can have.
    fn first_of(pod_uid: &str) -> Self;
}

impl OfPod for TokenKey {
    fn pod_uid(&self) -> &str {
        &self.pod_uid
    }

    fn bytes(&self) -> usize {
        self.pod_uid.len() + self.volume.len() + self.path.len()
    }

    fn first_of(pod_uid: &str) -> Self {
        Self { pod_uid: pod_uid.to_owned(), volume: String::new(), path: String::new() }
    }
}

/// The map.
#[derive(Clone, Debug)]
pub(crate) struct Fair<K, V> {
    all: BTreeMap<K, V>,
    /// What each pod takes of the room, in bytes.
    shares: Shares,
}

impl<K: OfPod, V> Fair<K, V> {
    /// With room for so many usual entries, and for fewer with long names.
    pub(crate) fn of(entries: usize) -> Self {
        Self { all: BTreeMap::new(), shares: Shares::of(entries * LEAST) }
    }

    /// Keeps the value, in the place of an earlier one. Returns the entries that have to make room,
    /// which are kept no more: the new one, if its own pod takes most.
    #[must_use]
    pub(crate) fn insert(&mut self, namespace: Option<String>, key: &K, value: V) -> Vec<K> {
        if self.all.insert(key.clone(), value).is_none() {
            let tenant = Tenant { namespace, pod: Some(key.pod_uid().to_owned()) };
            self.shares.add(&tenant, cost(key));
        }
        self.make_room(key)
    }

    fn make_room(&mut self, new: &K) -> Vec<K> {
        let mut lost = Vec::new();
        while self.shares.is_full()
            && let Some(loser) = self.shares.loser().cloned().flatten()
            && let Some(key) = self.last_of(&loser, new)
        {
            self.remove(&key);
            lost.push(key);
        }
        lost
    }

    /// The last entry of the pod; the new one before all others.
    fn last_of(&self, pod_uid: &str, new: &K) -> Option<K> {
        if new.pod_uid() == pod_uid && self.all.contains_key(new) {
            return Some(new.clone());
        }
        let from = self.all.range(K::first_of(pod_uid)..).map(|(key, _)| key);
        from.take_while(|key| key.pod_uid() == pod_uid).last().cloned()
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let value = self.all.remove(key)?;
        self.shares.take(&Some(key.pod_uid().to_owned()), cost(key));
        Some(value)
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.all.contains_key(key)
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.all.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.all.get_mut(key)
    }

    pub(crate) fn keys(&self) -> btree_map::Keys<'_, K, V> {
        self.all.keys()
    }

    pub(crate) fn values(&self) -> btree_map::Values<'_, K, V> {
        self.all.values()
    }

    pub(crate) fn values_mut(&mut self) -> btree_map::ValuesMut<'_, K, V> {
        self.all.values_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn iter_mut(&mut self) -> btree_map::IterMut<'_, K, V> {
        self.all.iter_mut()
    }

    pub(crate) fn iter(&self) -> btree_map::Iter<'_, K, V> {
        self.all.iter()
    }
}

fn cost<K: OfPod>(key: &K) -> usize {
    // The name is in the map, and in the value or in what refers to it.
    LEAST.max(2 * key.bytes() + LEAST / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(pod: &str, path: impl Into<String>) -> TokenKey {
        TokenKey { pod_uid: pod.into(), volume: "v".into(), path: path.into() }
    }

    fn count(fair: &Fair<TokenKey, usize>, pod: &str) -> usize {
        fair.keys().filter(|key| key.pod_uid == pod).count()
    }

    #[test]
    fn a_pod_without_measure_loses_of_its_own_whenever_it_came() {
        for is_first in [true, false] {
            let mut fair = Fair::of(100);
            let mut add = |pod: &str, paths: usize| {
                let lost = (0..paths)
                    .flat_map(|nth| fair.insert(None, &key(pod, format!("{nth:04}")), nth));
                lost.filter(|key| key.pod_uid != "hog").count()
            };
            let hog = |add: &mut dyn FnMut(&str, usize) -> usize| add("hog", 1_000);
            let mut lost = if is_first { hog(&mut add) } else { 0 };
            lost += (0..10).map(|pod| add(&format!("p{pod}"), 4)).sum::<usize>();
            lost += if is_first { 0 } else { hog(&mut add) };
            assert_eq!((lost, count(&fair, "hog"), fair.iter().count()), (0, 60, 100));
            assert!(fair.contains(&key("hog", "0000")), "the last ones are lost");
        }
    }

    #[test]
    fn a_pod_with_long_names_keeps_fewer() {
        let mut fair = Fair::of(100);
        let long = |nth: usize| key("hog", format!("{nth:04}{}", "d/".repeat(1_000)));
        for nth in 0..100 {
            let _ = fair.insert(None, &long(nth), nth);
        }
        assert_eq!(count(&fair, "hog"), 100 * LEAST / cost(&long(0)));
        assert_eq!(fair.insert(None, &key("p", "token"), 1), [], "there is room");
    }

    #[test]
    fn what_is_kept_can_be_changed_and_given_back() {
        let mut fair = Fair::of(2);
        assert_eq!(fair.insert(None, &key("a", "1"), 1), []);
        assert_eq!(fair.insert(None, &key("a", "1"), 2), []);
        assert_eq!((fair.get(&key("a", "1")), fair.iter().count()), (Some(&2), 1));
        fair.get_mut(&key("a", "1")).into_iter().for_each(|value| *value = 3);
        assert_eq!(fair.insert(None, &key("a", "2"), 4), []);
        assert_eq!(fair.insert(None, &key("a", "3"), 5), [key("a", "3")], "the new one");
        assert_eq!(fair.remove(&key("a", "1")), Some(3));
        assert_eq!(fair.remove(&key("a", "1")), None);
        assert_eq!(fair.insert(None, &key("a", "3"), 5), []);
        assert_eq!(fair.values().copied().collect::<Vec<_>>(), [4, 5]);
    }

    proptest! {
        /// Whatever comes in whatever order, the room is enough, and a pod with no more than an
        /// equal part of it keeps all.
        #[test]
        fn a_pod_with_little_loses_nothing(
            steps in proptest::collection::vec((0_u8..8, 0_u8..30, any::<bool>()), 0..300),
        ) {
            let (mut fair, mut wanted) = (Fair::of(40), BTreeMap::<u8, Vec<u8>>::new());
            for (pod, path, is_there) in steps {
                let key = key(&pod.to_string(), format!("{path:02}"));
                let of_pod = wanted.entry(pod).or_default();
                of_pod.retain(|known| *known != path);
                if is_there {
                    of_pod.push(path);
                    let lost = fair.insert(None, &key, 0);
                    for key in lost {
                        // It is as if it was not wanted from then on.
                        let of = key.pod_uid.parse::<u8>().unwrap_or_default();
                        let of_pod = wanted.entry(of).or_default();
                        prop_assert!(of_pod.len() > 40 / 8, "{key:?}");
                        of_pod.retain(|known| key.path != format!("{known:02}"));
                    }
                } else {
                    fair.remove(&key);
                }
                prop_assert!(fair.iter().count() <= 40);
                let kept: usize = wanted.values().map(Vec::len).sum();
                prop_assert_eq!(fair.iter().count(), kept);
            }
        }
    }
}

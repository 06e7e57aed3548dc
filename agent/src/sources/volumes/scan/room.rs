//! How many files the agent follows: what it keeps of each takes some 0.5 kB, in this source and in
//! that of readers, and a pod can have any number.
//!
//! Every pod has room for some files, whatever the others have. What a pod has beyond that takes
//! from a room that all share, up to a level that is the same for all: whoever has more than that
//! loses of its own, also where it came first. So it is among the volumes of one pod.

use std::collections::BTreeMap;

use crate::sources::volumes::layout::PodId;

/// Files of each pod: four volumes with 16 files each. One of kubelet has three.
const OF_EACH_POD: usize = 64;
/// Files of all pods beyond that. They take some 6 MB.
const BEYOND: usize = 12_288;
/// The part of these that one pod may have at most, so that none has all: a third.
const OF_POD: usize = 3;

/// The room that all pods share.
#[derive(Debug)]
pub(super) struct Room {
    of_each_pod: usize,
    beyond: usize,
    /// How many files beyond those of each pod there are, by pod.
    wanted: BTreeMap<PodId, usize>,
    /// How many of these one pod may have.
    level: usize,
    /// The level fell: others may have more than that.
    has_fallen: bool,
}

impl Default for Room {
    fn default() -> Self {
        Self::of(OF_EACH_POD, BEYOND)
    }
}

impl Room {
    /// With so many files of each pod, and of all beyond that.
    pub(super) fn of(of_each_pod: usize, beyond: usize) -> Self {
        let (wanted, level) = (BTreeMap::new(), beyond / OF_POD);
        Self { of_each_pod, beyond, wanted, level, has_fallen: false }
    }

    /// The pod has so many files.
    pub(super) fn wants(&mut self, pod: &PodId, files: usize) {
        let beyond = files.saturating_sub(self.of_each_pod);
        let is_same = match self.wanted.get_mut(pod) {
            Some(wanted) if beyond > 0 => std::mem::replace(wanted, beyond) == beyond,
            Some(_) => self.wanted.remove(pod).is_none(),
            None => beyond == 0 || self.wanted.insert(pod.clone(), beyond).is_some(),
        };
        if !is_same {
            let wanted = self.wanted.values().copied().collect();
            let level = level(self.beyond, wanted, self.beyond / OF_POD);
            let before = std::mem::replace(&mut self.level, level);
            self.has_fallen |= self.level < before;
        }
    }

    /// The most files of one pod that are followed.
    pub(super) fn of_pod(&self) -> usize {
        self.of_each_pod + self.level
    }

    /// Whether the level fell since the last call.
    pub(super) fn has_fallen(&mut self) -> bool {
        std::mem::take(&mut self.has_fallen)
    }
}

/// The most files of each volume that are followed, where a pod with volumes of so many files may
/// have `most`. At least one: a volume of which nothing is followed would look empty.
pub(super) fn of_volume(most: usize, volumes: Vec<usize>) -> usize {
    level(most, volumes, most).max(1)
}

/// The highest level up to `most` at which all of these together take no more than the room, if
/// each takes what it wants up to the level.
fn level(room: usize, mut wanted: Vec<usize>, most: usize) -> usize {
    wanted.sort_unstable();
    let (mut free, count) = (room, wanted.len());
    for (nth, wanted) in wanted.into_iter().enumerate() {
        let each = free / (count - nth);
        if wanted > each {
            return each.min(most);
        }
        free -= wanted;
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BEYOND_OF_POD: usize = BEYOND / OF_POD;

    fn pod(nth: usize) -> PodId {
        PodId { root: 0, name: format!("p{nth}").into() }
    }

    /// What each pod gets that has so many files, once all are known.
    fn followed(wanted: &[usize]) -> Vec<usize> {
        let mut room = Room::default();
        wanted.iter().enumerate().for_each(|(nth, files)| room.wants(&pod(nth), *files));
        wanted.iter().map(|files| room.of_pod().min(*files)).collect()
    }

    #[test]
    fn whoever_has_too_much_loses_of_its_own() {
        let (few, third) = (OF_EACH_POD, OF_EACH_POD + BEYOND_OF_POD);
        let fifth = OF_EACH_POD + (BEYOND - 36) / 5;
        let table = [
            ("few", vec![few, 3, 1_000], vec![few, 3, 1_000]),
            ("one with too many", vec![10_000, few], vec![third, few]),
            (
                "many with too many, before one with some",
                [vec![5_000; 5], vec![few, 100]].concat(),
                [vec![fifth; 5], vec![few, 100]].concat(),
            ),
            (
                "and after it",
                [vec![few, 100], vec![5_000; 5]].concat(),
                [vec![few, 100], vec![fifth; 5]].concat(),
            ),
        ];
        for (what, wanted, expected) in table {
            assert_eq!(followed(&wanted), expected, "{what}");
        }
    }

    #[test]
    fn what_a_pod_gave_back_is_free() {
        let mut room = Room::default();
        (0..3).for_each(|nth| room.wants(&pod(nth), 9_000));
        assert_eq!((room.of_pod(), room.has_fallen()), (OF_EACH_POD + BEYOND_OF_POD, false));
        room.wants(&pod(3), 9_000);
        assert_eq!((room.of_pod(), room.has_fallen()), (OF_EACH_POD + BEYOND / 4, true));
        assert!(!room.has_fallen(), "it was taken");
        room.wants(&pod(3), OF_EACH_POD);
        assert_eq!((room.of_pod(), room.has_fallen()), (OF_EACH_POD + BEYOND_OF_POD, false));
        (0..3).for_each(|nth| room.wants(&pod(nth), 0));
        assert!(room.wanted.is_empty());
    }

    #[test]
    fn a_small_volume_of_a_pod_keeps_its_files_beside_a_large_one() {
        let table = [
            (100, vec![3, 40], 100),
            (100, vec![3, 400], 97),
            (100, vec![400, 400, 3], 48),
            (10, vec![9; 20], 1), // at least one
        ];
        for (most, volumes, expected) in table {
            assert_eq!(of_volume(most, volumes.clone()), expected, "{most} {volumes:?}");
        }
    }

    proptest! {
        #[test]
        fn the_room_is_used_and_no_more_and_nobody_with_less_loses(
            wanted in proptest::collection::vec(0_usize..6_000, 0..40),
        ) {
            let found = followed(&wanted);
            let beyond = |files: &usize| files.saturating_sub(OF_EACH_POD);
            let used: usize = found.iter().map(beyond).sum();
            prop_assert!(used <= BEYOND, "{used}");
            let most = found.iter().copied().max().unwrap_or_default();
            for (wanted, found) in wanted.iter().zip(&found) {
                prop_assert!(found == wanted || *found == most, "{wanted} {found}");
            }
            // Where somebody loses, what is free is less than one file for each.
            let is_short = wanted != found && most < OF_EACH_POD + BEYOND_OF_POD;
            prop_assert!(!is_short || used + wanted.len() > BEYOND, "{used}");
        }
    }
}

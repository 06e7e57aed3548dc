//! How many files the agent follows: what it keeps of each takes some 0.5 kB, in this source and in
//! that of readers, and a pod can have any number.
//!
//! Every pod has room for some files, whatever the others have. What a pod has beyond that comes
//! from a room that all share.

/// Files of each pod: four volumes with 16 files each. One of kubelet has three.
const OF_EACH_POD: usize = 64;
/// Files of all pods beyond that. They take some 6 MB.
const BEYOND: usize = 12_288;
/// The most of these for one pod, so that none has all.
const BEYOND_OF_POD: usize = BEYOND / 3;

/// The room that all pods share.
#[derive(Debug, Default)]
pub(super) struct Room {
    used: usize,
}

impl Room {
    /// How many files the agent may follow of a volume, given those of the pod and those of its
    /// other volumes. At least one: a volume of which nothing is followed would look empty.
    pub(super) fn of_volume(&self, of_pod: usize, of_others: usize) -> usize {
        let free = BEYOND.saturating_sub(self.used.saturating_sub(beyond(of_pod)));
        (OF_EACH_POD + free.min(BEYOND_OF_POD)).saturating_sub(of_others).max(1)
    }

    /// The agent follows so many files of a pod instead of so many before.
    pub(super) fn changed(&mut self, before: usize, after: usize) {
        self.used = (self.used + beyond(after)).saturating_sub(beyond(before));
    }
}

/// What a pod uses of the shared room.
fn beyond(files: usize) -> usize {
    files.saturating_sub(OF_EACH_POD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What each pod gets, whose only volume has so many files; scanned in this order.
    fn followed(wanted: &[usize]) -> Vec<usize> {
        let (mut room, mut found) = (Room::default(), vec![0; wanted.len()]);
        for _ in 0..2 {
            for (pod, wanted) in wanted.iter().enumerate() {
                let after = room.of_volume(found[pod], 0).min(*wanted);
                room.changed(found[pod], after);
                found[pod] = after;
            }
        }
        found
    }

    #[test]
    fn a_pod_with_few_files_keeps_them() {
        let few = OF_EACH_POD;
        let table = [
            ("few", vec![few, 3, 1_000], vec![few, 3, 1_000]),
            ("one with too many", vec![10_000, few], vec![few + BEYOND_OF_POD, few]),
            (
                "many with too many",
                [vec![5_000; 4], vec![few, 100]].concat(),
                [vec![few + BEYOND_OF_POD; 3], vec![few, few, few]].concat(),
            ),
        ];
        for (what, wanted, expected) in table {
            assert_eq!(followed(&wanted), expected, "{what}");
        }
    }

    #[test]
    fn what_a_pod_gave_back_is_free() {
        let mut room = Room::default();
        for _ in 0..3 {
            room.changed(0, OF_EACH_POD + BEYOND_OF_POD);
        }
        assert_eq!(room.of_volume(0, 0), OF_EACH_POD);
        assert_eq!(room.of_volume(0, OF_EACH_POD), 1, "a volume is never empty for this");
        room.changed(OF_EACH_POD + BEYOND_OF_POD, 0);
        assert_eq!(room.of_volume(0, 0), OF_EACH_POD + BEYOND_OF_POD);
        assert_eq!(room.of_volume(0, OF_EACH_POD), BEYOND_OF_POD);
    }

    proptest! {
        #[test]
        fn no_pods_make_the_agent_follow_more(
            wanted in proptest::collection::vec(0_usize..6_000, 0..40),
        ) {
            let found = followed(&wanted);
            let beyond: usize = found.iter().map(|files| beyond(*files)).sum();
            prop_assert!(beyond <= BEYOND, "{beyond}");
            for (wanted, found) in wanted.iter().zip(&found) {
                prop_assert!(found >= wanted.min(&OF_EACH_POD), "{wanted} {found}");
            }
        }
    }
}

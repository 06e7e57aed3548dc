//! The pods that have more than their share of what the agent follows: of the tokens that it
//! tracks, and of the directories that it watches for readers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::World;
use super::cluster::PodRef;

/// The volumes that a source does not watch, because their pods want more than their
/// share of what it watches. A watch that failed for another reason is not among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwatched {
    /// What is not known of them.
    pub unknown: Unknown,
    /// Their pods.
    pub pods: Vec<UnwatchedPod>,
}

/// A pod of which volumes are not watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnwatchedPod {
    /// UID of the pod.
    pub pod_uid: String,
    /// How many of its volumes are not watched.
    pub volumes: usize,
}

/// What is not known of a volume that a source does not watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// At once whether its tokens changed: that shows only at the next rescan of everything.
    Changes,
    /// Whether somebody opens its tokens, and when kubelet syncs it.
    Opens,
    /// Which process opens them.
    Processes,
    /// How every container has it mounted: whether that shows the current tokens.
    Mounts,
}

/// The tokens that the agent does not track, and the volumes of which it does not know the readers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crowded {
    /// The pods of these tokens, with the number of each, the most first.
    pub pods: Vec<(PodRef, usize)>,
    /// How many tokens there are.
    pub count: usize,
    /// Whether there are more than could be counted.
    pub is_more: bool,
    /// The pods with volumes of which only some files are followed, with the number of these, the
    /// most first.
    pub partly: Vec<(PodRef, usize)>,
    /// The pods of these volumes, with the number of each, the most first, by what is not known.
    pub unwatched: BTreeMap<Unknown, Vec<(PodRef, usize)>>,
}

impl World {
    /// The tokens that the agent does not track, and the volumes that it does not watch.
    pub fn crowded(&self) -> Crowded {
        let left_out = self.tokens.left_out();
        let (count, is_more) = left_out.count();
        let pods = self.by_count(left_out.pods());
        let volumes = |pods: &[UnwatchedPod]| {
            self.by_count(pods.iter().map(|pod| (pod.pod_uid.as_str(), pod.volumes)))
        };
        let unwatched = self.visibility.unwatched();
        let unwatched = unwatched.map(|(unknown, pods)| (unknown, volumes(pods))).collect();
        let mut partly: BTreeMap<&str, usize> = BTreeMap::new();
        for spot in self.visibility.blind().iter().filter(|spot| spot.is_partly) {
            *partly.entry(&spot.pod_uid).or_default() += 1;
        }
        let partly = self.by_count(partly.into_iter());
        Crowded { pods, count, is_more, partly, unwatched }
    }

    fn by_count<'a>(&self, pods: impl Iterator<Item = (&'a str, usize)>) -> Vec<(PodRef, usize)> {
        let pod =
            |uid: &str| self.cluster.pod(uid).map_or_else(|| PodRef::by_uid(uid), PodRef::known);
        let mut pods: Vec<_> = pods.map(|(uid, count)| (pod(uid), count)).collect();
        pods.sort_by(|(a, more), (b, fewer)| fewer.cmp(more).then_with(|| a.uid.cmp(&b.uid)));
        pods
    }
}

//! The pods that have more tokens than their share of what the agent tracks.

use super::World;
use super::cluster::PodRef;

/// The tokens that the agent does not track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crowded {
    /// Their pods, with the number of each, the most first.
    pub pods: Vec<(PodRef, usize)>,
    /// How many there are.
    pub count: usize,
    /// Whether there are more than could be counted.
    pub is_more: bool,
}

impl World {
    /// The tokens that the agent does not track.
    pub fn crowded(&self) -> Crowded {
        let left_out = self.tokens.left_out();
        let (count, is_more) = left_out.count();
        let pod =
            |uid: &str| self.cluster.pod(uid).map_or_else(|| PodRef::by_uid(uid), PodRef::known);
        let mut pods: Vec<_> = left_out.pods().map(|(uid, count)| (pod(uid), count)).collect();
        pods.sort_by(|(a, more), (b, fewer)| fewer.cmp(more).then_with(|| a.uid.cmp(&b.uid)));
        Crowded { pods, count, is_more }
    }
}

//! What the watches of volumes show: readers, and kubelet's syncs.

use super::cluster::PodStage;
use super::kubelet::SyncsSeen;
use super::readers::ReadersSeen;
use super::{Changed, ChangedTokens, World};
use crate::base::time::Reading;

impl World {
    /// Takes what a watch of a volume shows of its readers, and of itself.
    pub(super) fn read(&mut self, now: &Reading, seen: &ReadersSeen) -> Changed {
        self.kubelet.syncs.watch(seen, now);
        Changed::of(self.readers.see(seen, now))
    }

    /// Takes kubelet's syncs.
    pub(super) fn synced(&mut self, now: &Reading, seen: SyncsSeen) -> Changed {
        let cluster = &self.cluster;
        let ends =
            |uid: &str| cluster.pod(uid).is_some_and(|pod| PodStage::of(pod) != PodStage::Active);
        let changed = self.kubelet.synced(seen, ends, now);
        if changed.node {
            return Changed::node().with(ChangedTokens::All);
        }
        if changed.pods.is_empty() {
            return Changed::of(Vec::new());
        }
        Changed::of(self.tokens.keys_of(|tracked| changed.pods.contains(&tracked.key.pod_uid)))
    }
}

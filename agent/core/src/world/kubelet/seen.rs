//! What a source sees of kubelet's syncs.

use serde::{Deserialize, Serialize};

use crate::base::time::Monotonic;

/// The syncs of volumes that were seen since the report before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncsSeen {
    /// Everything that kubelet did before this time was seen, and is reported.
    pub until: Monotonic,
    /// The volumes that kubelet synced.
    pub volumes: Vec<VolumeSync>,
}

/// kubelet compared the files of a volume with what they should hold, or may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSync {
    /// UID of the pod.
    pub pod_uid: String,
    /// Name of the volume.
    pub volume: String,
    /// By when.
    pub at: Monotonic,
    /// Whether it did. Else the agent did not see all of the time before.
    pub is_certain: bool,
}

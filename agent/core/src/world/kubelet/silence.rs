//! A volume that kubelet does not sync.

use super::rhythm::Rhythm;
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::world::fair::OfPod;
use crate::world::tokens::TokenKey;

/// A volume that kubelet does not sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Since when, on the node's clock.
    pub since: Wall,
    /// For how long.
    pub age: Delta,
    /// Whether the sync at that time was seen. Else there was none since then.
    pub is_exact: bool,
    /// What else kubelet does not sync.
    pub extent: Extent,
}

/// How much kubelet does not sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// The volume alone: it syncs others of the pod.
    Volume,
    /// The pod: it syncs those of other pods.
    Pod,
    /// The volume or the pod: the agent sees no other volume of that.
    VolumeOrPod,
    /// The volume, the pod or all: the agent sees no other volume of the node.
    Unknown,
    /// The volumes of most pods of the node.
    Most,
    /// All volumes of the node.
    Node,
}

/// When a silence began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since {
    pub(super) at: Monotonic,
    /// The same on the node's clock, as it was set when the silence was found.
    pub(super) wall: Wall,
    /// Whether that was a sync.
    pub(super) is_sync: bool,
}

impl Since {
    pub(super) fn new(rhythm: Rhythm, now: &Reading) -> Self {
        Self { is_sync: rhythm.last_sync().is_some(), ..Self::at(rhythm.last(), now) }
    }

    pub(super) fn at(at: Monotonic, now: &Reading) -> Self {
        Self { at, wall: now.wall - (now.monotonic - at), is_sync: true }
    }
}

/// A volume of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct VolumeKey {
    pub(super) pod_uid: String,
    pub(super) volume: String,
}

impl OfPod for VolumeKey {
    fn pod_uid(&self) -> &str {
        &self.pod_uid
    }

    fn bytes(&self) -> usize {
        self.pod_uid.len() + self.volume.len()
    }

    fn first_of(pod_uid: &str) -> Self {
        Self { pod_uid: pod_uid.to_owned(), volume: String::new() }
    }
}

impl VolumeKey {
    /// The volume of a token.
    pub(super) fn of(key: &TokenKey) -> Self {
        Self { pod_uid: key.pod_uid.clone(), volume: key.volume.clone() }
    }
}

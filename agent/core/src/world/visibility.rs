//! Visibility: the privileges of the agent, the state of its sources, and the volumes that it
//! cannot see.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::time::Delta;
use crate::world::delivery::DeliveryState;
use crate::world::privileges::Privileges;
use crate::world::tokens::TokenKey;

/// Name of the source that reports token files.
const FILES: &str = "files";
/// Name of the source that reports copies of tokens on the host.
const COPIES: &str = "copies";
/// The sources of which the state decides about findings.
pub const DECIDING: [&str; 2] = [FILES, COPIES];

/// What the agent can see, and what it cannot.
#[derive(Clone, Debug, Default)]
pub struct Visibility {
    blind: Vec<BlindSpot>,
    sources: BTreeMap<String, Option<String>>,
    privileges: Option<Privileges>,
    /// The state of the delivery of alerts.
    pub delivery: DeliveryState,
}

/// Figures about the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterFigures {
    /// Number of pods on this node.
    pub pods: usize,
    /// Time since the API server last answered.
    pub age: Delta,
}

impl Visibility {
    pub(super) fn hidden(&mut self, spots: Vec<BlindSpot>) {
        self.blind = spots;
    }

    pub(super) fn source(&mut self, state: SourceState) {
        self.sources.insert(state.source, state.degraded);
    }

    pub(super) fn granted(&mut self, privileges: Privileges) {
        self.privileges = Some(privileges);
    }

    /// The volumes that kubelet sees and the agent does not.
    pub fn blind(&self) -> &[BlindSpot] {
        &self.blind
    }

    /// Every source, with the reason if it is degraded.
    pub fn sources(&self) -> &BTreeMap<String, Option<String>> {
        &self.sources
    }

    /// Every source, with whether it works.
    pub fn sources_up(&self) -> BTreeMap<String, bool> {
        self.sources.iter().map(|(name, reason)| (name.clone(), reason.is_none())).collect()
    }

    /// The privileges of the agent, once they are known.
    pub fn privileges(&self) -> Option<&Privileges> {
        self.privileges.as_ref()
    }

    /// Whether the agent would see this token if the file existed.
    pub fn covers(&self, key: &TokenKey) -> bool {
        let hides = |spot: &BlindSpot| {
            spot.is_root()
                || (spot.pod_uid == key.pod_uid && (spot.is_pod() || spot.volume == key.volume))
        };
        let files_work = self.sources.get(FILES).is_none_or(Option::is_none);
        files_work && !self.blind.iter().any(hides)
    }
}

/// A projected volume that kubelet sees and the agent does not. Or all volumes of a pod, or a whole
/// kubelet root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlindSpot {
    /// UID of the pod, or [`BlindSpot::ALL`] for a kubelet root.
    pub pod_uid: String,
    /// Name of the volume, or [`BlindSpot::ALL`].
    pub volume: String,
    /// The directory as the agent sees it.
    pub directory: String,
    /// Why the agent cannot see it, for people.
    pub reason: String,
}

impl BlindSpot {
    /// Every pod, or every volume. No name in Kubernetes contains this character.
    pub const ALL: &str = "*";

    /// Whether it is a whole kubelet root.
    pub fn is_root(&self) -> bool {
        self.pod_uid == Self::ALL
    }

    /// Whether it is all volumes of one pod.
    pub fn is_pod(&self) -> bool {
        self.volume == Self::ALL && !self.is_root()
    }
}

impl SourceState {
    /// Whether the source reports token files.
    pub(super) fn is_of_files(&self) -> bool {
        self.source == FILES
    }

    /// Whether the source reports copies of tokens.
    pub(super) fn is_of_copies(&self) -> bool {
        self.source == COPIES
    }
}

/// Whether a source works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// Name of the source: `files`, `watch`, `copies`, `ntp`, `kernel` or `apiserver`.
    pub source: String,
    /// What does not work, and what the source does instead; nothing if it works.
    pub degraded: Option<String>,
}

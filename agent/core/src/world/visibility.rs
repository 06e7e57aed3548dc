//! What the agent can see: its privileges, its sources, and the volumes that are hidden from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::time::Delta;
use crate::world::privileges::Privileges;
use crate::world::tokens::TokenKey;

/// The source of token files, by the name that it reports.
const FILES: &str = "files";

/// What can be seen, and what cannot.
#[derive(Clone, Debug, Default)]
pub struct Visibility {
    blind: Vec<BlindSpot>,
    sources: BTreeMap<String, Option<String>>,
    privileges: Option<Privileges>,
}

/// What is known of the cluster, in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterFigures {
    /// Pods of this node.
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

    /// What kubelet sees and the agent does not.
    pub fn blind(&self) -> &[BlindSpot] {
        &self.blind
    }

    /// Each source, with the reason if it is degraded.
    pub fn sources(&self) -> &BTreeMap<String, Option<String>> {
        &self.sources
    }

    /// What the agent may do, once that is known.
    pub fn privileges(&self) -> Option<&Privileges> {
        self.privileges.as_ref()
    }

    /// Whether the agent would see this token if it were there.
    pub fn covers(&self, key: &TokenKey) -> bool {
        let hides = |spot: &BlindSpot| {
            spot.is_root()
                || (spot.pod_uid == key.pod_uid && (spot.is_pod() || spot.volume == key.volume))
        };
        let files_work = self.sources.get(FILES).is_none_or(Option::is_none);
        files_work && !self.blind.iter().any(hides)
    }
}

/// A projected volume that exists for the kubelet but not for the agent; or all those of a pod; or
/// a whole kubelet root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlindSpot {
    /// UID of the pod, or [`BlindSpot::ALL`]: a kubelet root.
    pub pod_uid: String,
    /// The volume's name, or [`BlindSpot::ALL`].
    pub volume: String,
    /// The directory as the agent sees it.
    pub directory: String,
    /// Why it is held to be hidden rather than empty.
    pub reason: String,
}

impl BlindSpot {
    /// Stands for every pod, or every volume: no name in Kubernetes has such a character.
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

/// How well a source works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// `files`, `watch`, `ntp`, `kernel`, `apiserver`.
    pub source: String,
    /// Nothing if it is well; else what does not work and what is done instead.
    pub degraded: Option<String>,
}

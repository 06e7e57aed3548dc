//! The stage of a pod in its life, as far as it decides about the pod's tokens.

use super::{Phase, Pod};
use crate::base::time::{Delta, Wall};

/// The stage of a token's pod. kubelet replaces tokens only in the stage [`PodStage::Active`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodStage {
    /// The agent does not know: it has no access to the API server, or the API server has not
    /// answered since the pod appeared.
    Unknown,
    /// The pod exists and is not being deleted.
    Active,
    /// The pod is being deleted.
    Terminating {
        /// `deletionTimestamp`: kubelet kills the containers by then.
        deletion: Wall,
    },
    /// All containers have ended, and do not start again.
    Ended(Phase),
    /// The API server does not know the pod. It refuses every token that is bound to it.
    Deleted(Deleted),
}

/// A pod that the API server does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// When the agent learned it, on the node's clock.
    pub at: Wall,
    /// How long the agent has known it.
    pub age: Delta,
    /// Whether the agent knew the pod, and its containers had not all ended.
    pub ran: bool,
}

impl PodStage {
    /// The stage of a pod that the API server knows.
    pub fn of(pod: &Pod) -> Self {
        match (pod.phase, pod.deletion) {
            (Phase::Succeeded | Phase::Failed, _) => Self::Ended(pod.phase),
            (Phase::Pending | Phase::Running | Phase::Unknown, Some(deletion)) => {
                Self::Terminating { deletion }
            }
            (Phase::Pending | Phase::Running | Phase::Unknown, None) => Self::Active,
        }
    }

    /// Whether kubelet no longer replaces the pod's tokens.
    pub fn is_ending(self) -> bool {
        match self {
            Self::Unknown | Self::Active => false,
            Self::Terminating { .. } | Self::Ended(_) | Self::Deleted(_) => true,
        }
    }
}

//! What the cluster knows of this node's pods. It names things and never decides whether a token is
//! good; without it every verdict is the same, but for a pod that is going and a service account
//! that is gone.

mod accounts;
mod known;
mod pod;

pub use accounts::{AccountLoss, AccountName, AccountSeen, Accounts};
pub use known::{Cluster, Known};
pub use pod::{Container, Owner, Phase, Pod, PodRef};

use serde::{Deserialize, Serialize};

/// What the API server told, or did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterSeen {
    /// All pods of this node: any other is gone.
    Listed(Vec<Pod>),
    /// A pod is new, or changed.
    Pod(Box<Pod>),
    /// The pod with this UID is gone.
    PodGone(String),
    /// Nothing changed, and the API server is there to say so (a bookmark).
    Heard,
    /// It cannot be asked; what is known stays, and ages.
    Unreachable {
        /// What failed, and how.
        reason: String,
    },
}

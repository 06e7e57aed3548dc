//! The pods of this node and their service accounts, as the API server reports them.
//!
//! This room is optional. It adds names and evidence to findings. It changes a diagnosis where the
//! pod comes to its end, where its service account was deleted or recreated, and where its spec
//! names a token that is not on the node, or that a container mounts by `subPath`.

mod accounts;
mod container;
mod controller;
mod known;
mod mounts;
mod pod;
mod sandbox;
mod stage;
mod turns;

pub use accounts::{AccountLoss, AccountName, AccountSeen, Accounts, Loss};
pub use container::{Container, Convention, MountedPart, TokenMount};
pub use controller::{Controller, LeaseSeen, SilentController};
pub use known::{Cluster, Known};
pub use pod::{Owner, Phase, Pod, PodRef};
pub use sandbox::{Isolation, Sandbox};
pub use stage::{Deleted, PodStage};

use serde::{Deserialize, Serialize};

/// An observation of the API server: pods of this node that it reported, or that it cannot be
/// reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterSeen {
    /// The complete list of this node's pods. A pod that is not in it no longer exists.
    Listed(Vec<Pod>),
    /// A pod was created or changed.
    Pod(Box<Pod>),
    /// The pod with this UID no longer exists.
    PodGone(String),
    /// Nothing changed: the API server sent a watch bookmark (KEP-956).
    Unchanged,
    /// The API server cannot be reached. The agent keeps what it knows, and reports its age.
    Unreachable {
        /// What failed, and why, for people.
        reason: String,
    },
}

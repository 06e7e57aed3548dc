//! The parts of a container that findings need, and the service-account tokens that it mounts.

use serde::{Deserialize, Serialize};

use crate::base::time::Wall;

/// A container of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its id, without the name of the runtime (`status.containerStatuses[].containerID`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its image as in the pod's spec.
    pub image: String,
    /// Names of the projected volumes that it mounts.
    pub volumes: Vec<String>,
    /// When it was last started, if it runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Wall>,
    /// The tokens that it mounts, if it runs as long as the pod. Init containers end, unless they
    /// restart (KEP-753).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<TokenMount>,
}

/// A token of the pod's spec, mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenMount {
    /// Name of the volume.
    pub volume: String,
    /// Path of the token in the volume (`serviceAccountToken.path`).
    pub path: String,
    /// Where the container has the mount (`mountPath`).
    pub mount_path: String,
    /// How much of the volume is mounted there.
    pub part: MountedPart,
}

/// How much of a volume a container mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountedPart {
    /// The volume. The container sees every new token.
    Whole,
    /// The token's file, by `subPath`. The container keeps the token of its start.
    File,
    /// A directory in the volume, by `subPath`. kubelet deletes the files in it with the next
    /// rotation.
    Directory,
}

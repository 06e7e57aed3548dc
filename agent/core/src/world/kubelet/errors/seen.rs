//! The observation of an error that kubelet logged or reported.

use serde::{Deserialize, Serialize};

use super::ErrorCause;
use crate::base::time::{Delta, Wall};

/// An error of kubelet about a token, or about something that keeps it from writing one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeletError {
    /// The pod.
    pub pod: ErrorPod,
    /// What of the pod.
    pub of: ErrorScope,
    /// What the text names as the cause.
    pub cause: ErrorCause,
    /// The text of the error, cut, and without anything that looks like a token.
    pub text: String,
    /// When kubelet logged it, on the node's clock.
    pub at: Wall,
    /// Where it was seen.
    pub by: ErrorSource,
}

/// How the error names its pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorPod {
    /// By its UID.
    Uid(String),
    /// By its name: a pod that was created again may have the same.
    Name {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// What of the pod the error is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorScope {
    /// One volume.
    Volume(String),
    /// The request for the token of a volume that the error does not name.
    Request {
        /// The audiences that the request names; none: that of the API server.
        audiences: Vec<String>,
        /// The lifetime that it asks for.
        lifetime: Delta,
    },
    /// Any volume, and kubelet goes on with none of the pod before this one is repaired
    /// (processPodVolumes in desired_state_of_world_populator.go).
    Pod {
        /// Name of the volume that kubelet cannot process.
        volume: String,
    },
}

/// Where an error was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorSource {
    /// A log file of kubelet.
    Log,
    /// The journal of systemd.
    Journal,
    /// An Event of the pod.
    Event,
}

impl ErrorSource {
    /// The name in evidence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Journal => "journal",
            Self::Event => "event",
        }
    }
}

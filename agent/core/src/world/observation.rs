//! Observations: the only input of the engine. They are plain and serialisable, so that they can be
//! recorded on a node and replayed as a test. They contain no token bytes.

use serde::{Deserialize, Serialize};

use crate::base::time::{Reading, Wall};
use crate::world::clocks::{KernelClock, Round, Step};
use crate::world::cluster::{AccountSeen, ClusterSeen};
use crate::world::privileges::Privileges;
use crate::world::tokens::{Claims, TokenKey};

/// One observation of one source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation {
    /// A token file was read, or could not be read.
    File(FileSeen),
    /// A token file no longer exists, alone or with its volume or pod.
    Gone(TokenKey),
    /// The volumes that kubelet sees and the agent does not. Each observation has the complete
    /// list.
    Blind(Vec<BlindSpot>),
    /// A source started, degraded or recovered.
    Source(SourceState),
    /// A round of NTP exchanges ended, with one result per server.
    NtpRound(Round),
    /// The kernel's report about the clock.
    Kernel(KernelClock),
    /// The wall clock was set.
    ClockStep(Step),
    /// A report of the API server about this node's pods.
    Cluster(ClusterSeen),
    /// The answer of the API server about a service account that the engine requested.
    ServiceAccount(AccountSeen),
    /// The agent's own privileges.
    Privileges(Privileges),
    /// The state of the delivery of alerts.
    Delivery(DeliveryState),
    /// Time has passed without an observation.
    Tick,
}

/// The observed content of a token file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileSeen {
    /// The place of the file.
    pub key: TokenKey,
    /// When kubelet last renamed `..data` (its ctime, on the node's clock), if that is known.
    pub written_at: Option<Wall>,
    /// Its content.
    pub content: FileContent,
}

/// The content of a token file. Sources do not report files that are something else, such as a key
/// or a ConfigMap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileContent {
    /// A bound service-account token.
    Token(Box<Claims>),
    /// It does not decode as a token, although it starts like one or the file held one before.
    Malformed {
        /// Why it does not decode, without a byte of the content.
        reason: String,
    },
    /// The file exists and cannot be read.
    Unreadable {
        /// The step that failed, and the kernel's error.
        reason: String,
    },
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

/// Whether a source works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// Name of the source: `files`, `watch`, `ntp`, `kernel` or `apiserver`.
    pub source: String,
    /// What does not work, and what the source does instead; nothing if it works.
    pub degraded: Option<String>,
}

/// The state of the delivery of alerts, as the sink reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryState {
    /// Since when the oldest undelivered alert waits; nothing if none waits.
    pub waiting_since: Option<Reading>,
    /// Number of undelivered alerts.
    pub waiting: u64,
    /// Number of alerts that were dropped since the start because the memory for them was full.
    pub given_up: u64,
    /// Number of alerts that the collector rejected for good since the start.
    #[serde(default)]
    pub rejected: u64,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

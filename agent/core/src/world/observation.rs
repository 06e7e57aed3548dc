//! What the outside tells the engine. Plain and serialisable: a day on a node can be recorded, and
//! replayed as a test.

use serde::{Deserialize, Serialize};

use crate::base::time::{Reading, Wall};
use crate::world::clocks::{KernelClock, Round, Step};
use crate::world::cluster::{AccountSeen, ClusterSeen};
use crate::world::privileges::Privileges;
use crate::world::tokens::{Claims, TokenKey};

/// One thing seen, by one source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation {
    /// A token file was read, or could not be.
    File(FileSeen),
    /// A token file, or its whole volume or pod, is no longer there.
    Gone(TokenKey),
    /// What kubelet sees and the agent does not; the whole list, each time it changed.
    Blind(Vec<BlindSpot>),
    /// A source started, degraded (with the reason) or recovered.
    Source(SourceState),
    /// A round of NTP exchanges ended, one result per server.
    NtpRound(Round),
    /// The kernel's word about the clock.
    Kernel(KernelClock),
    /// The wall clock was set.
    ClockStep(Step),
    /// What the API server told of this node's pods.
    Cluster(ClusterSeen),
    /// What the API server told of a service account that was asked for.
    ServiceAccount(AccountSeen),
    /// What the agent is allowed to do.
    Privileges(Privileges),
    /// How alerts get out.
    Delivery(DeliveryState),
    /// Time has passed and nothing was seen.
    Tick,
}

/// A token file as it was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileSeen {
    /// Where.
    pub key: TokenKey,
    /// When `..data` was last renamed (its ctime, on the node's clock), if it could be told.
    pub written_at: Option<Wall>,
    /// What was in it.
    pub content: FileContent,
}

/// What was in a token file. Files that are simply something else (a key, a ConfigMap) are never
/// reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileContent {
    /// A bound service-account token.
    Token(Box<Claims>),
    /// It starts like a token, or a token was here, and it does not parse.
    Malformed {
        /// What is wrong with it, without a byte of it.
        reason: String,
    },
    /// It is there and cannot be read.
    Unreadable {
        /// What the kernel said, and about which step.
        reason: String,
    },
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

/// How alerts get out, as the delivering sink knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryState {
    /// Since when the oldest alert that no collector has accepted waits; nothing if none waits.
    pub waiting_since: Option<Reading>,
    /// How many wait.
    pub waiting: u64,
    /// How many were given up because memory is bounded.
    pub given_up: u64,
    /// How many the collector refused for good.
    #[serde(default)]
    pub rejected: u64,
    /// Why the last try failed.
    pub last_error: Option<String>,
}

//! Observations: the only input of the engine. They are plain and serialisable, so that they can be
//! recorded on a node and replayed as a test. They contain no token bytes.

use serde::{Deserialize, Serialize};

use crate::world::clocks::{DateSeen, KernelClock, Round, Step};
use crate::world::cluster::{AccountSeen, ClusterSeen, LeaseSeen};
use crate::world::copies::CopiesSeen;
use crate::world::keys::KeysSeen;
use crate::world::kubelet::SyncsSeen;
use crate::world::kubelet::errors::KubeletError;
use crate::world::kubelet::metrics::MetricsSeen;
use crate::world::privileges::Privileges;
use crate::world::readers::{ContainersSeen, KnownHabit, ReadersSeen};
use crate::world::refusals::{PodsAtAddress, ServerLogSeen};
use crate::world::tokens::{LegacyToken, TokenKey};

pub use crate::world::crowded::{Unknown, Unwatched, UnwatchedPod};
pub use crate::world::delivery::{Again, DeliveryState};
pub use crate::world::tokens::{Absence, FileContent, FileSeen};
pub use crate::world::visibility::{BlindSpot, SourceState, Standstill};

/// One observation of one source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation {
    /// A token file was read, or could not be read.
    File(FileSeen),
    /// A token file no longer exists, alone or with its volume or pod.
    Gone(TokenKey),
    /// A token file is not followed any more, because its pod has more files than its share. It may
    /// exist. A blind spot names its volume.
    LeftOut(TokenKey),
    /// UIDs of the pods whose directories hold no token. Each observation has the complete list.
    WithoutTokens(Vec<String>),
    /// The Secret-based tokens that pods mount. Each observation has the complete list.
    Legacy(Vec<LegacyToken>),
    /// The volumes that kubelet sees and the agent does not. Each observation has the complete
    /// list.
    Blind(Vec<BlindSpot>),
    /// The volumes that a source of readers leaves out. Each observation has the complete list of
    /// its source.
    Unwatched(Unwatched),
    /// A source started, degraded or recovered.
    Source(SourceState),
    /// A source stands still, or works again.
    Standstill(Standstill),
    /// A round of NTP exchanges ended, with one result per server.
    NtpRound(Round),
    /// The kernel's report about the clock.
    Kernel(KernelClock),
    /// The wall clock was set.
    ClockStep(Step),
    /// An answer of the API server showed its clock.
    ApiServerDate(DateSeen),
    /// A report of the API server about this node's pods.
    Cluster(ClusterSeen),
    /// The answer of the API server about a service account that the engine requested.
    ServiceAccount(AccountSeen),
    /// An API server's answer to the question for the keys that it verifies with.
    Keys(KeysSeen),
    /// The lease of kube-controller-manager; none if there is none.
    ControllerLease(Option<LeaseSeen>),
    /// What a file on the host holds that may have copies of tokens.
    Copies(CopiesSeen),
    /// What the logs of an API server on this node showed.
    ServerLog(ServerLogSeen),
    /// The answer of the API server to the question which pods have an address.
    PodsAtAddress(PodsAtAddress),
    /// Somebody read tokens of a volume, or the agent sees readers better or worse than before.
    Readers(ReadersSeen),
    /// kubelet synced volumes.
    Syncs(SyncsSeen),
    /// Errors that kubelet logged about tokens and their volumes.
    KubeletErrors(Vec<KubeletError>),
    /// What kubelet answered to a request for its metrics.
    KubeletMetrics(MetricsSeen),
    /// Paths that held a token when an earlier agent on this node saw them.
    Held(Vec<TokenKey>),
    /// Habits that an earlier agent on this node learned.
    Habits(Vec<KnownHabit>),
    /// The processes of a pod.
    Containers(ContainersSeen),
    /// The agent's own privileges.
    Privileges(Privileges),
    /// The state of the delivery of alerts.
    Delivery(DeliveryState),
    /// Time has passed without an observation.
    Tick,
}

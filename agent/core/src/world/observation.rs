//! What the outside tells the engine. Plain and serialisable: a day on a node can be recorded, and
//! replayed as a test.

use serde::{Deserialize, Serialize};

use crate::world::clocks::{KernelClock, Round, Step};
use crate::world::cluster::{AccountSeen, ClusterSeen};
use crate::world::privileges::Privileges;
use crate::world::tokens::TokenKey;

pub use crate::world::delivery::DeliveryState;
pub use crate::world::tokens::{FileContent, FileSeen};
pub use crate::world::visibility::{BlindSpot, SourceState};

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

//! What the engine shows of itself: to metrics, and to `check`.

use std::collections::BTreeMap;

use crate::base::time::{Delta, Reading, Wall};
use crate::findings::{Code, Finding, Severity};
use crate::world::clocks::{ClockState, Estimate, KernelClock, ServerReport};
use crate::world::cluster::Pod;
use crate::world::cluster::PodRef;
use crate::world::observation::{BlindSpot, DeliveryState};
use crate::world::privileges::{Privileges, Rung};
use crate::world::tokens::{Claims, Deadlines, State, TokenKey, Verdict};

/// The aggregated figures of one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Tokens by state; every state is present.
    pub tokens: BTreeMap<State, u64>,
    /// Active findings by code and severity.
    pub findings: BTreeMap<(Code, Severity), u64>,
    /// Time to the nearest effective deadline, on the node's clock.
    pub nearest_deadline: Option<Delta>,
    /// The clock.
    pub clock: Estimate,
    /// Sources: true while they work.
    pub sources: BTreeMap<String, bool>,
    /// The agent's own rung, once it is known.
    pub rung: Option<Rung>,
    /// What is known of the cluster; nothing where the API server was never heard.
    pub cluster: Option<ClusterFigures>,
    /// Tokens are not accused yet: time servers are configured, have not been heard, and have some
    /// time left to answer.
    pub awaits_clock: bool,
}

/// What is known of the cluster, in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterFigures {
    /// Pods of this node.
    pub pods: usize,
    /// Since the API server last told anything.
    pub age: Delta,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            tokens: State::ALL.into_iter().map(|state| (state, 0)).collect(),
            findings: BTreeMap::new(),
            nearest_deadline: None,
            clock: Estimate {
                offset: Delta::ZERO,
                bound: Delta::ZERO,
                assumed: true,
                state: ClockState::Unknown,
            },
            sources: BTreeMap::new(),
            rung: None,
            cluster: None,
            awaits_clock: false,
        }
    }
}

/// One token as people and scripts see it.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenView {
    /// Where.
    pub key: TokenKey,
    /// Whose.
    pub pod: PodRef,
    /// What it says.
    pub claims: Claims,
    /// What follows.
    pub deadlines: Deadlines,
    /// On the node's clock.
    pub state: State,
    /// On true time.
    pub verdict: Verdict,
    /// When this generation appeared, if it was seen to.
    pub appeared_at: Option<Wall>,
    /// What the cluster knows of its pod.
    pub known: Option<Pod>,
}

/// Everything there is to see, at one moment: what the status page shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The node.
    pub node: String,
    /// The moment.
    pub now: Reading,
    /// Every token, in a fixed order.
    pub tokens: Vec<TokenView>,
    /// Active findings, worst first, each with when it was raised.
    pub findings: Vec<(Finding, Wall)>,
    /// What is believed about the clock.
    pub clock: Estimate,
    /// Beyond this the clock is off.
    pub offset_limit: Delta,
    /// The time servers' last answers.
    pub servers: Vec<ServerReport>,
    /// The kernel's last word about the clock.
    pub kernel: Option<KernelClock>,
    /// Volumes that the agent cannot see into.
    pub blind: Vec<BlindSpot>,
    /// Each source, with why it does not work as it should, if so.
    pub sources: BTreeMap<String, Option<String>>,
    /// How alerts get out.
    pub delivery: DeliveryState,
    /// What the agent is allowed to do, once that is known.
    pub privileges: Option<Privileges>,
    /// What is known of the cluster.
    pub cluster: Option<ClusterFigures>,
    /// Why the API server cannot be asked.
    pub unreachable: Option<String>,
}

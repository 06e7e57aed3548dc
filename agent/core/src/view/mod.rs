//! What the core shows of itself: to metrics, to `check`, and to the status page.

mod render;

pub(crate) use render::Scene;

use std::collections::BTreeMap;

use crate::base::time::{Delta, Reading, Wall};
use crate::findings::{Code, Finding, Severity};
use crate::world::ClusterFigures;
use crate::world::clocks::{ClockState, Estimate, KernelClock, ServerReport};
use crate::world::cluster::{Pod, PodRef};
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
    /// The agent's own privilege level, once it is known.
    pub rung: Option<Rung>,
    /// The cluster; nothing where the API server never answered.
    pub cluster: Option<ClusterFigures>,
    /// Time servers are configured and still have time for their first answer.
    pub awaits_clock: bool,
}

impl Default for Snapshot {
    fn default() -> Self {
        let (offset, bound) = (Delta::ZERO, Delta::ZERO);
        Self {
            tokens: State::ALL.into_iter().map(|state| (state, 0)).collect(),
            findings: BTreeMap::new(),
            nearest_deadline: None,
            clock: Estimate { offset, bound, assumed: true, state: ClockState::Unknown },
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
    /// Its claims.
    pub claims: Claims,
    /// Its deadlines.
    pub deadlines: Deadlines,
    /// On the node's clock.
    pub state: State,
    /// On true time.
    pub verdict: Verdict,
    /// When this generation appeared, if the agent saw that.
    pub appeared_at: Option<Wall>,
    /// What the cluster knows of its pod.
    pub known: Option<Pod>,
}

/// The node's clock as the status page shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockView {
    /// What is believed.
    pub estimate: Estimate,
    /// Beyond this offset the clock is off.
    pub offset_limit: Delta,
    /// The time servers' last answers.
    pub servers: Vec<ServerReport>,
    /// The kernel's last report.
    pub kernel: Option<KernelClock>,
}

/// What the agent itself sees and delivers.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentView {
    /// Volumes that the agent cannot see into.
    pub blind: Vec<BlindSpot>,
    /// Each source, with the reason if it is degraded.
    pub sources: BTreeMap<String, Option<String>>,
    /// How alerts get out.
    pub delivery: DeliveryState,
    /// What the agent may do, once that is known.
    pub privileges: Option<Privileges>,
    /// The cluster; nothing where the API server never answered.
    pub cluster: Option<ClusterFigures>,
    /// Why the API server cannot be reached.
    pub unreachable: Option<String>,
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
    /// The node's clock.
    pub clock: ClockView,
    /// The agent itself.
    pub agent: AgentView,
}

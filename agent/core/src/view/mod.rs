//! Views of the core at one moment, for metrics, `check` and the status page.

mod named;
mod render;
mod why;

pub use named::{NamedFinding, NamedFindings, NamedPod};
pub(crate) use render::Scene;
pub use why::{AccountState, ApiClock, Why};

use std::collections::BTreeMap;

use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::findings::{CauseId, Code, Finding, Severity};
use crate::world::clocks::{ClockState, Estimate, KernelClock, ServerReport};
use crate::world::cluster::{Pod, PodRef};
use crate::world::observation::{BlindSpot, DeliveryState};
use crate::world::privileges::{Level, Privileges};
use crate::world::readers::{ReaderVerdict, ReaderView};
use crate::world::refusals::RefusalFigures;
use crate::world::tokens::{Claims, Deadlines, LegacyToken, Signature, State, TokenKey, Verdict};
use crate::world::{ClusterFigures, Crowded, REPORTED_AFTER};

/// Aggregated figures, for metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Number of tokens by state. Every state is present.
    pub tokens: BTreeMap<State, u64>,
    /// Number of active findings.
    pub findings: FindingCounts,
    /// Time to the nearest effective deadline, on the node's clock. Negative if it has passed.
    pub nearest_deadline: Option<Delta>,
    /// Number of readers by verdict. Every verdict is present.
    pub readers: BTreeMap<ReaderVerdict, u64>,
    /// The estimate of the node's clock.
    pub clock: Estimate,
    /// For each source, whether it works.
    pub sources: BTreeMap<String, bool>,
    /// The agent's privilege level, once it is known.
    pub rung: Option<Level>,
    /// Figures about the cluster; nothing if the API server never answered.
    pub cluster: Option<ClusterFigures>,
    /// Requests that the API servers on this node refused; nothing without their logs.
    pub refusals: Option<RefusalFigures>,
}

/// Whether the figures are those of the node. It is taken after each step, and holds until the next
/// one: who asks meanwhile waits for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Whether all token files were read once.
    pub is_scanned: bool,
    /// Until when the agent waits for the first answer of the configured time servers.
    pub clock_ready_at: Option<Monotonic>,
    /// When a read of token files began that has not returned.
    pub still_since: Option<Reading>,
}

impl Readiness {
    /// Whether the agent still waits for time servers.
    pub fn awaits_clock(&self, now: &Reading) -> bool {
        self.clock_ready_at.is_some_and(|at| now.monotonic < at)
    }

    /// When token files were last read, if a read of them has not returned for long.
    pub fn read_at(&self, now: &Reading) -> Option<Wall> {
        let is_long = |since: &Reading| since.monotonic + REPORTED_AFTER <= now.monotonic;
        self.still_since.filter(is_long).map(|since| since.wall)
    }
}

/// The number of active findings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FindingCounts {
    /// By code and severity.
    pub by_code: BTreeMap<(Code, Severity), u64>,
    /// Of those above info whose cause other nodes may have, too: by cause, the worst ones.
    pub by_cause: BTreeMap<(CauseId, Code, Severity), u64>,
    /// With their pods.
    pub named: NamedFindings,
}

impl Default for Snapshot {
    fn default() -> Self {
        let (offset, bound) = (Delta::ZERO, Delta::ZERO);
        Self {
            tokens: State::ALL.into_iter().map(|state| (state, 0)).collect(),
            findings: FindingCounts::default(),
            nearest_deadline: None,
            readers: ReaderVerdict::ALL.into_iter().map(|verdict| (verdict, 0)).collect(),
            clock: Estimate {
                offset,
                bound,
                assumed: true,
                alone: false,
                state: ClockState::Unknown,
            },
            sources: BTreeMap::new(),
            rung: None,
            cluster: None,
            refusals: None,
        }
    }
}

/// One token, for `check` and the status page.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenView {
    /// Its place on the node.
    pub key: TokenKey,
    /// Its pod.
    pub pod: PodRef,
    /// Its claims.
    pub claims: Claims,
    /// Its deadlines.
    pub deadlines: Deadlines,
    /// Its state, on the node's clock.
    pub state: State,
    /// The verdict, on true time.
    pub verdict: Verdict,
    /// When this generation appeared, on the node's clock, if the agent saw that.
    pub appeared_at: Option<Wall>,
    /// Its pod, if the cluster knows it.
    pub known: Option<Pod>,
    /// What a check of its signature showed; none if there was none.
    pub signature: Option<Signature>,
}

/// The node's clock, for the status page.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockView {
    /// Offset, bound and state.
    pub estimate: Estimate,
    /// Limit of the offset, beyond which the clock is off.
    pub offset_limit: Delta,
    /// The time servers, with their last results.
    pub servers: Vec<ServerReport>,
    /// How many of them agree: a name counts once, and of a pool each address.
    pub agreeing: usize,
    /// How many there are, counted in the same way.
    pub voters: usize,
    /// Whether there is any server to query.
    pub servers_configured: bool,
    /// The kernel's last report.
    pub kernel: Option<KernelClock>,
}

/// The agent itself: what it can see and deliver.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentView {
    /// Volumes that the agent cannot see.
    pub blind: Vec<BlindSpot>,
    /// The tokens that the agent does not track.
    pub crowded: Crowded,
    /// Every source, with the reason if it is degraded.
    pub sources: BTreeMap<String, Option<String>>,
    /// The state of the delivery of alerts.
    pub delivery: DeliveryState,
    /// The privileges of the agent, once they are known.
    pub privileges: Option<Privileges>,
    /// Figures about the cluster; nothing if the API server never answered.
    pub cluster: Option<ClusterFigures>,
    /// Why the API server cannot be reached; nothing if it can.
    pub unreachable: Option<String>,
}

/// Everything that the status page shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The node's name.
    pub node: String,
    /// The node's clocks at this moment.
    pub now: Reading,
    /// Every token, ordered by pod UID, volume and path.
    pub tokens: Vec<TokenView>,
    /// Every Secret-based token that a pod mounts, with its pod.
    pub legacy: Vec<(LegacyToken, PodRef)>,
    /// Every reader of a token, ordered by pod UID, volume and path.
    pub readers: Vec<ReaderView>,
    /// Active findings, highest severity first, each with the time when it was raised.
    pub findings: Vec<(Finding, Wall)>,
    /// The node's clock.
    pub clock: ClockView,
    /// The agent itself.
    pub agent: AgentView,
}

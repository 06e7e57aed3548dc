//! What the engine shows of itself: to metrics, to `check`, and to the status page.

use std::collections::BTreeMap;

use super::Engine;
use crate::base::time::{Delta, Reading, Wall};
use crate::diagnosis;
use crate::findings::{Code, Finding, Severity, Subject};
use crate::world::ClusterFigures;
use crate::world::clocks::{ClockState, Estimate, KernelClock, ServerReport};
use crate::world::cluster::{Pod, PodRef};
use crate::world::observation::{BlindSpot, DeliveryState};
use crate::world::privileges::{Privileges, Rung};
use crate::world::tokens::{Claims, Deadlines, State, TokenKey, Tracked, Verdict, verdict};

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

impl Engine {
    /// What metrics show.
    pub fn snapshot(&self, now: &Reading) -> Snapshot {
        let (world, visibility) = (&self.world, &self.world.visibility);
        let works =
            |(source, degraded): (&String, &Option<String>)| (source.clone(), degraded.is_none());
        let mut snapshot = Snapshot {
            clock: world.clock.estimate(now),
            sources: visibility.sources().iter().map(works).collect(),
            rung: visibility.privileges().map(|privileges| privileges.rung),
            cluster: world.cluster_figures(now),
            awaits_clock: world.startup.clock_ready_at(now).is_some(),
            ..Snapshot::default()
        };
        for generation in world.tokens.generations() {
            *snapshot.tokens.entry(generation.deadlines.state(now.wall)).or_default() += 1;
            let left = generation.deadlines.effective - now.wall;
            snapshot.nearest_deadline = snapshot.nearest_deadline.into_iter().chain([left]).min();
        }
        for finding in self.ledger.active() {
            *snapshot.findings.entry((finding.code, finding.severity)).or_default() += 1;
        }
        snapshot
    }

    /// Every token, in a fixed order, as `check` shows it.
    pub fn tokens(&self, now: &Reading) -> Vec<TokenView> {
        let interval = self.world.clock.estimate(now).interval(now.wall);
        let view = |tracked: &Tracked| {
            let generation = tracked.current.as_ref()?;
            let known = self.world.cluster.pod(&tracked.key.pod_uid).cloned();
            Some(TokenView {
                key: tracked.key.clone(),
                pod: tracked.pod(known.as_ref()),
                state: generation.deadlines.state(now.wall),
                verdict: verdict(&generation.claims, &interval),
                claims: generation.claims.clone(),
                deadlines: generation.deadlines,
                appeared_at: generation.appeared_at,
                known,
            })
        };
        self.world.tokens.iter().filter_map(view).collect()
    }

    /// Active findings, worst first, as they were last judged.
    pub fn findings(&self) -> Vec<Finding> {
        self.ledger.raised().into_iter().map(|(finding, _)| finding).collect()
    }

    /// What was raised, in the words of this moment: a sentence gives the times of its own moment.
    fn raised_by_now(&self, now: &Reading) -> Vec<(Finding, Wall)> {
        let node = diagnosis::node(&self.world, &self.config, self.affected.count(), now);
        let node: Vec<Finding> =
            node.clock.into_iter().chain(node.visibility).chain(node.delivery).collect();
        let again = |old: &Finding| {
            let same = |new: &Finding| new.code == old.code && new.id("") == old.id("");
            self.of_token(now, &old.subject).into_iter().chain(node.iter().cloned()).find(same)
        };
        let raised = self.ledger.raised().into_iter();
        raised.map(|(old, at)| (again(&old).unwrap_or(old), at)).collect()
    }

    /// What is wrong with this token at this moment.
    fn of_token(&self, now: &Reading, subject: &Subject) -> Vec<Finding> {
        let facts = subject.token_key().and_then(|key| self.world.facts(&key, now, &self.believed));
        facts.map(|facts| diagnosis::token(&facts, now).findings).unwrap_or_default()
    }

    /// Everything there is to see.
    pub fn status(&self, now: &Reading) -> Status {
        let (world, visibility) = (&self.world, &self.world.visibility);
        Status {
            node: self.config.node.clone(),
            now: *now,
            tokens: self.tokens(now),
            findings: self.raised_by_now(now),
            clock: ClockView {
                estimate: world.clock.estimate(now),
                offset_limit: self.config.clock.offset,
                servers: world.clock.servers(),
                kernel: world.clock.last_kernel().copied(),
            },
            agent: AgentView {
                blind: world.blind_spots(),
                sources: visibility.sources().clone(),
                delivery: world.delivery.clone(),
                privileges: visibility.privileges().cloned(),
                cluster: world.cluster_figures(now),
                unreachable: world.cluster.unreachable().map(ToOwned::to_owned),
            },
        }
    }

    /// What is believed about the clock.
    pub fn clock(&self, now: &Reading) -> Estimate {
        self.world.clock.estimate(now)
    }

    /// The time servers' last answers.
    pub fn servers(&self) -> Vec<ServerReport> {
        self.world.clock.servers()
    }
}

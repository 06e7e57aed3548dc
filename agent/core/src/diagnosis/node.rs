//! The diagnosis of the node itself.

use std::collections::BTreeMap;

use super::apiserver::{self, Verifier, VerifierKnown};
use super::{Resumed, Survey, absent, clock, correlate, keys, next, rejecting};
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::findings::{Affected, Finding, wording};
use crate::world::clocks::{ClockFacts, ClockModel};
use crate::world::{AheadClock, Config, World};

/// The diagnosis of the node itself.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeDiagnosis {
    /// Findings about the clock and the time servers.
    pub clock: Vec<Finding>,
    /// About the API servers.
    pub api_server: ApiServerDiagnosis,
    /// About keys and issuers.
    pub keys: KeyDiagnosis,
    /// About the controller manager.
    pub controller: ControllerDiagnosis,
    /// Findings about tokens that work, and should not be relied on.
    pub posture: Vec<Finding>,
    /// About kubelet.
    pub kubelet: KubeletDiagnosis,
    /// The finding about what the agent cannot see.
    pub visibility: Option<Finding>,
    /// The finding about volumes that kubelet has not set up.
    pub volumes: Option<Finding>,
    /// The finding about alerts that are not delivered.
    pub delivery: Option<Finding>,
    /// When the diagnosis may change by the passing of time alone.
    pub next: Option<Monotonic>,
}

/// The diagnosis of keys and issuers.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyDiagnosis {
    /// The findings.
    pub findings: Vec<Finding>,
    /// Whether the answers of the API servers tell about every token; none if no API server is
    /// asked.
    pub is_complete: Option<bool>,
}

/// The diagnosis of the controller manager.
#[derive(Clone, Debug, PartialEq)]
pub struct ControllerDiagnosis {
    /// The finding.
    pub finding: Option<Finding>,
    /// Whether a renewal of its lease was seen.
    pub is_renewed: bool,
}

/// The diagnosis of kubelet.
#[derive(Clone, Debug, PartialEq)]
pub struct KubeletDiagnosis {
    /// The finding.
    pub finding: Option<Finding>,
    /// Whether it replaced a token since it was found to be stalled.
    pub replaces: bool,
    /// Whether it syncs volumes.
    pub resumed: Resumed,
    /// When it last got a token for half of the pods, by the `iat` of the newest token of each.
    pub newest: Option<Wall>,
}

/// The diagnosis of the API servers.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiServerDiagnosis {
    /// The finding about their clocks.
    pub skew: Option<Finding>,
    /// How far these are known by their answers; none if no API server is asked.
    pub clock: Option<VerifierKnown>,
    /// How far they are known by the tokens that they signed.
    pub by_tokens: VerifierKnown,
    /// If the finding is that one is ahead.
    pub ahead: Option<AheadClock>,
    /// The finding about the requests that those on this node refuse.
    pub rejecting: Option<Finding>,
    /// The finding about pods of other nodes that use stale tokens.
    pub stale: Option<Finding>,
    /// Whether they have refused none for a while.
    pub is_quiet: bool,
}

impl NodeDiagnosis {
    /// Every finding.
    pub(crate) fn findings(self) -> Vec<Finding> {
        let Self { clock, api_server, keys, posture, kubelet, visibility, volumes, .. } = self;
        let ApiServerDiagnosis { skew, rejecting, stale, .. } = api_server;
        let of_cluster = [skew, rejecting, stale, self.controller.finding, kubelet.finding];
        let others = of_cluster.into_iter().chain([visibility, volumes, self.delivery]).flatten();
        clock.into_iter().chain(keys.findings).chain(posture).chain(others).collect()
    }
}

/// Diagnoses the node at `now`. `survey` has what all tokens together show.
pub fn node(world: &World, config: &Config, survey: &Survey, now: &Reading) -> NodeDiagnosis {
    let clock_ready = world.startup.clock_ready_at(now).is_none();
    let affected = survey.affected(world);
    let clock = clock_ready.then(|| clock_of(&config.node, &world.clock, &affected, now));
    NodeDiagnosis {
        clock: clock.unwrap_or_default(),
        api_server: api_server_of(world, config, now),
        keys: keys_of(world, &config.node, now),
        controller: controller_of(world, &config.node),
        posture: posture_of(world, &config.node, survey, now),
        kubelet: kubelet_of(world, config, survey, now),
        visibility: blind(world, &config.node, now),
        volumes: absent::empty_volumes(world, &world.visibility.files_known_at(now))
            .map(|empty| wording::empty_volumes(&config.node, &empty)),
        delivery: delayed(world, config.delivery_limit, now)
            .map(|waited| wording::delivery(&config.node, &world.visibility.delivery, waited)),
        next: next::for_node(world, config, now).into_iter().chain(survey.next_change(now)).min(),
    }
}

fn blind(world: &World, node: &str, now: &Reading) -> Option<Finding> {
    let still: Vec<_> = world.visibility.standing_still(now).collect();
    wording::blind(node, &world.visibility.hidden_volumes(), &still, &world.crowded())
}

fn keys_of(world: &World, node: &str, now: &Reading) -> KeyDiagnosis {
    if world.visibility.are_files_still() {
        // The tokens that lack a key may have been replaced: what was reported stays.
        let is_complete = keys::keys(world, now).is_complete.map(|_| false);
        return KeyDiagnosis { findings: Vec::new(), is_complete };
    }
    let found = keys::keys(world, now);
    let key = |symptom| wording::key(node, &symptom, &world.cluster.keys, now.wall);
    let unknown = found.unknown.map(key);
    let issuer = found.issuer.map(|symptom| wording::issuer(node, &symptom, now.wall));
    let findings = unknown.into_iter().chain(issuer).collect();
    KeyDiagnosis { findings, is_complete: found.is_complete }
}

fn api_server_of(world: &World, config: &Config, now: &Reading) -> ApiServerDiagnosis {
    let is_ready = world.startup.clock_ready_at(now).is_none();
    let verifier = if is_ready { apiserver::verifier(world, now) } else { Verifier::default() };
    let rejecting = rejecting::rejecting(world, now);
    ApiServerDiagnosis {
        skew: verifier.skew.map(|symptom| wording::skew(&config.node, &symptom)),
        clock: config.cluster_configured.then_some(verifier.known),
        by_tokens: verifier.by_tokens,
        ahead: verifier.ahead,
        stale: wording::stale_elsewhere(&config.node, &world.stale_elsewhere(now)),
        rejecting: rejecting.map(|symptom| wording::rejecting(&config.node, &symptom)),
        is_quiet: world.readers.refusals.is_quiet(now),
    }
}

fn kubelet_of(world: &World, config: &Config, survey: &Survey, now: &Reading) -> KubeletDiagnosis {
    let (syncs, stalled) = (&world.kubelet.syncs, survey.kubelet.symptom());
    KubeletDiagnosis {
        finding: stalled.map(|symptom| wording::kubelet(symptom, world, config, now)),
        replaces: survey.kubelet.replaces(),
        resumed: if syncs.is_alive() { Resumed::Yes } else { Resumed::Unknown },
        newest: usual_newest(world),
    }
}

fn usual_newest(world: &World) -> Option<Wall> {
    let mut pods: BTreeMap<&str, Wall> = BTreeMap::new();
    for tracked in world.tokens.iter() {
        if let Some(current) = &tracked.current {
            let newest = pods.entry(&tracked.key.pod_uid).or_insert(current.claims.issued_at);
            *newest = current.claims.issued_at.max(*newest);
        }
    }
    let mut newest: Vec<Wall> = pods.into_values().collect();
    newest.sort_unstable();
    newest.get(newest.len().saturating_sub(1) / 2).copied()
}

fn controller_of(world: &World, node: &str) -> ControllerDiagnosis {
    let controller = &world.cluster.controller;
    ControllerDiagnosis {
        finding: controller.silent().map(|silent| wording::controller(node, &silent)),
        is_renewed: controller.is_renewed(),
    }
}

fn posture_of(world: &World, node: &str, survey: &Survey, now: &Reading) -> Vec<Finding> {
    let symptoms = survey.posture(world, now).into_iter();
    symptoms.map(|symptom| wording::posture(node, &symptom)).collect()
}

/// How long the oldest undelivered alert has waited, if that is at least `limit`.
fn delayed(world: &World, limit: Delta, now: &Reading) -> Option<Delta> {
    let waited = now.monotonic - world.visibility.delivery.waiting_since?.monotonic;
    (waited >= limit).then_some(waited)
}

/// Diagnoses a clock at `now`.
pub fn clock_of(
    node: &str,
    model: &ClockModel,
    affected: &Affected,
    now: &Reading,
) -> Vec<Finding> {
    let facts = ClockFacts::new(model, now);
    let symptoms = correlate::clock(clock::symptoms(&facts), &facts);
    let worded = |symptom| wording::clock(node, symptom, &facts, affected);
    symptoms.iter().map(worded).collect()
}

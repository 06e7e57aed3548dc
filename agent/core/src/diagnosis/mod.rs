//! Diagnosis: from the observed state to typed symptoms, and from symptoms to one finding per
//! cause.

mod absent;
mod affected;
mod apiserver;
mod audience;
mod clock;
mod copies;
mod correlate;
mod keys;
mod kubelet;
mod next;
mod posture;
mod reader;
mod rejecting;
mod subpath;
mod survey;
mod token;

pub use absent::{AbsentDiagnosis, absent};
pub use copies::{CopyDiagnosis, copies, next as next_of_copies};
pub use correlate::ClockEffect;
pub use survey::Survey;

use std::collections::BTreeMap;

use apiserver::Verifier;
use correlate::TokenCause;

use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::base::value::Value;
use crate::findings::{Affected, Finding, wording};
use crate::world::clocks::{ClockFacts, ClockModel};
use crate::world::cluster::{AccountLoss, AccountName, PodStage};
use crate::world::readers::{KnownHabit, Proven};
use crate::world::tokens::{State, TokenKey};
use crate::world::{Conclusions, Config, Facts, World};

/// The diagnosis of one token.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenDiagnosis {
    /// Its findings.
    pub findings: Vec<Finding>,
    /// What explains that a finding is missing.
    pub explained: Explained,
    /// The service account to request from the API server, because it may be why the token is not
    /// replaced.
    pub query: Option<AccountName>,
    /// Whether kubelet syncs its volume.
    pub resumed: Resumed,
    /// What its readers show.
    pub readers: ReaderDiagnosis,
    /// When the diagnosis may change by the passing of time alone.
    pub next: Option<Monotonic>,
}

/// What the readers of a token show beside the findings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReaderDiagnosis {
    /// Habits that are worth keeping.
    pub learned: Vec<KnownHabit>,
    /// What shows that a reader keeps an earlier generation, for later.
    pub(crate) proofs: Vec<Proven>,
    /// From when on the API server would refuse what somebody keeps, without the extension of its
    /// expiry.
    extended_until: Option<Wall>,
    /// The container of each reader that may keep one without that the agent can tell.
    unknown: Vec<Option<String>>,
}

impl ReaderDiagnosis {
    fn of(facts: &Facts<'_>, readers: &Conclusions<'_>) -> Self {
        Self {
            learned: readers.learned(),
            proofs: readers.proofs(),
            extended_until: posture::extended_until(facts, readers),
            unknown: readers.unknown(),
        }
    }

    /// Whether a reader may keep an earlier generation, and the agent cannot tell: one that may be
    /// of this container, or any, if none is named.
    pub fn is_unknown(&self, container: Option<&str>) -> bool {
        let is_it = |one: Option<&str>| one.zip(container).is_none_or(|(one, it)| one == it);
        self.unknown.iter().any(|one| is_it(one.as_deref()))
    }
}

/// Whether kubelet syncs a volume, for a finding that it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// A sync was seen.
    Yes,
    /// None was seen.
    Unknown,
    /// It need not: the pod comes to its end, or another finding takes its place.
    Ended,
}

/// What explains a symptom of a token that is no finding of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explained {
    /// Nothing: there is no such symptom.
    Nothing,
    /// The node's clock is wrong. It has its own finding.
    Clock,
    /// kubelet replaces no token at all. It has its own finding.
    Kubelet,
}

/// The diagnosis of the node itself.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeDiagnosis {
    /// Findings about the clock and the time servers.
    pub clock: Vec<Finding>,
    /// About the API servers.
    pub api_server: ApiServerDiagnosis,
    /// About keys and issuers.
    pub keys: KeyDiagnosis,
    /// The finding about the controller manager.
    pub controller: Option<Finding>,
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
    /// How far these are known; none if no API server is asked.
    pub clock: Option<VerifierKnown>,
    /// The finding about the requests that those on this node refuse.
    pub rejecting: Option<Finding>,
    /// Whether they have refused none for a while.
    pub is_quiet: bool,
}

impl NodeDiagnosis {
    /// Every finding.
    pub(crate) fn findings(self) -> Vec<Finding> {
        let Self { clock, api_server, keys, posture, kubelet, visibility, volumes, .. } = self;
        let ApiServerDiagnosis { skew, rejecting, .. } = api_server;
        let others = [skew, rejecting, self.controller, kubelet.finding, visibility, volumes];
        let others = others.into_iter().chain([self.delivery]).flatten();
        clock.into_iter().chain(keys.findings).chain(posture).chain(others).collect()
    }
}

/// Diagnoses a token at `now`.
pub fn token(facts: &Facts<'_>, now: &Reading) -> TokenDiagnosis {
    let cause = facts.generation().map(|generation| correlate::token(generation, now.wall, facts));
    let lifecycle = cause.and_then(|cause| cause.symptom);
    let readers = Conclusions::new(facts, now);
    let symptoms = token::file(facts, now)
        .into_iter()
        .chain(lifecycle)
        .chain(subpath::symptom(facts, now.wall))
        .chain(audience::symptom(facts))
        .chain(reader::stale(facts, &readers, now.wall))
        .chain(reader::frozen(facts, now.wall));
    TokenDiagnosis {
        findings: symptoms.map(|symptom| wording::token(symptom, facts, &readers, now)).collect(),
        explained: cause.map_or(Explained::Nothing, |cause| explained(&cause, facts)),
        query: account_to_request(facts, now),
        resumed: resumed(cause.as_ref(), facts),
        next: next::for_token(facts, &readers, now),
        readers: ReaderDiagnosis::of(facts, &readers),
    }
}

fn keys_of(world: &World, node: &str, now: &Reading) -> KeyDiagnosis {
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

fn resumed(cause: Option<&TokenCause>, facts: &Facts<'_>) -> Resumed {
    let has_other =
        cause.is_some_and(|cause| cause.symptom.is_some() || cause.by_kubelet.is_some());
    let is_running = matches!(facts.stage, PodStage::Active | PodStage::Unknown);
    match facts.kubelet.is_synced {
        _ if has_other || !is_running => Resumed::Ended,
        true => Resumed::Yes,
        false => Resumed::Unknown,
    }
}

fn explained(cause: &TokenCause, facts: &Facts<'_>) -> Explained {
    match cause.clock_effect {
        ClockEffect::LooksWrong => Explained::Clock,
        ClockEffect::None | ClockEffect::Refused => {
            let by_kubelet = facts.kubelet.is_stalled && cause.by_kubelet.is_some();
            if by_kubelet { Explained::Kubelet } else { Explained::Nothing }
        }
    }
}

/// The service account to request out of turn: that of a token whose replacement is late, and one
/// that is lost, because it may be created again.
fn account_to_request(facts: &Facts<'_>, now: &Reading) -> Option<AccountName> {
    let is_urgent = match facts.generation()?.deadlines.state(now.wall) {
        State::Late | State::Stalled | State::Expired => true,
        State::Fresh | State::Due | State::NotYetValid => facts.lost.is_some(),
    };
    (is_urgent && !facts.stage.is_ending()).then(|| facts.account()).flatten()
}

/// Service accounts that were lost before a restart stay lost until the API server answers.
pub fn restore_losses<'a>(world: &mut World, findings: impl IntoIterator<Item = &'a Finding>) {
    for (key, generation, loss) in findings.into_iter().filter_map(restored_loss) {
        world.accounts.restore(key, generation, loss);
    }
}

/// The lost service account that a finding from before a restart is about: the token, its
/// generation, and the loss.
fn restored_loss(finding: &Finding) -> Option<(TokenKey, String, AccountLoss)> {
    let text = |name: &str| finding.evidence.get(name).and_then(Value::text).map(ToOwned::to_owned);
    let loss = AccountLoss::named(&text(wording::ACCOUNT_STATE)?)?;
    Some((finding.subject.token_key()?, text(wording::GENERATION)?, loss))
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
        controller: world
            .cluster
            .controller
            .silent()
            .map(|silent| wording::controller(&config.node, &silent)),
        posture: survey
            .posture(world, now)
            .iter()
            .map(|symptom| wording::posture(&config.node, symptom))
            .collect(),
        kubelet: kubelet_of(world, config, survey, now),
        visibility: wording::blind(&config.node, &world.blind_spots()),
        volumes: absent::empty_volumes(world, now)
            .map(|empty| wording::empty_volumes(&config.node, &empty)),
        delivery: delayed(world, config.delivery_limit, now)
            .map(|waited| wording::delivery(&config.node, &world.visibility.delivery, waited)),
        next: next::for_node(world, config, now)
            .into_iter()
            .chain(survey.kubelet.next_change())
            .min(),
    }
}

/// How far the API server's clock is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifierKnown {
    /// Too few answers show it.
    #[default]
    No,
    /// It is known, and no time source decides who is wrong.
    Undecided,
    /// It is known, and true time is, too.
    Yes,
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

/// How long the oldest undelivered alert has waited, if that is at least `limit`.
fn delayed(world: &World, limit: Delta, now: &Reading) -> Option<Delta> {
    let waited = now.monotonic - world.visibility.delivery.waiting_since?.monotonic;
    (waited >= limit).then_some(waited)
}

#[cfg(test)]
mod cause_tests;
#[cfg(test)]
mod clock_tests;
#[cfg(test)]
mod time_server_tests;
#[cfg(test)]
mod token_tests;

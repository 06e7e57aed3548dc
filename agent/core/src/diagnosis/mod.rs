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
mod node;
mod pending;
mod posture;
mod reader;
mod rejecting;
mod subpath;
mod survey;
mod token;

pub use absent::{AbsentDiagnosis, absent};
pub use apiserver::VerifierKnown;
pub use copies::{CopyDiagnosis, copies, next as next_of_copies};
pub use correlate::ClockEffect;
pub use node::{
    ApiServerDiagnosis, ControllerDiagnosis, KeyDiagnosis, KubeletDiagnosis, NodeDiagnosis,
    clock_of, node,
};
pub use survey::Survey;

use correlate::TokenCause;

use crate::base::time::{Monotonic, Reading, Wall};
use crate::base::value::Value;
use crate::findings::{Code, Finding, wording};
use crate::world::cluster::{AccountLoss, AccountName, PodStage};
use crate::world::readers::{KnownHabit, Proven};
use crate::world::tokens::{State, TokenKey};
use crate::world::{Conclusions, Facts, World};

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
    /// The clock of an API server is ahead. It has its own finding.
    ApiServer,
    /// The API server has not shown the pod.
    UnknownPod,
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
        explained: explained(cause.as_ref(), facts),
        query: account_to_request(facts, now),
        resumed: resumed(cause.as_ref(), facts),
        next: next::for_token(facts, &readers, now),
        readers: ReaderDiagnosis::of(facts, &readers),
    }
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

fn explained(cause: Option<&TokenCause>, facts: &Facts<'_>) -> Explained {
    if cause.is_some_and(|cause| cause.is_api_servers) {
        return Explained::ApiServer;
    }
    match cause.map_or(ClockEffect::None, |cause| cause.clock_effect) {
        ClockEffect::LooksWrong => Explained::Clock,
        ClockEffect::None | ClockEffect::Refused => {
            let by_kubelet = cause.is_some_and(|cause| cause.by_kubelet.is_some());
            match by_kubelet && facts.kubelet.is_stalled {
                true => Explained::Kubelet,
                false if facts.known.is_none() => Explained::UnknownPod,
                false => Explained::Nothing,
            }
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

/// What findings from before a restart show, and what the agent could not find again at once:
/// service accounts that were lost stay lost until the API server answers, and signatures that were
/// wrong stay wrong until the keys are known.
pub fn restore<'a>(
    world: &mut World,
    findings: impl IntoIterator<Item = &'a Finding>,
    now: &Reading,
) {
    for finding in findings {
        if let Some((key, generation, loss)) = restored_loss(finding) {
            world.accounts.restore(key, generation, loss);
        }
        if let Some((key, generation)) = restored_damage(finding) {
            world.tokens.restore_damaged(key, generation, now.wall);
        }
    }
}

/// The token that a finding from before a restart is about, if its signature was wrong.
fn restored_damage(finding: &Finding) -> Option<(TokenKey, String)> {
    let generation = finding.evidence.get(wording::GENERATION).and_then(Value::text)?;
    let is_damaged = finding.code == Code::Malformed;
    is_damaged.then_some((finding.subject.token_key()?, generation.to_owned()))
}

/// The lost service account that a finding from before a restart is about: the token, its
/// generation, and the loss.
fn restored_loss(finding: &Finding) -> Option<(TokenKey, String, AccountLoss)> {
    let text = |name: &str| finding.evidence.get(name).and_then(Value::text).map(ToOwned::to_owned);
    let loss = AccountLoss::named(&text(wording::ACCOUNT_STATE)?)?;
    Some((finding.subject.token_key()?, text(wording::GENERATION)?, loss))
}

#[cfg(test)]
mod cause_tests;
#[cfg(test)]
mod clock_tests;
#[cfg(test)]
mod time_server_tests;
#[cfg(test)]
mod token_tests;

//! Diagnosis: from the observed state to typed symptoms, and from symptoms to one finding per
//! cause.

mod absent;
mod affected;
mod clock;
mod correlate;
mod next;
mod subpath;
mod token;

pub use absent::{AbsentDiagnosis, absent};
pub use affected::AffectedTokens;
pub use correlate::ClockEffect;

use crate::base::time::{Delta, Monotonic, Reading};
use crate::findings::{Affected, Finding, wording};
use crate::world::clocks::{ClockFacts, ClockModel};
use crate::world::cluster::AccountName;
use crate::world::tokens::State;
use crate::world::{Config, Facts, World};

/// The diagnosis of one token.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenDiagnosis {
    /// Its findings.
    pub findings: Vec<Finding>,
    /// The effect of a wrong node clock on the token.
    pub clock_effect: ClockEffect,
    /// The service account to request from the API server, because it may be why the token is not
    /// replaced.
    pub query: Option<AccountName>,
    /// When the diagnosis may change by the passing of time alone.
    pub next: Option<Monotonic>,
}

/// The diagnosis of the node itself.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeDiagnosis {
    /// Findings about the clock and the time servers.
    pub clock: Vec<Finding>,
    /// The finding about what the agent cannot see.
    pub visibility: Option<Finding>,
    /// The finding about volumes that kubelet has not set up.
    pub volumes: Option<Finding>,
    /// The finding about alerts that are not delivered.
    pub delivery: Option<Finding>,
    /// When the diagnosis may change by the passing of time alone.
    pub next: Option<Monotonic>,
}

/// Diagnoses a token at `now`.
pub fn token(facts: &Facts<'_>, now: &Reading) -> TokenDiagnosis {
    let cause = facts.generation().map(|generation| correlate::token(generation, now.wall, facts));
    let lifecycle = cause.and_then(|cause| cause.symptom);
    let symptoms = token::file(facts, now)
        .into_iter()
        .chain(lifecycle)
        .chain(subpath::symptom(facts, now.wall));
    TokenDiagnosis {
        findings: symptoms.map(|symptom| wording::token(symptom, facts, now.wall)).collect(),
        clock_effect: cause.map_or(ClockEffect::None, |cause| cause.clock_effect),
        query: account_to_request(facts, now),
        next: next::for_token(facts, now),
    }
}

/// The service account of a token whose replacement is late.
fn account_to_request(facts: &Facts<'_>, now: &Reading) -> Option<AccountName> {
    let is_late = match facts.generation()?.deadlines.state(now.wall) {
        State::Late | State::Stalled | State::Expired => facts.deletion().is_none(),
        State::Fresh | State::Due | State::NotYetValid => false,
    };
    is_late.then(|| facts.account()).flatten()
}

/// Diagnoses the node at `now`. `affected` counts the tokens that a wrong node clock affects.
pub fn node(world: &World, config: &Config, affected: Affected, now: &Reading) -> NodeDiagnosis {
    let clock_ready = world.startup.clock_ready_at(now).is_none();
    let clock = clock_ready.then(|| clock_of(&config.node, &world.clock, affected, now));
    NodeDiagnosis {
        clock: clock.unwrap_or_default(),
        visibility: wording::blind(&config.node, &world.blind_spots()),
        volumes: absent::empty_volumes(world, now)
            .map(|empty| wording::empty_volumes(&config.node, &empty)),
        delivery: delayed(world, config.delivery_limit, now)
            .map(|waited| wording::delivery(&config.node, &world.delivery, waited)),
        next: next::for_node(world, config, now),
    }
}

/// Diagnoses a clock at `now`.
pub fn clock_of(node: &str, model: &ClockModel, affected: Affected, now: &Reading) -> Vec<Finding> {
    let facts = ClockFacts::new(model, now);
    let symptoms = correlate::clock(clock::symptoms(&facts), &facts);
    let worded = |symptom| wording::clock(node, symptom, &facts, affected);
    symptoms.iter().map(worded).collect()
}

/// How long the oldest undelivered alert has waited, if that is at least `limit`.
fn delayed(world: &World, limit: Delta, now: &Reading) -> Option<Delta> {
    let waited = now.monotonic - world.delivery.waiting_since?.monotonic;
    (waited >= limit).then_some(waited)
}

#[cfg(test)]
mod cause_tests;
#[cfg(test)]
mod clock_tests;
#[cfg(test)]
mod token_tests;

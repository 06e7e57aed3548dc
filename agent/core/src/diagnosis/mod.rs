//! What is wrong: the world to typed symptoms, and symptoms to one finding per cause.

mod affected;
mod clock;
mod correlate;
mod next;
mod token;

pub use affected::AffectedTokens;
pub use correlate::ClockEffect;

use crate::base::time::{Delta, Monotonic, Reading};
use crate::findings::{Affected, Finding, wording};
use crate::world::clocks::{ClockFacts, ClockModel};
use crate::world::cluster::AccountName;
use crate::world::tokens::State;
use crate::world::{Config, Facts, World};

/// The judgement on one token.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenDiagnosis {
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// What the node's clock, being wrong, does to it.
    pub clock_effect: ClockEffect,
    /// The account to request from the API server: it may be why the token is not replaced.
    pub query: Option<AccountName>,
    /// When the judgement may change by the passing of time alone.
    pub next: Option<Monotonic>,
}

/// The judgement on the node itself.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeDiagnosis {
    /// About the clock and the time servers.
    pub clock: Vec<Finding>,
    /// About what the agent cannot see.
    pub visibility: Option<Finding>,
    /// About alerts that do not get out.
    pub delivery: Option<Finding>,
    /// When the judgement may change by the passing of time alone.
    pub next: Option<Monotonic>,
}

/// Judges a token at `now`.
pub fn token(facts: &Facts<'_>, now: &Reading) -> TokenDiagnosis {
    let cause = facts.generation().map(|generation| correlate::token(generation, now.wall, facts));
    let lifecycle = cause.and_then(|cause| cause.symptom);
    let symptoms = token::file(facts, now).into_iter().chain(lifecycle);
    TokenDiagnosis {
        findings: symptoms.map(|symptom| wording::token(symptom, facts, now.wall)).collect(),
        clock_effect: cause.map_or(ClockEffect::None, |cause| cause.clock_effect),
        query: account_in_question(facts, now),
        next: next::for_token(facts, now),
    }
}

/// The account of a token that waits for its replacement.
fn account_in_question(facts: &Facts<'_>, now: &Reading) -> Option<AccountName> {
    let waits = match facts.generation()?.deadlines.state(now.wall) {
        State::Late | State::Stalled | State::Expired => facts.deletion().is_none(),
        State::Fresh | State::Due | State::NotYetValid => false,
    };
    waits.then(|| facts.account()).flatten()
}

/// Judges the node at `now`. `affected` counts the tokens that a wrong clock has an effect on.
pub fn node(world: &World, config: &Config, affected: Affected, now: &Reading) -> NodeDiagnosis {
    let clock_ready = world.startup.clock_ready_at(now).is_none();
    NodeDiagnosis {
        clock: if clock_ready {
            clock_of(&config.node, &world.clock, affected, now)
        } else {
            Vec::new()
        },
        visibility: wording::blind(&config.node, &world.blind_spots()),
        delivery: delayed(world, config.delivery_limit, now)
            .map(|waited| wording::delivery(&config.node, &world.delivery, waited)),
        next: next::for_node(world, config, now),
    }
}

/// Judges a clock at `now`.
pub fn clock_of(node: &str, model: &ClockModel, affected: Affected, now: &Reading) -> Vec<Finding> {
    let facts = ClockFacts::new(model, now);
    let symptoms = correlate::clock(clock::symptoms(&facts), &facts);
    let worded = |symptom| wording::clock(node, symptom, &facts, affected);
    symptoms.iter().map(worded).collect()
}

/// How long the oldest alert has waited, where that is too long.
fn delayed(world: &World, limit: Delta, now: &Reading) -> Option<Delta> {
    let waited = now.monotonic - world.delivery.waiting_since?.monotonic;
    (waited >= limit).then_some(waited)
}

#[cfg(test)]
mod clock_tests;
#[cfg(test)]
mod token_tests;

//! From symptoms to causes. Every rule that suppresses, softens or replaces a symptom because
//! something else explains it stands here.

use super::token as by_clock;
use crate::base::time::Wall;
use crate::findings::{ClockFault, ClockSymptom, Severity, TokenFault, TokenSymptom};
use crate::world::Facts;
use crate::world::clocks::ClockFacts;
use crate::world::tokens::{Generation, State};

/// What a wrong node clock does to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockEffect {
    /// Nothing that matters.
    None,
    /// It only looks wrong.
    LooksWrong,
    /// It only looks good: the API server refuses it, and kubelet sees no reason to replace it.
    Refused,
}

/// What is left of a token's symptoms once causes are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenCause {
    /// What is wrong with the generation in the file.
    pub(super) symptom: Option<TokenSymptom>,
    /// What the clock, which has its own finding, does to it.
    pub(super) clock_effect: ClockEffect,
}

/// A generation in view of the node's clock, its pod, its account and kubelet.
pub(super) fn token(generation: &Generation, now: Wall, facts: &Facts<'_>) -> TokenCause {
    let seen = explained(generation, now, facts);
    let true_now = facts.true_time(now);
    // A lost account is the API server's own answer, which no clock can explain.
    let symptom = match true_now.filter(|_| facts.lost.is_none()) {
        Some(true_now) => by_both_clocks(seen, explained(generation, true_now, facts)),
        None => seen,
    };
    let only_by_clock = seen.is_some() && symptom.is_none();
    let refused = true_now.is_some_and(|true_now| is_refused_unseen(generation, now, true_now));
    let clock_effect = match (only_by_clock, refused) {
        (true, _) => ClockEffect::LooksWrong,
        (false, true) => ClockEffect::Refused,
        (false, false) => ClockEffect::None,
    };
    TokenCause { symptom, clock_effect }
}

/// What is wrong at `now`, by one clock: the pod's termination, a step of the clock that kubelet
/// has to catch up with, and a lost account explain what they explain.
fn explained(generation: &Generation, now: Wall, facts: &Facts<'_>) -> Option<TokenSymptom> {
    if let Some(deletion) = facts.deletion() {
        // kubelet does not sync the volumes of such a pod: a late rotation is not its fault.
        return by_clock::terminating(generation, now, deletion);
    }
    let symptom = by_clock::lifecycle(generation, now, facts)?;
    let waits = matches!(symptom.fault, TokenFault::RotationLate | TokenFault::RotationStalled(_));
    if waits && facts.catching_up.is_some_and(|step| step.excuses(&generation.deadlines, now)) {
        return None;
    }
    Some(if facts.lost.is_some() { without_account(symptom, facts) } else { symptom })
}

/// A token that waits for its replacement waits in vain: it stalls at once.
fn without_account(symptom: TokenSymptom, facts: &Facts<'_>) -> TokenSymptom {
    let (fault, severity) = match symptom.fault {
        TokenFault::RotationLate | TokenFault::RotationStalled(_) => {
            (TokenFault::RotationStalled(facts.lost), Severity::Critical)
        }
        TokenFault::Expired(_) => (TokenFault::Expired(facts.lost), symptom.severity),
        TokenFault::NotYetValid
        | TokenFault::FutureDated
        | TokenFault::PodTerminating { .. }
        | TokenFault::Malformed
        | TokenFault::Unreadable => (symptom.fault, symptom.severity),
    };
    TokenSymptom { fault, severity }
}

/// What is wrong by both clocks: the milder of the two. What only one of them sees is the clock's
/// fault, and the clock has its own finding.
fn by_both_clocks(
    node: Option<TokenSymptom>,
    corrected: Option<TokenSymptom>,
) -> Option<TokenSymptom> {
    let (node, corrected) = (node?, corrected?);
    if node.fault.code() == corrected.fault.code() {
        return Some(TokenSymptom { severity: node.severity.min(corrected.severity), ..node });
    }
    // Too old by one clock, too new by the other: neither can be held against kubelet.
    let same_side = is_too_new(node.fault) == is_too_new(corrected.fault);
    let milder = if rank(node.fault) < rank(corrected.fault) { node } else { corrected };
    same_side.then_some(milder)
}

fn is_too_new(fault: TokenFault) -> bool {
    matches!(fault, TokenFault::NotYetValid | TokenFault::FutureDated)
}

/// From mild to bad, within what is too old and what is too new.
fn rank(fault: TokenFault) -> u8 {
    match fault {
        TokenFault::RotationLate | TokenFault::FutureDated => 0,
        TokenFault::RotationStalled(_) => 1,
        TokenFault::Expired(_)
        | TokenFault::NotYetValid
        | TokenFault::PodTerminating { .. }
        | TokenFault::Malformed
        | TokenFault::Unreadable => 2,
    }
}

/// Dead by true time, and not by the clock that kubelet goes by.
fn is_refused_unseen(generation: &Generation, node_now: Wall, true_now: Wall) -> bool {
    true_now > generation.deadlines.hard && generation.deadlines.state(node_now) != State::Expired
}

/// The clock's symptoms less those that another one explains.
pub(super) fn clock(symptoms: Vec<ClockSymptom>, facts: &ClockFacts<'_>) -> Vec<ClockSymptom> {
    let is_unknown = symptoms.iter().any(|symptom| symptom.fault == ClockFault::Unknown);
    let stands = |symptom: &ClockSymptom| match symptom.fault {
        // The network of a starting node comes up late.
        ClockFault::Unknown => !facts.in_grace(),
        // That no daemon disciplines the clock is one of the reasons that clock.unknown gives.
        ClockFault::Unsynchronized => !facts.in_grace() && !is_unknown,
        ClockFault::Offset
        | ClockFault::Stepped(_)
        | ClockFault::LeapSecond(_)
        | ClockFault::Contradiction { .. }
        | ClockFault::Falseticker { .. } => true,
    };
    symptoms.into_iter().filter(stands).map(|symptom| softened(symptom, facts)).collect()
}

/// Beside clock.offset a step is the cause of what is reported already.
fn softened(symptom: ClockSymptom, facts: &ClockFacts<'_>) -> ClockSymptom {
    match symptom.fault {
        ClockFault::Stepped(_) if facts.is_off() => {
            ClockSymptom { severity: Severity::Info, ..symptom }
        }
        ClockFault::Offset
        | ClockFault::Unsynchronized
        | ClockFault::Stepped(_)
        | ClockFault::LeapSecond(_)
        | ClockFault::Unknown
        | ClockFault::Contradiction { .. }
        | ClockFault::Falseticker { .. } => symptom,
    }
}

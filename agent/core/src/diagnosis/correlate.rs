//! From symptoms to causes. This file has every rule that drops, softens or replaces a symptom
//! because something else explains it.

use super::apiserver::is_dated_by;
use super::token as symptoms;
use crate::base::time::Wall;
use crate::findings::{ClockFault, ClockSymptom, Severity, TokenFault, TokenSymptom};
use crate::world::Facts;
use crate::world::clocks::ClockFacts;
use crate::world::cluster::PodStage;
use crate::world::kubelet::Extent;
use crate::world::tokens::{Generation, State};

/// The effect of a wrong node clock on a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockEffect {
    /// None that matters.
    None,
    /// The token is good, and looks wrong by the node's clock.
    LooksWrong,
    /// The API server rejects the token, and it looks good by the node's clock: kubelet does not
    /// replace it.
    Refused,
}

/// The diagnosis of a generation after correlation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenCause {
    /// The symptom that nothing else explains.
    pub(super) symptom: Option<TokenSymptom>,
    /// The symptom, if a kubelet that replaces no token at all would explain it.
    pub(super) by_kubelet: Option<TokenSymptom>,
    /// The effect of the node's clock, which has its own finding.
    pub(super) clock_effect: ClockEffect,
    /// Whether the clock of an API server, which has its own finding, explains the symptom.
    pub(super) is_api_servers: bool,
}

/// Whether kubelet will explain that a token that is due now was not replaced, if it is not.
pub(super) fn will_be_kubelets(generation: &Generation, now: Wall, facts: &Facts<'_>) -> bool {
    generation.deadlines.state(now) == State::Due
        && token(generation, generation.deadlines.stalled, facts).by_kubelet.is_some()
}

/// Diagnoses a generation, given the clock, its pod, its service account and kubelet.
pub(super) fn token(generation: &Generation, now: Wall, facts: &Facts<'_>) -> TokenCause {
    let seen = explained(generation, now, facts);
    let true_now = facts.true_time(now);
    let claimed = facts.claimed_time(now);
    let refused = claimed.is_some_and(|true_now| is_refused_unseen(generation, now, true_now));
    // A lost account is an answer of the API server: the clock cannot explain it.
    let symptom = match true_now.filter(|_| facts.lost.is_none()) {
        Some(true_now) => by_both_clocks(seen, explained(generation, true_now, facts)),
        None => seen,
    };
    let by_kubelet = symptom.filter(|symptom| is_kubelets(symptom.fault));
    let by_kubelet = by_kubelet.filter(|_| generation.claims.binding.is_of_kubelet());
    let only_by_clock = seen.is_some() && symptom.is_none();
    // The API server decides by true time: the clock does not make a refused token good.
    let clock_effect = match (only_by_clock, refused) {
        (_, true) => ClockEffect::Refused,
        (true, false) => ClockEffect::LooksWrong,
        (false, false) => ClockEffect::None,
    };
    let is_api_servers = symptom.is_some_and(|symptom| is_dated(symptom, generation, now, facts));
    let is_kubelets = by_kubelet.is_some() && facts.kubelet.is_stalled;
    let symptom = symptom.filter(|_| !is_kubelets && !is_api_servers);
    // kubelet's own finding takes the place of this one, unless others are replaced first.
    let is_first = |symptom: &TokenSymptom| symptom.fault == TokenFault::RotationLate;
    let symptom = symptom.filter(|symptom| !facts.kubelet.is_pending || !is_first(symptom));
    TokenCause { symptom, by_kubelet, clock_effect, is_api_servers }
}

/// Whether the token looks too new because the clock of the API server that signed it is ahead. One
/// that does not answer the agent may not be the one that answers the pod: a token that is not
/// valid yet is refused by another one.
fn is_dated(symptom: TokenSymptom, generation: &Generation, now: Wall, facts: &Facts<'_>) -> bool {
    let lead = generation.claims.issued_at - now;
    let clock = facts.verifier.ahead.filter(|clock| is_dated_by(*clock, lead));
    clock.is_some_and(|clock| match symptom.fault {
        TokenFault::FutureDated => true,
        TokenFault::NotYetValid => clock.answers,
        TokenFault::RotationLate
        | TokenFault::RotationStalled
        | TokenFault::Expired
        | TokenFault::Unsynced(_)
        | TokenFault::SubjectReplaced(_)
        | TokenFault::PodTerminating(_)
        | TokenFault::Malformed
        | TokenFault::Unreadable
        | TokenFault::Subpath
        | TokenFault::ReaderStale
        | TokenFault::MountFrozen
        | TokenFault::Audience(_) => false,
    })
}

/// Whether a kubelet that replaces no token at all explains the fault.
fn is_kubelets(fault: TokenFault) -> bool {
    match fault {
        TokenFault::RotationLate | TokenFault::RotationStalled | TokenFault::Expired => true,
        TokenFault::Unsynced(silence) => matches!(silence.extent, Extent::Node | Extent::Most),
        TokenFault::SubjectReplaced(_)
        | TokenFault::NotYetValid
        | TokenFault::FutureDated
        | TokenFault::PodTerminating(_)
        | TokenFault::Malformed
        | TokenFault::Unreadable
        | TokenFault::Subpath
        | TokenFault::ReaderStale
        | TokenFault::MountFrozen
        | TokenFault::Audience(_) => false,
    }
}

/// The symptom at `now`, by one clock, after four rules: a pod that comes to its end, a lost
/// service account, a volume that kubelet does not sync, and a step of the clock that kubelet has
/// to catch up with.
fn explained(generation: &Generation, now: Wall, facts: &Facts<'_>) -> Option<TokenSymptom> {
    match facts.stage {
        PodStage::Unknown | PodStage::Active => {}
        // kubelet does not replace the tokens of these pods: a late rotation is no symptom.
        // A token that is not valid yet has a cause of its own.
        PodStage::Terminating { .. } if is_early(generation, now) => {}
        PodStage::Terminating { deletion } => {
            return symptoms::terminating(generation, now, deletion);
        }
        PodStage::Deleted(deleted) => {
            return symptoms::deleted(generation, now, deleted, facts.deletion());
        }
        PodStage::Ended(phase) => {
            return symptoms::ended(generation, now, phase, facts.deletion());
        }
    }
    if let Some(lost) = facts.lost {
        // The API server refuses the token whatever its age, and kubelet may not replace it: one
        // finding, from the loss to the end.
        let fault = TokenFault::SubjectReplaced(lost);
        return Some(TokenSymptom { fault, severity: Severity::Critical });
    }
    let symptom = symptoms::lifecycle(generation, now, facts);
    // Past its end, kubelet has no token left to write, and so the silence is a consequence.
    let is_cause = symptom.is_none_or(is_waiting) && now < generation.deadlines.effective;
    let is_cause = is_cause && generation.claims.binding.is_of_kubelet();
    if let Some(silence) = facts.kubelet.unsynced.filter(|_| is_cause) {
        return Some(symptoms::unsynced(silence, symptom, facts.stage));
    }
    let symptom = symptom?;
    if is_waiting(symptom)
        && facts.kubelet.catching_up.is_some_and(|step| step.excuses(&generation.deadlines, now))
    {
        return None;
    }
    Some(symptom)
}

/// Whether the token still waits to be replaced.
fn is_waiting(symptom: TokenSymptom) -> bool {
    matches!(symptom.fault, TokenFault::RotationLate | TokenFault::RotationStalled)
}

fn is_early(generation: &Generation, now: Wall) -> bool {
    generation.deadlines.state(now) == State::NotYetValid
}

/// The symptom that exists by the node's clock and by true time, with the lower severity. A symptom
/// by only one of them is an effect of the clock, which has its own finding.
fn by_both_clocks(
    node: Option<TokenSymptom>,
    corrected: Option<TokenSymptom>,
) -> Option<TokenSymptom> {
    let (node, corrected) = (node?, corrected?);
    if node.fault.code() == corrected.fault.code() {
        return Some(TokenSymptom { severity: node.severity.min(corrected.severity), ..node });
    }
    // Too old by one clock and too new by the other: both are effects of the clock.
    let same_side = is_too_new(node.fault) == is_too_new(corrected.fault);
    let milder = if rank(node.fault) < rank(corrected.fault) { node } else { corrected };
    same_side.then_some(milder)
}

fn is_too_new(fault: TokenFault) -> bool {
    matches!(fault, TokenFault::NotYetValid | TokenFault::FutureDated)
}

/// Order of severity within the symptoms of old tokens, and within those of new tokens.
fn rank(fault: TokenFault) -> u8 {
    match fault {
        TokenFault::RotationLate | TokenFault::FutureDated => 0,
        TokenFault::RotationStalled | TokenFault::Unsynced(_) => 1,
        TokenFault::Expired
        | TokenFault::NotYetValid
        | TokenFault::SubjectReplaced(_)
        | TokenFault::PodTerminating(_)
        | TokenFault::Malformed
        | TokenFault::Unreadable
        | TokenFault::Subpath
        | TokenFault::ReaderStale
        | TokenFault::MountFrozen
        | TokenFault::Audience(_) => 2,
    }
}

/// Whether the token is past its hard deadline by true time, and not expired by the node's clock,
/// which kubelet uses.
fn is_refused_unseen(generation: &Generation, node_now: Wall, true_now: Wall) -> bool {
    true_now > generation.deadlines.hard && generation.deadlines.state(node_now) != State::Expired
}

/// The symptoms of the clock, without those that another one explains.
pub(super) fn clock(symptoms: Vec<ClockSymptom>, facts: &ClockFacts<'_>) -> Vec<ClockSymptom> {
    let has = |fault: ClockFault| symptoms.iter().any(|symptom| symptom.fault == fault);
    let is_carried = has(ClockFault::Unknown) || has(ClockFault::Offset);
    let is_unexplained = |symptom: &ClockSymptom| match symptom.fault {
        // The network of a starting node may come up late, and the kernel reports after a step.
        ClockFault::Unknown => !facts.in_grace() && !facts.expects_kernel(),
        // That no daemon disciplines the clock is one of the reasons that clock.unknown and
        // clock.offset give.
        ClockFault::Unsynchronized => !facts.in_grace() && !is_carried,
        ClockFault::Offset
        | ClockFault::Stepped(_)
        | ClockFault::LeapSecond(_)
        | ClockFault::Contradiction
        | ClockFault::SecondCamp
        | ClockFault::Falseticker { .. } => true,
    };
    symptoms.into_iter().filter(is_unexplained).map(|symptom| softened(symptom, facts)).collect()
}

/// Beside clock.offset, a step is info: clock.offset carries the severity.
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
        | ClockFault::Contradiction
        | ClockFault::SecondCamp
        | ClockFault::Falseticker { .. } => symptom,
    }
}

//! The symptoms of one token, by one clock.

use crate::base::time::{Delta, Reading, Wall};
use crate::findings::{PodEnd, Severity, TokenFault, TokenSymptom};
use crate::world::Facts;
use crate::world::cluster::{Deleted, Phase, PodStage};
use crate::world::kubelet::{Extent, Silence};
use crate::world::tokens::{CACHE, Generation, LEEWAY, State};

/// How far `iat` may be ahead: two healthy clocks, and the rounding of `iat` to seconds, explain
/// less than this.
pub(super) const FUTURE_TOLERANCE: Delta = Delta::from_secs(10);
/// Distance of `iat` from which it is a warning: the API server's leeway. If its clock is set
/// right, it rejects such a token.
pub(super) const FUTURE_WARNING: Delta = LEEWAY;

/// Time before the effective deadline from which a late rotation is a warning: kubelet's longest
/// time for two attempts. Tokens that live for ten minutes have less than that when they are late.
pub(super) const URGENT: Delta = Delta::from_secs(120);
/// Time for which a pod may hold up kubelet: a large image, or a slow hook.
pub(super) const HELD_UP: Delta = Delta::from_secs(900);
/// Time that kubelet has to remove the files of a pod that the API server does not know. It kills
/// the containers after the pod's grace period (default 30 s), and needs up to 90 s to notice.
pub(super) const REMOVAL: Delta = Delta::from_secs(120);

/// The symptom of a generation if the time is `now`.
pub(super) fn lifecycle(
    generation: &Generation,
    now: Wall,
    facts: &Facts<'_>,
) -> Option<TokenSymptom> {
    let symptom = |fault, severity| Some(TokenSymptom { fault, severity });
    match generation.deadlines.state(now) {
        State::Expired => symptom(TokenFault::Expired, Severity::Critical),
        State::NotYetValid => symptom(TokenFault::NotYetValid, Severity::Critical),
        State::Stalled => symptom(TokenFault::RotationStalled, stalled_severity(generation, now)),
        State::Late => symptom(TokenFault::RotationLate, late_severity(generation, now)),
        State::Fresh | State::Due => future_dated(generation, now, facts),
    }
}

fn late_severity(generation: &Generation, now: Wall) -> Severity {
    let is_urgent = now > generation.deadlines.effective - URGENT;
    if is_urgent { Severity::Warning } else { Severity::Info }
}

/// Critical from the last third of the slack on. An extended token past its effective deadline is a
/// warning again, because it still works.
fn stalled_severity(generation: &Generation, now: Wall) -> Severity {
    let extended = generation.claims.warn_after.is_some();
    let past = now >= generation.deadlines.effective;
    let critical = now >= generation.deadlines.critical && !(past && extended);
    if critical { Severity::Critical } else { Severity::Warning }
}

/// The symptom of a volume that kubelet does not sync. It is no more than a hint at first: kubelet
/// may pull an image for the pod, or wait for a hook of it, and goes on then. Where it goes on with
/// another volume of the pod, it fails at this one. Without the API server the pod may have ended.
pub(super) fn unsynced(
    silence: Silence,
    lifecycle: Option<TokenSymptom>,
    stage: PodStage,
) -> TokenSymptom {
    let is_held_up = silence.age < HELD_UP || stage != PodStage::Active;
    let is_sure = match silence.extent {
        Extent::Node => true,
        Extent::Volume | Extent::Most => stage == PodStage::Active,
        Extent::Pod | Extent::VolumeOrPod | Extent::Unknown => !is_held_up,
    };
    let severity = if is_sure { Severity::Warning } else { Severity::Info };
    let severity = lifecycle.map_or(severity, |symptom| symptom.severity.max(severity));
    TokenSymptom { fault: TokenFault::Unsynced(silence), severity }
}

fn future_dated(generation: &Generation, now: Wall, facts: &Facts<'_>) -> Option<TokenSymptom> {
    let ahead = generation.claims.issued_at - now;
    let severity = if ahead > FUTURE_WARNING { Severity::Warning } else { Severity::Info };
    (ahead > FUTURE_TOLERANCE + facts.proven_bound())
        .then_some(TokenSymptom { fault: TokenFault::FutureDated, severity })
}

/// The symptom of a token whose pod is being deleted.
pub(super) fn terminating(
    generation: &Generation,
    now: Wall,
    deletion: Wall,
) -> Option<TokenSymptom> {
    // Forged claims can have warnafter behind exp.
    let effective = generation.deadlines.effective.min(generation.deadlines.expires);
    let is_past = now >= effective;
    let expired = is_past && generation.claims.warn_after.is_none();
    let rejected = now >= deletion + LEEWAY + CACHE || now >= generation.deadlines.expires;
    let severity = if expired || rejected { Severity::Critical } else { Severity::Warning };
    let (end, fails) = if now < deletion {
        (PodEnd::Ahead { deletion }, effective < deletion)
    } else {
        (PodEnd::Overdue { deletion }, is_past || rejected)
    };
    fails.then_some(TokenSymptom { fault: TokenFault::PodTerminating(end), severity })
}

/// The symptom of a token whose pod the API server does not know. While kubelet may still be
/// removing the files, only a token that failed before is a symptom. A pod that the agent never
/// knew may have left its files behind long ago: nothing has to use them.
pub(super) fn deleted(
    generation: &Generation,
    now: Wall,
    deleted: Deleted,
    deletion: Option<Wall>,
) -> Option<TokenSymptom> {
    let overdue = deleted.ran && deleted.age >= REMOVAL;
    let severity = if overdue { Severity::Warning } else { Severity::Info };
    (overdue || has_failed(generation, now, deletion)).then_some(TokenSymptom {
        fault: TokenFault::PodTerminating(PodEnd::Deleted(deleted)),
        severity,
    })
}

/// The symptom of a token whose pod's containers have ended: nothing uses it.
pub(super) fn ended(
    generation: &Generation,
    now: Wall,
    phase: Phase,
    deletion: Option<Wall>,
) -> Option<TokenSymptom> {
    has_failed(generation, now, deletion).then_some(TokenSymptom {
        fault: TokenFault::PodTerminating(PodEnd::Ended(phase)),
        severity: Severity::Info,
    })
}

/// Whether the token of a pod that has ended was a symptom by then, or would be one: kubelet does
/// not replace it in time, or the API server refuses it because the pod was deleted.
fn has_failed(generation: &Generation, now: Wall, deletion: Option<Wall>) -> bool {
    let rejected = deletion.is_some_and(|deletion| now >= deletion + LEEWAY);
    match generation.deadlines.state(now) {
        State::Fresh | State::Due | State::NotYetValid => rejected,
        State::Late | State::Stalled | State::Expired => true,
    }
}

/// The symptom of the file, once it had the time to settle.
pub(super) fn file(facts: &Facts<'_>, now: &Reading) -> Option<TokenSymptom> {
    let trouble = facts.tracked.trouble.as_ref()?;
    let fault = if trouble.malformed { TokenFault::Malformed } else { TokenFault::Unreadable };
    (now.monotonic - trouble.since.monotonic >= facts.settle)
        .then_some(TokenSymptom { fault, severity: Severity::Warning })
}

//! The symptoms of one token, by one clock.

use crate::base::time::{Delta, Reading, Wall};
use crate::findings::{Severity, TokenFault, TokenSymptom};
use crate::world::Facts;
use crate::world::tokens::{Generation, LEEWAY, State};

/// How far `iat` may be ahead: two healthy clocks, and the rounding of `iat` to seconds, explain
/// less than this.
pub(super) const FUTURE_TOLERANCE: Delta = Delta::from_secs(10);
/// Distance of `iat` from which it is a warning: the API server's leeway. If its clock is set
/// right, it rejects such a token.
pub(super) const FUTURE_WARNING: Delta = LEEWAY;

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
        State::Late => symptom(TokenFault::RotationLate, Severity::Info),
        State::Fresh | State::Due => future_dated(generation, now, facts),
    }
}

/// Critical from the last third of the slack on. An extended token past its effective deadline is a
/// warning again, because it still works.
fn stalled_severity(generation: &Generation, now: Wall) -> Severity {
    let extended = generation.claims.warn_after.is_some();
    let past = now >= generation.deadlines.effective;
    let critical = now >= generation.deadlines.critical && !(past && extended);
    if critical { Severity::Critical } else { Severity::Warning }
}

fn future_dated(generation: &Generation, now: Wall, facts: &Facts<'_>) -> Option<TokenSymptom> {
    let ahead = generation.claims.issued_at - now;
    let severity = if ahead > FUTURE_WARNING { Severity::Warning } else { Severity::Info };
    (ahead > FUTURE_TOLERANCE + facts.proven_bound())
        .then_some(TokenSymptom { fault: TokenFault::FutureDated, severity })
}

/// The symptom of a token whose pod is terminating.
pub(super) fn terminating(
    generation: &Generation,
    now: Wall,
    deletion: Wall,
) -> Option<TokenSymptom> {
    let effective = generation.deadlines.effective;
    let dead = now >= effective && generation.claims.warn_after.is_none();
    let severity = if dead { Severity::Critical } else { Severity::Warning };
    let fails_before = effective < deletion && now < deletion;
    fails_before
        .then_some(TokenSymptom { fault: TokenFault::PodTerminating { deletion }, severity })
}

/// The symptom of the file, once it had the time to settle.
pub(super) fn file(facts: &Facts<'_>, now: &Reading) -> Option<TokenSymptom> {
    let trouble = facts.tracked.trouble.as_ref()?;
    let fault = if trouble.malformed { TokenFault::Malformed } else { TokenFault::Unreadable };
    (now.monotonic - trouble.since.monotonic >= facts.settle)
        .then_some(TokenSymptom { fault, severity: Severity::Warning })
}

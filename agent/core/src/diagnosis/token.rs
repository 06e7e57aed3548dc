//! What is wrong with one token, by one clock.

use crate::base::time::{Delta, Reading, Wall};
use crate::findings::{Severity, TokenFault, TokenSymptom};
use crate::world::Facts;
use crate::world::tokens::{Generation, LEEWAY, State};

/// `iat` this far ahead is what two healthy clocks and the second that `iat` is cut to can explain.
pub(super) const FUTURE_TOLERANCE: Delta = Delta::from_secs(10);
/// From here on the API server, set right, refuses the token: its leeway.
pub(super) const FUTURE_WARNING: Delta = LEEWAY;

/// What is wrong with a generation if `now` is the time.
pub(super) fn lifecycle(
    generation: &Generation,
    now: Wall,
    facts: &Facts<'_>,
) -> Option<TokenSymptom> {
    let symptom = |fault, severity| Some(TokenSymptom { fault, severity });
    match generation.deadlines.state(now) {
        State::Expired => symptom(TokenFault::Expired(None), Severity::Critical),
        State::NotYetValid => symptom(TokenFault::NotYetValid, Severity::Critical),
        State::Stalled => {
            symptom(TokenFault::RotationStalled(None), stalled_severity(generation, now))
        }
        State::Late => symptom(TokenFault::RotationLate, Severity::Info),
        State::Fresh | State::Due => future_dated(generation, now, facts),
    }
}

/// Critical near the deadline. Past it only without extension: an extended token goes on working.
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

/// What is wrong with the token of a pod that is terminating.
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

/// What is wrong with the file, once it had the time to settle.
pub(super) fn file(facts: &Facts<'_>, now: &Reading) -> Option<TokenSymptom> {
    let trouble = facts.tracked.trouble.as_ref()?;
    let fault = if trouble.malformed { TokenFault::Malformed } else { TokenFault::Unreadable };
    (now.monotonic - trouble.since.monotonic >= facts.settle)
        .then_some(TokenSymptom { fault, severity: Severity::Warning })
}

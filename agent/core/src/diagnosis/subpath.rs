//! Tokens of which a container mounts one generation by `subPath`.

use crate::base::time::{Monotonic, Reading, Wall};
use crate::findings::{Severity, TokenFault, TokenSymptom};
use crate::world::{Facts, Pinned};

/// The symptom when the node's clock reads `now`. It is critical once a container certainly has no
/// valid token any more. An extended token is valid for a year, and few containers run that long.
pub(super) fn symptom(facts: &Facts<'_>, now: Wall) -> Option<TokenSymptom> {
    let pinned = facts.pinned();
    let is_extended =
        facts.generation().is_some_and(|generation| generation.claims.warn_after.is_some());
    let severity = match pinned.as_slice() {
        [] => return None,
        pinned if pinned.iter().any(|one| has_failed(one, verifier(facts, now))) => {
            Severity::Critical
        }
        pinned if is_extended && pinned.iter().all(Pinned::is_file) => Severity::Info,
        _ => Severity::Warning,
    };
    Some(TokenSymptom { fault: TokenFault::Subpath, severity })
}

fn has_failed(pinned: &Pinned<'_>, at: Wall) -> bool {
    pinned.fails_at().is_some_and(|fails_at| fails_at <= at)
}

/// True time where it is known to differ: the API server decides.
fn verifier(facts: &Facts<'_>, now: Wall) -> Wall {
    facts.true_time(now).unwrap_or(now)
}

/// When the severity changes.
pub(super) fn next(facts: &Facts<'_>, now: &Reading) -> Option<Monotonic> {
    let at = verifier(facts, now.wall);
    let ends = facts.pinned().into_iter().filter_map(|pinned| pinned.fails_at());
    ends.filter(|end| *end > at).min().map(|end| now.monotonic + (end - at))
}

#[cfg(test)]
#[path = "subpath_tests.rs"]
mod tests;

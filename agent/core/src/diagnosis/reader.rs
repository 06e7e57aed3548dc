//! Readers that keep a token which kubelet has replaced, and mounts that do.

use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::findings::{Severity, TokenFault, TokenSymptom};
use crate::world::readers::HeldGeneration;
use crate::world::{Conclusions, Facts};

/// Longest time before a failure in which it is critical.
const NEAR: Delta = Delta::from_secs(600);

/// The symptom of a reader that keeps an earlier generation.
pub(super) fn stale(
    facts: &Facts<'_>,
    readers: &Conclusions<'_>,
    now: Wall,
) -> Option<TokenSymptom> {
    let stale = readers.stale()?;
    let severity = match (stale.is_confirmed(), critical_from(&stale.held, stale.rotated_at)) {
        (false, _) => Severity::Info,
        (true, from) if verifier(facts, now) >= from => Severity::Critical,
        (true, _) => Severity::Warning,
    };
    Some(TokenSymptom { fault: TokenFault::ReaderStale, severity })
}

/// The symptom of a container with an old mount.
pub(super) fn frozen(facts: &Facts<'_>, now: Wall) -> Option<TokenSymptom> {
    let frozen = facts.frozen_mount()?;
    let is_near = verifier(facts, now) >= critical_from(&frozen.held, frozen.since);
    let severity = if is_near { Severity::Critical } else { Severity::Warning };
    Some(TokenSymptom { fault: TokenFault::MountFrozen, severity })
}

/// From when on the failure of a kept token is near: in the last third of the time since it was
/// replaced, but no more than ten minutes before.
fn critical_from(held: &HeldGeneration, replaced: Wall) -> Wall {
    held.dead_at - (held.dead_at - replaced).fraction(1, 3).min(NEAR)
}

/// True time where it is known to differ: the API server decides.
fn verifier(facts: &Facts<'_>, now: Wall) -> Wall {
    facts.true_time(now).unwrap_or(now)
}

/// When a symptom may change by the passing of time alone.
pub(super) fn next(
    facts: &Facts<'_>,
    readers: &Conclusions<'_>,
    now: &Reading,
) -> Option<Monotonic> {
    let at = verifier(facts, now.wall);
    let stale = readers.stale().map(|one| critical_from(&one.held, one.rotated_at));
    let frozen = facts.frozen_mount().map(|one| critical_from(&one.held, one.since));
    let critical = stale.into_iter().chain(frozen).filter(|from| *from > at).min();
    let critical = critical.map(|from| now.monotonic + (from - at));
    critical.into_iter().chain(readers.next_change()).min()
}

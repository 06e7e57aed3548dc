//! The symptom of requests that the API servers on this node refuse.

use crate::base::time::Reading;
use crate::findings::{RejectingSymptom, Severity};
use crate::world::World;
use crate::world::refusals::RefusedPod;

/// Refused requests from which they are reported. Fewer are part of normal life: a client that
/// reads its token again after a 401, and the first requests of a token that the API server does
/// not know yet.
const NOTABLE: u64 = 3;

/// The refused requests of the last minutes, if there are enough. Some clients send useless tokens
/// all the time, as an expired kubeconfig. So they are a warning only if more than an address
/// shows which pod sends them: behind an address may be others, whose requests another API server
/// accepts.
pub(super) fn rejecting(world: &World, now: &Reading) -> Option<RejectingSymptom> {
    if world.startup.tokens_ready_at(now).is_some() {
        return None;
    }
    let facts = world.refused(now);
    let is_proven = facts.named().any(RefusedPod::is_proven);
    let severity = if is_proven { Severity::Warning } else { Severity::Info };
    (facts.requests >= NOTABLE).then_some(RejectingSymptom { facts, severity })
}

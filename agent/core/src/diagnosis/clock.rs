//! The symptoms of the node's clock and of the time servers.

use crate::base::time::Delta;
use crate::findings::{ClockFault, ClockSymptom, Severity};
use crate::world::clocks::{ClockFacts, ClockState, Range, ServerName, camps};

/// Offset from which clock.offset is critical: the API server's leeway. From there on, the API
/// server may reject tokens that are valid by the node's clock.
const CRITICAL_OFFSET: Delta = Delta::from_secs(60);
/// Step size from which a step is a warning: kubelet's jitter. A smaller one moves no rotation
/// noticeably.
const NOTABLE_STEP: Delta = Delta::from_secs(10);

/// Every symptom of the clock, also where one explains another. None before the first measurement.
pub(super) fn symptoms(facts: &ClockFacts<'_>) -> Vec<ClockSymptom> {
    if !facts.is_measured() {
        return Vec::new();
    }
    let of_node =
        [offset(facts), stepped(facts), camps_apart(facts), unknown(facts), undisciplined(facts)];
    of_node.into_iter().flatten().chain(falsetickers(facts)).collect()
}

fn offset(facts: &ClockFacts<'_>) -> Option<ClockSymptom> {
    // One server alone does not show that the node is wrong.
    let critical = facts.estimate.offset.abs() >= CRITICAL_OFFSET && !facts.estimate.alone;
    let severity = if critical { Severity::Critical } else { Severity::Warning };
    facts.is_off().then_some(ClockSymptom { fault: ClockFault::Offset, severity })
}

fn stepped(facts: &ClockFacts<'_>) -> Option<ClockSymptom> {
    let step = facts.step?;
    if facts.was_leap() {
        return Some(info(ClockFault::LeapSecond(step)));
    }
    let notable = step.size.abs() >= NOTABLE_STEP;
    let severity = if notable { Severity::Warning } else { Severity::Info };
    Some(ClockSymptom { fault: ClockFault::Stepped(step), severity })
}

fn camps_apart(facts: &ClockFacts<'_>) -> Option<ClockSymptom> {
    let warning = |fault| ClockSymptom { fault, severity: Severity::Warning };
    if facts.is_contradiction() {
        return Some(warning(ClockFault::Contradiction));
    }
    facts.has_second_camp().then(|| warning(ClockFault::SecondCamp))
}

/// Info where no server is configured: the node may be meant to run without.
fn unknown(facts: &ClockFacts<'_>) -> Option<ClockSymptom> {
    let configured = facts.servers_configured();
    let severity = if configured { Severity::Warning } else { Severity::Info };
    (facts.state() == ClockState::Unknown)
        .then_some(ClockSymptom { fault: ClockFault::Unknown, severity })
}

/// Always info. If the clock is off or unconfirmed, clock.offset or clock.unknown reports it.
fn undisciplined(facts: &ClockFacts<'_>) -> Option<ClockSymptom> {
    facts.is_undisciplined().then(|| info(ClockFault::Unsynchronized))
}

/// Each voter that stands alone against the majority, by the first of its addresses that does.
/// Several that agree are a second camp, which has its own symptom.
fn falsetickers<'a>(facts: &'a ClockFacts<'_>) -> impl Iterator<Item = ClockSymptom> + 'a {
    let camps = camps(facts.falsetickers());
    let alone = move |server: &ServerName| {
        let mut of_one = camps.iter().filter(|camp| camp.is_one_voter());
        of_one.any(|camp| camp.servers.first() == Some(server))
    };
    facts.falsetickers().filter(move |(server, _)| alone(server)).map(falseticker)
}

fn falseticker((server, claim): (&ServerName, Range)) -> ClockSymptom {
    ClockSymptom {
        fault: ClockFault::Falseticker {
            server: server.clone(),
            claim: claim.middle(),
            bound: claim.half(),
        },
        severity: Severity::Warning,
    }
}

fn info(fault: ClockFault) -> ClockSymptom {
    ClockSymptom { fault, severity: Severity::Info }
}

//! What is wrong with the node's clock, and who is: the node or a server.

use crate::base::time::Delta;
use crate::findings::{ClockFault, ClockSymptom, Severity};
use crate::world::clocks::{ClockFacts, ClockState, Range, ServerName};

/// The API server's leeway: a node that is further off sees good tokens refused, and bad ones as
/// good.
const CRITICAL_OFFSET: Delta = Delta::from_secs(60);
/// A step below kubelet's jitter changes no rotation that anybody would notice.
const NOTABLE_STEP: Delta = Delta::from_secs(10);

/// Everything that is wrong with the clock, whatever explains what. Nothing before the first
/// measurement.
pub(super) fn symptoms(facts: &ClockFacts<'_>) -> Vec<ClockSymptom> {
    if !facts.is_measured() {
        return Vec::new();
    }
    let of_node =
        [offset(facts), stepped(facts), contradiction(facts), unknown(facts), undisciplined(facts)];
    of_node.into_iter().flatten().chain(facts.falsetickers().map(falseticker)).collect()
}

fn offset(facts: &ClockFacts<'_>) -> Option<ClockSymptom> {
    let critical = facts.estimate.offset.abs() >= CRITICAL_OFFSET;
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

fn contradiction(facts: &ClockFacts<'_>) -> Option<ClockSymptom> {
    let spread = facts.contradiction().map(|claimed| claimed.hi - claimed.lo)?;
    Some(ClockSymptom { fault: ClockFault::Contradiction { spread }, severity: Severity::Warning })
}

/// Silence of servers that nobody configured is only worth a remark.
fn unknown(facts: &ClockFacts<'_>) -> Option<ClockSymptom> {
    let configured = facts.servers_configured();
    let severity = if configured { Severity::Warning } else { Severity::Info };
    (facts.state() == ClockState::Unknown)
        .then_some(ClockSymptom { fault: ClockFault::Unknown, severity })
}

/// Where this has done harm, clock.offset or clock.unknown reports that.
fn undisciplined(facts: &ClockFacts<'_>) -> Option<ClockSymptom> {
    let undisciplined = facts.kernel_synchronised() == Some(false);
    undisciplined.then(|| info(ClockFault::Unsynchronized))
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

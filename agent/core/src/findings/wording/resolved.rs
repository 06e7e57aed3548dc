//! How a finding was resolved, in words that are still true whenever they are read.

use super::names;
use crate::base::schema;
use crate::base::text::shown;
use crate::base::time::Delta;
use crate::findings::{Code, Finding, Subject};
use crate::world::clocks::ClockState;

/// Facts that hold only at the moment of a report.
const MOMENTARY: [&str; 3] = ["seconds_left", "cluster_age", schema::CLOCK_ANSWER_AGE];

/// How a finding was resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Another generation replaced the one that it was about.
    Replaced,
    /// The token's file went away, with its pod or volume.
    Gone,
    /// Something else is wrong instead.
    Became(Code),
    /// It only looked so, because the node's clock is wrong.
    ClockToBlame,
    /// The clock has come into this state.
    Clock(ClockState),
    /// Alerts get out again.
    Delivered {
        /// How many never did since the agent started.
        lost: u64,
    },
    /// It is simply no longer so.
    Recovered,
}

impl Resolution {
    /// Whether this was observed, and cannot be mere absence of evidence.
    pub fn is_certain(self) -> bool {
        match self {
            Self::Replaced | Self::Gone | Self::Became(_) => true,
            Self::ClockToBlame | Self::Clock(_) | Self::Delivered { .. } | Self::Recovered => false,
        }
    }
}

/// The finding as it is reported when it is resolved, `lasted` after it was raised: no time left,
/// no age, nothing that was true only then.
#[must_use]
pub fn resolved(finding: &Finding, resolution: Resolution, lasted: Delta) -> Finding {
    let mut last = finding.clone();
    let (now, before) = (what_happened(finding, resolution), what_was_found(finding.code));
    last.summary = format!("{now}, {lasted} after {before}.");
    last.evidence.0.retain(|(name, _)| !MOMENTARY.contains(&name.as_ref()));
    last.evidence = last.evidence.with("lasted", lasted);
    last
}

fn what_happened(finding: &Finding, resolution: Resolution) -> String {
    match &finding.subject {
        Subject::Token { pod, volume, path } => {
            of_token(&names::token(pod, volume, path), finding.code, resolution)
        }
        Subject::Node { node } => of_node(&shown(node), finding.code, resolution),
        Subject::Server { server } => {
            format!("Time server {} no longer contradicts the others", shown(server))
        }
    }
}

fn of_token(token: &str, code: Code, resolution: Resolution) -> String {
    match resolution {
        Resolution::Replaced => format!("{token} was replaced by a new token"),
        Resolution::Gone => format!("{token} is gone with its pod or its volume"),
        Resolution::Became(heir) => {
            format!("The finding about {} became {heir}", names::lower_first(token))
        }
        Resolution::ClockToBlame => {
            format!("{token} only looked wrong: this node's clock is (see clock.*)")
        }
        Resolution::Clock(_) | Resolution::Delivered { .. } | Resolution::Recovered => {
            format!("{token} {}", now_well(code))
        }
    }
}

/// What is so now, where nothing else is wrong and the generation is the same.
fn now_well(code: Code) -> &'static str {
    match code {
        Code::Malformed => "now holds a token",
        Code::Unreadable => "can be read now",
        Code::NotYetValid => "has become valid",
        Code::PodTerminating => "no longer fails before its pod has to end",
        Code::FutureDated => "is no longer ahead of this node's clock",
        Code::RotationLate | Code::RotationStalled | Code::Expired => {
            "is within its lifetime again by this node's clock"
        }
        Code::ReaderStale
        | Code::MountFrozen
        | Code::Subpath
        | Code::KeyUnknown
        | Code::IssuerMismatch
        | Code::AudienceUnknown
        | Code::SubjectReplaced
        | Code::ExtendedOnly
        | Code::Legacy
        | Code::LifetimeLong
        | Code::CopyStale
        | Code::ClockOffset
        | Code::ClockUnsynchronized
        | Code::ClockStepped
        | Code::ClockUnknown
        | Code::ClockServersDisagree
        | Code::ApiserverSkew
        | Code::ApiserverRejecting
        | Code::TokenControllerDown
        | Code::AgentBlind
        | Code::DeliveryDelayed => "is no longer affected",
    }
}

fn of_node(node: &str, code: Code, resolution: Resolution) -> String {
    match resolution {
        Resolution::Delivered { lost: 0 } => format!("The alerts of node {node} get out again"),
        Resolution::Delivered { lost } => format!(
            "The alerts of node {node} get out again (lost since the agent started: {lost})"
        ),
        Resolution::Clock(state) => of_clock(code, state).to_owned(),
        Resolution::Recovered if code == Code::AgentBlind => {
            format!("No projected volume on node {node} is hidden from this agent any more")
        }
        Resolution::Recovered
        | Resolution::Replaced
        | Resolution::Gone
        | Resolution::Became(_)
        | Resolution::ClockToBlame => format!("{code} on node {node} is resolved"),
    }
}

fn of_clock(code: Code, state: ClockState) -> &'static str {
    let unconfirmed = matches!(state, ClockState::Unknown | ClockState::Disagreeing);
    match code {
        Code::ClockOffset if unconfirmed => {
            "No source shows any more whether this node's clock is off"
        }
        Code::ClockOffset => "This node's clock is within its limit again",
        Code::ClockUnsynchronized => {
            "The kernel reports that a time daemon disciplines this node's clock"
        }
        Code::ClockStepped if unconfirmed || state == ClockState::Stepped => {
            "This node's clock was set, and nothing has measured it since"
        }
        Code::ClockStepped => "This node's clock has been measured since it was set",
        Code::ClockUnknown if unconfirmed => "Time servers answer again, and contradict each other",
        Code::ClockUnknown => "A time source confirms this node's clock again",
        Code::ClockServersDisagree => "The time servers no longer contradict each other",
        Code::RotationLate
        | Code::RotationStalled
        | Code::Expired
        | Code::NotYetValid
        | Code::FutureDated
        | Code::Malformed
        | Code::Unreadable
        | Code::ReaderStale
        | Code::MountFrozen
        | Code::Subpath
        | Code::PodTerminating
        | Code::KeyUnknown
        | Code::IssuerMismatch
        | Code::AudienceUnknown
        | Code::SubjectReplaced
        | Code::ExtendedOnly
        | Code::Legacy
        | Code::LifetimeLong
        | Code::CopyStale
        | Code::ApiserverSkew
        | Code::ApiserverRejecting
        | Code::TokenControllerDown
        | Code::AgentBlind
        | Code::DeliveryDelayed => "The clock is no longer affected",
    }
}

fn what_was_found(code: Code) -> &'static str {
    match code {
        Code::RotationLate => "its rotation was found late",
        Code::RotationStalled => "its rotation was found stalled",
        Code::Expired => "it was found expired",
        Code::PodTerminating => "its pod was found to outlive it",
        Code::NotYetValid => "it was found not yet valid",
        Code::FutureDated => "it was found issued in the future",
        Code::Malformed => "it was found to hold none",
        Code::Unreadable => "it was found unreadable",
        Code::ClockOffset => "it was found off",
        Code::ClockStepped => "the step was reported",
        Code::DeliveryDelayed => "their delay was reported",
        Code::ReaderStale
        | Code::MountFrozen
        | Code::Subpath
        | Code::KeyUnknown
        | Code::IssuerMismatch
        | Code::AudienceUnknown
        | Code::SubjectReplaced
        | Code::ExtendedOnly
        | Code::Legacy
        | Code::LifetimeLong
        | Code::CopyStale
        | Code::ClockUnsynchronized
        | Code::ClockUnknown
        | Code::ClockServersDisagree
        | Code::ApiserverSkew
        | Code::ApiserverRejecting
        | Code::TokenControllerDown
        | Code::AgentBlind => "this was reported",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::value::Attributes;
    use crate::findings::{Remedy, Severity};
    use crate::world::cluster::PodRef;

    fn finding(code: Code, subject: Subject) -> Finding {
        Finding {
            code,
            severity: Severity::Warning,
            subject,
            summary: "It expires in 5m 00s.".into(),
            deadline: None,
            evidence: Attributes::new().with("generation", "g1").with("seconds_left", 300.0),
            remedy: Remedy { text: "do".into(), command: None },
            trace: None,
        }
    }

    fn token(code: Code, resolution: Resolution) -> String {
        let pod = PodRef {
            namespace: Some("shop".into()),
            name: Some("cart-0".into()),
            uid: "u".into(),
            owner: None,
        };
        let subject = Subject::Token { pod, volume: "v".into(), path: "token".into() };
        resolved(&finding(code, subject), resolution, Delta::from_secs(415)).summary
    }

    fn node(code: Code, resolution: Resolution) -> String {
        resolved(&finding(code, Subject::node("n1")), resolution, Delta::from_secs(90)).summary
    }

    #[test]
    fn how_it_ended_with_a_token() {
        let named = "Token \"token\" of pod shop/cart-0 (volume v)";
        let table = [
            (
                Code::RotationStalled,
                Resolution::Replaced,
                " was replaced by a new token, 6m 55s after its rotation was found stalled.",
            ),
            (
                Code::Expired,
                Resolution::Gone,
                " is gone with its pod or its volume, 6m 55s after it was found expired.",
            ),
            (
                Code::RotationLate,
                Resolution::ClockToBlame,
                " only looked wrong: this node's clock is (see clock.*), 6m 55s after its \
                 rotation was found late.",
            ),
            (
                Code::NotYetValid,
                Resolution::Recovered,
                " has become valid, 6m 55s after it was found not yet valid.",
            ),
            (
                Code::FutureDated,
                Resolution::Recovered,
                " is no longer ahead of this node's clock, 6m 55s after it was found issued in \
                 the future.",
            ),
            (
                Code::Malformed,
                Resolution::Recovered,
                " now holds a token, 6m 55s after it was found to hold none.",
            ),
            (
                Code::Unreadable,
                Resolution::Recovered,
                " can be read now, 6m 55s after it was found unreadable.",
            ),
            (
                Code::Expired,
                Resolution::Recovered,
                " is within its lifetime again by this node's clock, 6m 55s after it was found expired.",
            ),
        ];
        for (code, resolution, rest) in table {
            assert_eq!(token(code, resolution), format!("{named}{rest}"));
        }
        assert_eq!(
            token(Code::RotationLate, Resolution::Became(Code::RotationStalled)),
            "The finding about token \"token\" of pod shop/cart-0 (volume v) became \
             token.rotation_stalled, 6m 55s after its rotation was found late."
        );
    }

    #[test]
    fn how_it_ended_with_the_clock_and_the_agent() {
        use ClockState::{Disagreeing, Off, Stepped, Synchronised, Unknown};
        let table = [
            (
                Code::ClockOffset,
                Resolution::Clock(Synchronised),
                "This node's clock is within its limit again, 1m 30s after it was found off.",
            ),
            (
                Code::ClockOffset,
                Resolution::Clock(Unknown),
                "No source shows any more whether this node's clock is off, 1m 30s after it was \
                 found off.",
            ),
            (
                Code::ClockUnknown,
                Resolution::Clock(Off),
                "A time source confirms this node's clock again, 1m 30s after this was reported.",
            ),
            (
                Code::ClockUnknown,
                Resolution::Clock(Disagreeing),
                "Time servers answer again, and contradict each other, 1m 30s after this was reported.",
            ),
            (
                Code::ClockStepped,
                Resolution::Clock(Synchronised),
                "This node's clock has been measured since it was set, 1m 30s after the step was reported.",
            ),
            (
                Code::ClockStepped,
                Resolution::Clock(Stepped),
                "This node's clock was set, and nothing has measured it since, 1m 30s after the step was reported.",
            ),
            (
                Code::ClockServersDisagree,
                Resolution::Clock(Synchronised),
                "The time servers no longer contradict each other, 1m 30s after this was reported.",
            ),
            (
                Code::AgentBlind,
                Resolution::Recovered,
                "No projected volume on node n1 is hidden from this agent any more, 1m 30s after \
                 this was reported.",
            ),
            (
                Code::DeliveryDelayed,
                Resolution::Delivered { lost: 0 },
                "The alerts of node n1 get out again, 1m 30s after their delay was reported.",
            ),
            (
                Code::DeliveryDelayed,
                Resolution::Delivered { lost: 7 },
                "The alerts of node n1 get out again (lost since the agent started: 7), 1m 30s \
                 after their delay was reported.",
            ),
        ];
        for (code, resolution, sentence) in table {
            assert_eq!(node(code, resolution), sentence);
        }
        let server =
            finding(Code::ClockServersDisagree, Subject::Server { server: "ntp1:123".into() });
        assert_eq!(
            resolved(&server, Resolution::Clock(Synchronised), Delta::from_secs(5)).summary,
            "Time server ntp1:123 no longer contradicts the others, 5.0s after this was reported."
        );
    }

    #[test]
    fn facts_of_the_moment_are_left_out_and_lasting_ones_stay() {
        let evidence = resolved(
            &finding(Code::Expired, Subject::node("n1")),
            Resolution::Recovered,
            Delta::from_secs(5),
        )
        .evidence;
        assert_eq!(evidence, Attributes::new().with("generation", "g1").with("lasted", 5.0));
    }
}

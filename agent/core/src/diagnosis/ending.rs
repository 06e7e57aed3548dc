//! How a finding ended, in words that are still true whenever they are read.

use super::token::named;
use crate::base::schema;
use crate::base::text::shown;
use crate::base::time::Delta;
use crate::findings::{Code, Finding, Subject};
use crate::world::clocks::ClockState;

/// Facts that hold only for the moment they were told at.
const MOMENTARY: [&str; 3] = ["seconds_left", "cluster_age", schema::CLOCK_ANSWER_AGE];

/// How a finding ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The generation that it was about was replaced by another.
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
    /// It is simply so no longer.
    Over,
}

/// The finding as it is said when it has ended, `lasted` after it was raised: no time left, no age,
/// nothing that was true only then.
pub fn ended(finding: &Finding, ending: &Ending, lasted: Delta) -> Finding {
    let mut last = finding.clone();
    last.summary = format!(
        "{}, {lasted} after {}.",
        what_happened(finding, ending),
        what_was_found(finding.code)
    );
    last.evidence.0.retain(|(name, _)| !MOMENTARY.contains(&name.as_ref()));
    last.evidence = last.evidence.with("lasted", lasted);
    last
}

fn what_happened(finding: &Finding, ending: &Ending) -> String {
    match &finding.subject {
        Subject::Token { pod, volume, path } => {
            with_token(&named(pod, volume, path), finding.code, ending)
        }
        Subject::Node { node } => with_node(&shown(node), finding.code, ending),
        Subject::Server { server } => {
            format!("Time server {} no longer contradicts the others", shown(server))
        }
    }
}

fn with_token(token: &str, code: Code, ending: &Ending) -> String {
    match ending {
        Ending::Replaced => format!("{token} was replaced by a new token"),
        Ending::Gone => format!("{token} is gone with its pod or its volume"),
        Ending::Became(heir) => format!("What is wrong with {} became {heir}", lower_first(token)),
        Ending::ClockToBlame => {
            format!("{token} only looked wrong, for this node's clock is (see clock.*)")
        }
        _ => format!("{token} {}", now_well(code)),
    }
}

/// What is so now, where nothing else is wrong and the generation is the same.
fn now_well(code: Code) -> &'static str {
    match code {
        Code::Malformed => "holds a token now",
        Code::Unreadable => "can be read now",
        Code::NotYetValid => "has become valid",
        Code::PodTerminating => "no longer fails before its pod's time to end is over",
        Code::FutureDated => "is no longer ahead of this node's clock",
        _ => "is in its time again by this node's clock",
    }
}

fn with_node(node: &str, code: Code, ending: &Ending) -> String {
    match (code, ending) {
        (Code::AgentBlind, _) => {
            format!("No projected volume on node {node} is hidden from this agent any more")
        }
        (_, Ending::Delivered { lost: 0 }) => format!("The alerts of node {node} get out again"),
        (_, Ending::Delivered { lost }) => {
            format!(
                "The alerts of node {node} get out again (lost since the agent started: {lost})"
            )
        }
        (_, Ending::Clock(state)) => with_clock(code, *state).to_owned(),
        _ => format!("{code} on node {node} is over"),
    }
}

fn with_clock(code: Code, state: ClockState) -> &'static str {
    let untold = matches!(state, ClockState::Unknown | ClockState::Disagreeing);
    match code {
        Code::ClockOffset if untold => "Nothing tells any more whether this node's clock is off",
        Code::ClockOffset => "This node's clock is within its limit again",
        Code::ClockUnsynchronized => "A time daemon keeps this node's clock, says the kernel",
        Code::ClockStepped if untold || state == ClockState::Stepped => {
            "This node's clock was set, and nothing has measured it since"
        }
        Code::ClockStepped => "This node's clock has been measured since it was set",
        Code::ClockUnknown if untold => "Time servers answer again, and contradict each other",
        Code::ClockUnknown => "This node's clock is vouched for again",
        _ => "The time servers no longer contradict each other",
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
        Code::ClockStepped => "that was first said",
        Code::DeliveryDelayed => "their delay was first said",
        _ => "the opposite was first said",
    }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| format!("{}{}", first.to_lowercase(), letters.as_str()))
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

    fn token(code: Code, ending: &Ending) -> String {
        let pod = PodRef {
            namespace: Some("shop".into()),
            name: Some("cart-0".into()),
            uid: "u".into(),
            owner: None,
        };
        let subject = Subject::Token { pod, volume: "v".into(), path: "token".into() };
        ended(&finding(code, subject), ending, Delta::from_secs(415)).summary
    }

    fn node(code: Code, ending: &Ending) -> String {
        ended(&finding(code, Subject::node("n1")), ending, Delta::from_secs(90)).summary
    }

    #[test]
    fn how_it_ended_with_a_token() {
        let named = "Token \"token\" of pod shop/cart-0 (volume v)";
        let table = [
            (
                Code::RotationStalled,
                Ending::Replaced,
                " was replaced by a new token, 6m 55s after its rotation was found stalled.",
            ),
            (
                Code::Expired,
                Ending::Gone,
                " is gone with its pod or its volume, 6m 55s after it was found expired.",
            ),
            (
                Code::RotationLate,
                Ending::ClockToBlame,
                " only looked wrong, for this node's clock is (see clock.*), 6m 55s after its \
                 rotation was found late.",
            ),
            (
                Code::NotYetValid,
                Ending::Over,
                " has become valid, 6m 55s after it was found not yet valid.",
            ),
            (
                Code::FutureDated,
                Ending::Over,
                " is no longer ahead of this node's clock, 6m 55s after it was found issued in \
                 the future.",
            ),
            (
                Code::Malformed,
                Ending::Over,
                " holds a token now, 6m 55s after it was found to hold none.",
            ),
            (
                Code::Unreadable,
                Ending::Over,
                " can be read now, 6m 55s after it was found unreadable.",
            ),
            (
                Code::Expired,
                Ending::Over,
                " is in its time again by this node's clock, 6m 55s after it was found expired.",
            ),
        ];
        for (code, ending, rest) in table {
            assert_eq!(token(code, &ending), format!("{named}{rest}"));
        }
        assert_eq!(
            token(Code::RotationLate, &Ending::Became(Code::RotationStalled)),
            "What is wrong with token \"token\" of pod shop/cart-0 (volume v) became \
             token.rotation_stalled, 6m 55s after its rotation was found late."
        );
    }

    #[test]
    fn how_it_ended_with_the_clock_and_the_agent() {
        use ClockState::{Disagreeing, Off, Stepped, Synchronised, Unknown};
        let table = [
            (
                Code::ClockOffset,
                Ending::Clock(Synchronised),
                "This node's clock is within its limit again, 1m 30s after it was found off.",
            ),
            (
                Code::ClockOffset,
                Ending::Clock(Unknown),
                "Nothing tells any more whether this node's clock is off, 1m 30s after it was \
                 found off.",
            ),
            (
                Code::ClockUnknown,
                Ending::Clock(Off),
                "This node's clock is vouched for again, 1m 30s after the opposite was first said.",
            ),
            (
                Code::ClockUnknown,
                Ending::Clock(Disagreeing),
                "Time servers answer again, and contradict each other, 1m 30s after the opposite \
                 was first said.",
            ),
            (
                Code::ClockStepped,
                Ending::Clock(Synchronised),
                "This node's clock has been measured since it was set, 1m 30s after that was \
                 first said.",
            ),
            (
                Code::ClockStepped,
                Ending::Clock(Stepped),
                "This node's clock was set, and nothing has measured it since, 1m 30s after that \
                 was first said.",
            ),
            (
                Code::ClockServersDisagree,
                Ending::Clock(Synchronised),
                "The time servers no longer contradict each other, 1m 30s after the opposite was \
                 first said.",
            ),
            (
                Code::AgentBlind,
                Ending::Over,
                "No projected volume on node n1 is hidden from this agent any more, 1m 30s after \
                 the opposite was first said.",
            ),
            (
                Code::DeliveryDelayed,
                Ending::Delivered { lost: 0 },
                "The alerts of node n1 get out again, 1m 30s after their delay was first said.",
            ),
            (
                Code::DeliveryDelayed,
                Ending::Delivered { lost: 7 },
                "The alerts of node n1 get out again (lost since the agent started: 7), 1m 30s \
                 after their delay was first said.",
            ),
        ];
        for (code, ending, sentence) in table {
            assert_eq!(node(code, &ending), sentence);
        }
        let server =
            finding(Code::ClockServersDisagree, Subject::Server { server: "ntp1:123".into() });
        assert_eq!(
            ended(&server, &Ending::Clock(Synchronised), Delta::from_secs(5)).summary,
            "Time server ntp1:123 no longer contradicts the others, 5.0s after the opposite was \
             first said."
        );
    }

    #[test]
    fn facts_of_the_moment_are_left_out_and_lasting_ones_stay() {
        let evidence =
            ended(&finding(Code::Expired, Subject::node("n1")), &Ending::Over, Delta::from_secs(5))
                .evidence;
        assert_eq!(evidence, Attributes::new().with("generation", "g1").with("lasted", 5.0));
    }
}

//! The texts of resolved findings, by code and resolution.

use super::{Resolution, resolved};
use crate::base::time::Delta;
use crate::base::value::Attributes;
use crate::findings::{Code, Finding, Remedy, Severity, Subject};
use crate::world::clocks::ClockState;
use crate::world::cluster::PodRef;

fn finding(code: Code, subject: Subject) -> Finding {
    Finding {
        code,
        severity: Severity::Warning,
        subject,
        summary: "It expires in 5m 00s.".into(),
        deadline: None,
        evidence: Attributes::new().with("generation", "g1").with("seconds_left", 300.0),
        remedy: Remedy { text: "repair it".into(), command: None },
        trace: None,
    }
}

fn token(code: Code, resolution: Resolution) -> String {
    let pod = PodRef {
        namespace: Some("shop".into()),
        name: Some("cart-0".into()),
        uid: "u".into(),
        owner: None,
        is_claimed: false,
    };
    let subject = Subject::Token { pod, volume: "v".into(), path: "token".into() };
    resolved(&finding(code, subject), resolution, Delta::from_secs(415)).summary
}

fn node(code: Code, resolution: Resolution) -> String {
    resolved(&finding(code, Subject::node("n1")), resolution, Delta::from_secs(90)).summary
}

#[test]
fn resolutions_of_findings_about_tokens() {
    let named = "Token \"token\" of pod shop/cart-0 (volume v)";
    let table = [
        (
            Code::RotationStalled,
            Resolution::Replaced,
            " was replaced by a new token, 6m 55s after it was first reported.",
        ),
        (
            Code::ReaderStale,
            Resolution::Replaced,
            " has no reader left that keeps an old one, 6m 55s after one was reported.",
        ),
        (
            Code::MountFrozen,
            Resolution::Recovered,
            " is in no old mount of a container any more, 6m 55s after one was reported.",
        ),
        (
            Code::Expired,
            Resolution::Gone,
            " was removed with its pod or volume, 6m 55s after it was first reported.",
        ),
        (
            Code::RotationLate,
            Resolution::ClockToBlame,
            " is good and only looked wrong by this node's clock (see clock.*), 6m 55s after \
             it was first reported.",
        ),
        (
            Code::NotYetValid,
            Resolution::Recovered,
            " has become valid, or its pod ends, 6m 55s after it was first reported.",
        ),
        (
            Code::FutureDated,
            Resolution::Recovered,
            " is no longer ahead of this node's clock, or its pod ends, 6m 55s after it was first \
             reported.",
        ),
        (
            Code::Malformed,
            Resolution::Recovered,
            " now holds a token, 6m 55s after it was reported as malformed.",
        ),
        (
            Code::Unreadable,
            Resolution::Recovered,
            " can be read now, 6m 55s after it was reported as unreadable.",
        ),
        (
            Code::Expired,
            Resolution::Recovered,
            " is within its lifetime again by this node's clock, 6m 55s after it \
             was first reported.",
        ),
    ];
    for (code, resolution, rest) in table {
        assert_eq!(token(code, resolution), format!("{named}{rest}"));
    }
    assert_eq!(
        token(Code::RotationLate, Resolution::Became(Code::KubeletStalled)),
        "The finding about token \"token\" of pod shop/cart-0 (volume v) became \
         kubelet.stalled, 6m 55s after it was first reported."
    );
}

#[test]
fn resolutions_of_findings_about_the_clock_and_the_agent() {
    use ClockState::{Disagreeing, Off, Stepped, Synchronised, Unknown};
    let table = [
        (
            Code::ClockOffset,
            Resolution::Clock(Synchronised),
            "This node's clock is within its limit again, 1m 30s after its offset was reported.",
        ),
        (
            Code::ClockOffset,
            Resolution::Clock(Unknown),
            "No time source confirms this node's clock now, 1m 30s after its offset was \
             reported.",
        ),
        (
            Code::ClockUnknown,
            Resolution::Clock(Off),
            "A time source confirms this node's clock again, 1m 30s after this was reported.",
        ),
        (
            Code::ClockUnknown,
            Resolution::Clock(Disagreeing),
            "Time servers answer again, and contradict each other, 1m 30s after this was \
             reported.",
        ),
        (
            Code::ClockStepped,
            Resolution::Clock(Synchronised),
            "This node's clock has been measured since it was set, 1m 30s after the step was \
             reported.",
        ),
        (
            Code::ClockStepped,
            Resolution::Clock(Stepped),
            "This node's clock was set, and no source has measured it since, 1m 30s after the \
             step was reported.",
        ),
        (
            Code::ClockServersDisagree,
            Resolution::Clock(Synchronised),
            "The time servers no longer form camps that contradict each other, 1m 30s after this \
             was reported.",
        ),
        (
            Code::ClockUnsynchronized,
            Resolution::Clock(Synchronised),
            "The kernel reports that a time daemon disciplines this node's clock, 1m 30s after \
             this was reported.",
        ),
        (
            Code::ClockUnsynchronized,
            Resolution::Clock(Off),
            "Another finding about this node's clock covers this now, 1m 30s after this was \
             reported.",
        ),
        (
            Code::AgentBlind,
            Resolution::Recovered,
            "The agent sees all projected volumes on node n1 again, 1m 30s after \
             this was reported.",
        ),
        (
            Code::KubeletStalled,
            Resolution::Kubelet { replaced: true },
            "kubelet on node n1 replaces tokens again, 1m 30s after this was reported.",
        ),
        (
            Code::KubeletStalled,
            Resolution::Kubelet { replaced: false },
            "The tokens that kubelet on node n1 did not replace are gone, 1m 30s after this was \
             reported.",
        ),
        (
            Code::DeliveryDelayed,
            Resolution::Delivered { lost: 0 },
            "The collector accepts the alerts of node n1 again, 1m 30s after their delay was \
             reported.",
        ),
        (
            Code::DeliveryDelayed,
            Resolution::Delivered { lost: 7 },
            "The collector accepts the alerts of node n1 again (lost since the agent started: \
             7), 1m 30s after their delay was reported.",
        ),
    ];
    for (code, resolution, sentence) in table {
        assert_eq!(node(code, resolution), sentence);
    }
    let server = finding(Code::ClockServersDisagree, Subject::Server { server: "ntp1:123".into() });
    assert_eq!(
        resolved(&server, Resolution::Clock(Synchronised), Delta::from_secs(5)).summary,
        "Time server ntp1:123 no longer stands alone against the others, 5.0s after this was \
         reported."
    );
}

#[test]
fn momentary_evidence_is_left_out() {
    let evidence = resolved(
        &finding(Code::Expired, Subject::node("n1")),
        Resolution::Recovered,
        Delta::from_secs(5),
    )
    .evidence;
    assert_eq!(evidence, Attributes::new().with("generation", "g1").with("lasted", 5.0));
}

//! What kubelet logged is evidence of why a token is late, and never more than that.

use super::*;
use crate::base::text::escaped;
use crate::world::kubelet::errors::{ErrorCause, ErrorPod, ErrorScope, ErrorSource, KubeletError};
use crate::world::kubelet::{SyncsSeen, VolumeSync};
use crate::world::readers::{ReaderEvent, ReadersSeen};

const TEXT: &str = "serviceaccounts \"cart\" is forbidden: no relationship found";

fn error(pod: &str, cause: ErrorCause, age: i64) -> KubeletError {
    KubeletError {
        pod: ErrorPod::Uid(pod.into()),
        of: ErrorScope::Volume("kube-api-access-x".into()),
        cause,
        text: TEXT.into(),
        at: at(age).wall,
        by: ErrorSource::Log,
    }
}

fn of(scope: ErrorScope, error: KubeletError) -> KubeletError {
    KubeletError { of: scope, ..error }
}

fn step(engine: &mut Engine, age: i64, errors: Vec<KubeletError>) -> Outcome {
    engine.step(&at(age), Observation::KubeletErrors(errors))
}

/// The only finding, its evidence of a cause, and its remedy.
fn finding(engine: &Engine) -> (Code, String, Option<String>, String) {
    let mut all = engine.findings();
    assert_eq!(all.len(), 1, "{all:?}");
    let one = all.remove(0);
    let cause = one.evidence.get("kubelet_error").and_then(|value| value.text());
    let cause = cause.map(ToOwned::to_owned);
    (one.code, one.summary, cause, one.remedy.text)
}

/// A stalled token of one pod.
fn stalled() -> Engine {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 3_600));
    let _ = engine.step(&at(3_200), Observation::Tick);
    engine
}

#[test]
fn an_error_names_the_cause_of_a_stall() {
    let mut engine = stalled();
    let _ = step(&mut engine, 3_210, vec![error("p1", ErrorCause::NodeAuthorizer, 3_205)]);
    let (code, summary, cause, remedy) = finding(&engine);
    assert_eq!((code, cause.as_deref()), (Code::RotationStalled, Some("node_authorizer")));
    assert!(
        summary.ends_with(
            "kubelet logged why 5.0s ago: the API server refuses to issue the token, because its \
             node authorizer does not know that the pod runs on this node. Its text: \
             \"serviceaccounts \"cart\" is forbidden: no relationship found\"."
        ),
        "{summary}"
    );
    assert!(remedy.starts_with("Check that the pod still exists"), "{remedy}");
}

/// Each cause that the text names has words, and a remedy of its own.
#[test]
fn every_cause_has_its_sentence_and_its_remedy() {
    let mut remedies = std::collections::BTreeSet::new();
    for cause in ErrorCause::ALL {
        let mut engine = stalled();
        let _ = step(&mut engine, 3_210, vec![error("p1", cause, 3_205)]);
        let (code, summary, found, remedy) = finding(&engine);
        assert_eq!((code, found.as_deref()), (Code::RotationStalled, Some(cause.name())));
        assert!(summary.contains("kubelet logged why 5.0s ago: "), "{summary}");
        assert!(remedies.insert(remedy), "{cause:?}");
    }
}

/// Go puts the cause last.
#[test]
fn of_a_long_text_the_end_is_quoted() {
    let mut engine = stalled();
    let text = format!("{} ä dial tcp: connection refused", "x ".repeat(200));
    let long = KubeletError { text, ..error("p1", ErrorCause::ApiServerAway, 3_205) };
    let _ = step(&mut engine, 3_210, vec![long]);
    let (_, summary, ..) = finding(&engine);
    assert!(summary.contains("Its text: \"…"), "{summary}");
    assert!(summary.ends_with("x  ä dial tcp: connection refused\"."), "{summary}");
}

/// The end of the sentence is what kubelet wrote, whatever is in it and however long it is: no way
/// out has to escape or cut it again.
#[test]
fn of_any_text_the_sentence_is_whole_and_safe() {
    let texts = ["", "a\nb\u{1b}[2J", "\u{202e}\"quoted\"\\", "ä€😀", "plain: EOF"];
    for (text, times) in texts.into_iter().flat_map(|text| [1, 9, 110, 512].map(|n| (text, n))) {
        for scope in [
            ErrorScope::Volume("kube-api-access-x".into()),
            ErrorScope::Pod { volume: "v".repeat(253) },
        ] {
            let mut engine = stalled();
            let text: String = text.repeat(times).chars().take(512).collect();
            let other = error("p1", ErrorCause::ClaimDeleted, 3_205);
            let long = KubeletError { text, of: scope, ..other };
            let _ = step(&mut engine, 3_210, vec![long]);
            let (_, summary, _, remedy) = finding(&engine);
            assert!(summary.ends_with("\"."), "{summary}");
            assert_eq!(escaped(&summary), summary);
            assert_eq!(escaped(&remedy), remedy);
        }
    }
}

/// What kubelet logged about something else, or has overcome.
#[test]
fn an_error_about_something_else_is_no_evidence() {
    let name = |name: &str| ErrorPod::Name { namespace: "shop".into(), name: name.into() };
    let request = |audiences: &[&str], lifetime| ErrorScope::Request {
        audiences: audiences.iter().map(|audience| (*audience).to_owned()).collect(),
        lifetime: Delta::from_secs(lifetime),
    };
    let recent = || error("p1", ErrorCause::ApiServerAway, 3_205);
    let table = [
        ("the volume", recent(), true),
        ("another pod", error("p2", ErrorCause::ApiServerAway, 3_205), false),
        ("another volume", of(ErrorScope::Volume("tokens".into()), recent()), false),
        (
            "a volume that blocks the pod",
            of(ErrorScope::Pod { volume: "d".into() }, recent()),
            true,
        ),
        ("before it was due", error("p1", ErrorCause::ApiServerAway, 2_000), false),
        ("before the token", error("p1", ErrorCause::ApiServerAway, -10), false),
        ("the future", error("p1", ErrorCause::ApiServerAway, 3_300), false),
        ("the pod's name", KubeletError { pod: name("p1-name"), ..recent() }, true),
        ("another name", KubeletError { pod: name("p2-name"), ..recent() }, false),
        ("its request", of(request(&[], 3_600), recent()), true),
        ("a request of the only token", of(request(&[], 7_200), recent()), true),
        ("another audience", of(request(&["vault"], 3_600), recent()), false),
    ];
    for (what, error, counts) in table {
        let mut engine = stalled();
        let _ = step(&mut engine, 3_210, vec![error]);
        assert_eq!(finding(&engine).2.is_some(), counts, "{what}");
    }
}

#[test]
fn the_request_for_another_token_of_the_pod_is_no_evidence() {
    let mut engine = stalled();
    let Observation::File(mut other) = token("p1", 0, 7_200) else { panic!() };
    other.key.volume = "tokens".into();
    let _ = engine.step(&at(3_201), Observation::File(other));
    let scope = ErrorScope::Request { audiences: vec![], lifetime: Delta::from_secs(7_200) };
    let _ =
        step(&mut engine, 3_210, vec![of(scope, error("p1", ErrorCause::ApiServerAway, 3_205))]);
    assert_eq!(finding(&engine).2, None);
}

#[test]
fn errors_alone_are_no_finding() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 3_600));
    for age in [10, 2_900, 2_990] {
        let reports = step(&mut engine, age, vec![error("p1", ErrorCause::Credentials, age)]);
        assert_eq!(summaries(&reports.reports), [""; 0], "{age}");
    }
    // kubelet succeeds with its next attempt.
    let _ = engine.step(&at(2_995), token("p1", 2_994, 3_600));
    assert_eq!(run(&mut engine, 2_995, 5_800), []);
    // And an error from then explains nothing of the next token.
    let _ = engine.step(&at(6_200), Observation::Tick);
    assert_eq!(finding(&engine).2, None);
}

#[test]
fn a_late_token_has_the_cause_and_needs_no_action_yet() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 3_600));
    let _ = engine.step(&at(3_010), Observation::Tick);
    let _ = step(&mut engine, 3_010, vec![error("p1", ErrorCause::Throttled, 3_005)]);
    let (code, summary, _, remedy) = finding(&engine);
    assert_eq!(code, Code::RotationLate);
    assert!(summary.contains("the API server limits the rate of requests"), "{summary}");
    assert!(remedy.starts_with("No action yet."), "{remedy}");
}

/// One error, and then nothing for hours (kubernetes#138689).
#[test]
fn an_old_error_is_called_the_last_one() {
    let mut engine = engine();
    let Observation::File(mut extended) = token("p1", 0, 31_536_000) else { panic!() };
    if let FileContent::Token(claims) = &mut extended.content {
        claims.warn_after = Some(at(3_607).wall);
    }
    let _ = engine.step(&at(1), Observation::File(extended));
    let _ = step(&mut engine, 3_000, vec![error("p1", ErrorCause::ApiServerAway, 2_995)]);
    let _ = engine.step(&at(40_000), Observation::Tick);
    let (_, summary, cause, _) = finding(&engine);
    assert_eq!(cause.as_deref(), Some("api_server_away"));
    assert!(summary.contains("ago, and no error since: kubelet does not reach"), "{summary}");
    let _ = engine.step(&at(100_000), Observation::Tick);
    assert_eq!(finding(&engine).2, None, "after a day it counts no more");
}

/// kubelet syncs the volume after an error about it: it is resolved. A request for the token that
/// fails ends no sync.
#[test]
fn a_sync_overcomes_an_error_of_the_volume() {
    let by_sync = |scope: Option<ErrorScope>| {
        let mut engine = stalled();
        let directory = "d".to_owned();
        let watching = ReaderEvent::Watching { directory, complete: true, moment: false };
        let seen =
            |what| ReadersSeen { pod_uid: "p1".into(), volume: "kube-api-access-x".into(), what };
        let _ = engine.step(&at(3_201), Observation::Readers(seen(watching)));
        let recent = error("p1", ErrorCause::ApiServerAway, 3_205);
        let recent = scope.map_or(recent.clone(), |scope| of(scope, recent));
        let _ = step(&mut engine, 3_210, vec![recent]);
        let sync = VolumeSync {
            pod_uid: "p1".into(),
            volume: "kube-api-access-x".into(),
            at: at(3_220).monotonic,
            is_certain: true,
        };
        let syncs = SyncsSeen { until: at(3_221).monotonic, volumes: vec![sync] };
        let _ = engine.step(&at(3_221), Observation::Syncs(syncs));
        finding(&engine).2
    };
    let request = ErrorScope::Request { audiences: vec![], lifetime: Delta::from_secs(3_600) };
    assert_eq!(by_sync(None), None);
    assert_eq!(by_sync(Some(request)).as_deref(), Some("api_server_away"));
}

/// One finding for the node, and not one for each pod; also where kubelet gets some tokens.
#[test]
fn a_cause_of_the_node_is_one_finding() {
    for (cause, renews) in [
        (ErrorCause::Credentials, false),
        (ErrorCause::ApiServerAway, true),
        (ErrorCause::Throttled, true),
    ] {
        let mut engine = engine();
        let pods = ["p1", "p2", "p3"];
        for pod in pods {
            let _ = engine.step(&at(1), token(pod, 0, 3_600));
        }
        if renews {
            let _ = engine.step(&at(3_005), token("p4", 3_005, 3_600));
        }
        let errors = pods.map(|pod| error(pod, cause, 2_995));
        let _ = step(&mut engine, 3_010, errors.into());
        let _ = engine.step(&at(3_200), Observation::Tick);
        let (code, summary, found, remedy) = finding(&engine);
        assert_eq!((code, found.as_deref()), (Code::KubeletStalled, Some(cause.name())));
        let words = "It logged why for 3 pods, the last time 3m 25s ago: ";
        assert!(summary.contains(words), "{summary}");
        assert!(renews == summary.contains("fails to replace 3 tokens of 3 pods"), "{summary}");
        assert!(!remedy.is_empty());
        // When kubelet has replaced them, it is resolved.
        for pod in pods {
            let _ = engine.step(&at(3_210), token(pod, 3_209, 3_600));
        }
        assert_eq!(engine.findings(), [], "{cause:?}");
    }
}

/// A cause of the pods is theirs, however many they are; and so is one of two pods.
#[test]
fn causes_of_pods_are_findings_of_the_pods() {
    for (cause, count) in [(ErrorCause::SourceMissing, 3), (ErrorCause::ApiServerAway, 2)] {
        let mut engine = engine();
        let pods = &["p1", "p2", "p3"][..count];
        for pod in pods {
            let _ = engine.step(&at(1), token(pod, 0, 3_600));
        }
        let _ = engine.step(&at(3_100), token("p4", 3_100, 3_600));
        let errors = pods.iter().map(|pod| error(pod, cause, 3_150)).collect();
        let _ = step(&mut engine, 3_199, errors);
        let _ = engine.step(&at(3_200), Observation::Tick);
        let codes: Vec<Code> = engine.findings().iter().map(|one| one.code).collect();
        assert_eq!(codes, vec![Code::RotationStalled; count], "{cause:?}");
    }
}

#[test]
fn the_other_causes_are_ruled_out_by_what_is_known() {
    let mut engine =
        Engine::new(Config { node: "n1".into(), cluster_configured: true, ..Config::default() });
    let _ = engine.step(&at(1), listed(None));
    let _ = engine.step(&at(1), token("p1", 0, 3_600));
    let _ = engine.step(&at(3_195), account(Some("sa-uid")));
    let _ = engine.step(&at(3_196), listed(None));
    let _ = engine.step(&at(3_197), measured(&at(3_197), Delta::ZERO));
    let _ = step(&mut engine, 3_200, vec![error("p1", ErrorCause::SourceMissing, 3_199)]);
    let found = engine.findings();
    let stalled = found.iter().find(|one| one.code == Code::RotationStalled).unwrap();
    let ruled_out = format!("{:?}", stalled.evidence.get("ruled_out").unwrap());
    for cause in ["API server: this agent", "end of the pod", "clock of the node"] {
        assert!(ruled_out.contains(cause), "{ruled_out}");
    }
}

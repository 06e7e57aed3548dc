//! Findings about the agent itself.

use super::*;
use crate::world::observation::{Unknown, Unwatched, UnwatchedPod};
use crate::world::readers::{ReaderEvent, ReadersSeen};

#[test]
fn delayed_delivery_is_a_finding_until_alerts_are_delivered() {
    let mut engine = engine();
    let waiting = DeliveryState {
        waiting_since: Some(at(0)),
        waiting: 3,
        last_error: Some("connection refused".into()),
        ..DeliveryState::default()
    };
    let _ = engine.step(&at(1), Observation::Delivery(waiting));
    assert_eq!(engine.next_wake(), Some(at(60).monotonic));
    let _ = engine.step(&at(60), Observation::Tick);
    assert!(engine.findings().iter().any(|finding| finding.code == Code::DeliveryDelayed));
    let recovered = engine
        .step(
            &at(90),
            Observation::Delivery(DeliveryState {
                given_up: 2,
                rejected: 1,
                ..DeliveryState::default()
            }),
        )
        .reports;
    assert_eq!(
        summaries(&recovered),
        ["The collector accepts the alerts of node n1 again (lost since the agent started: 3), \
          30.0s after their delay was reported."]
    );
    assert!(!engine.findings().iter().any(|finding| finding.code == Code::DeliveryDelayed));
}

#[test]
fn blind_spots_are_one_finding_for_the_node() {
    let mut engine = engine();
    let _ = engine.step(&at(1), Observation::Blind(vec![spot("a"), spot("b")]));
    let blind: Vec<_> =
        engine.findings().into_iter().filter(|finding| finding.code == Code::AgentBlind).collect();
    assert_eq!(blind.len(), 1);
    assert!(
        blind[0]
            .summary
            .starts_with("This agent cannot see 2 projected volumes of 2 pods on node n1"),
        "{}",
        blind[0].summary
    );
}

fn unwatched(unknown: Unknown, pods: &[(&str, usize)]) -> Observation {
    let pods = pods.iter().map(|(pod_uid, volumes)| UnwatchedPod {
        pod_uid: (*pod_uid).to_owned(),
        volumes: *volumes,
    });
    Observation::Unwatched(Unwatched { unknown, pods: pods.collect() })
}

#[test]
fn a_pod_with_more_than_its_share_of_the_watches_is_named_until_it_has_room() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("hog", 0, 3_600));
    let raised = engine.step(&at(2), unwatched(Unknown::Opens, &[("hog", 3)])).reports;
    let text = "does not see whether and when anybody opens the tokens of 3 volumes of pod UID hog";
    assert!(matches!(summaries(&raised).as_slice(), [one] if one.contains(text)), "{raised:?}");
    // Each source has a list of its own, and replaces that alone.
    let _ = engine.step(&at(3), unwatched(Unknown::Processes, &[("hog", 4), ("big", 1)]));
    let other = "which process opens the tokens of 5 volumes of pod UID hog and 1 other pod";
    let shown = blind_summary(&engine);
    assert!(shown.contains(text) && shown.contains(other), "{shown}");
    let _ = engine.step(&at(4), unwatched(Unknown::Opens, &[]));
    let shown = blind_summary(&engine);
    assert!(!shown.contains(text) && shown.contains(other), "{shown}");
    // Its tokens are judged all the time.
    assert!(engine.world.would_see(&key("hog")));
    assert_eq!(engine.status(&at(4)).agent.crowded.unwatched.len(), 1);
    let resolved = engine.step(&at(5), unwatched(Unknown::Processes, &[])).reports;
    assert_eq!(
        summaries(&resolved),
        ["The agent sees all projected volumes on node n1 again, 3.0s after this was reported."]
    );
    assert_eq!(blind_summary(&engine), "");
}

#[test]
fn a_file_that_is_not_followed_any_more_is_neither_good_nor_gone() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("hog", -7_200, 3_600));
    let raised: Vec<Code> = engine.findings().iter().map(|finding| finding.code).collect();
    assert_eq!(raised, [Code::Expired]);
    let left_out = engine.step(&at(2), Observation::LeftOut(key("hog"))).reports;
    let [closed] = summaries(&left_out).try_into().unwrap();
    assert!(closed.contains("is not followed any more"), "{closed}");
    assert!(closed.contains("Nothing shows that it is good"), "{closed}");
    let spot = BlindSpot {
        pod_uid: "hog".into(),
        volume: key("hog").volume,
        directory: "/d".into(),
        reason: "more files than its share".into(),
        is_partly: true,
    };
    let _ = engine.step(&at(2), Observation::Blind(vec![spot]));
    assert!(!engine.world.would_see(&key("hog")), "so it is not known to be gone");
    assert!(blind_summary(&engine).contains("hog"));
    // There is room again.
    let again = engine.step(&at(3), token("hog", -7_200, 3_600)).reports;
    assert_eq!(summaries(&again).len(), 1, "{again:?}");
    let _ = engine.step(&at(4), Observation::Blind(Vec::new()));
    assert!(engine.world.would_see(&key("hog")));
}

#[test]
fn a_watch_that_fails_for_another_reason_accuses_no_pod() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("hog", 0, 3_600));
    let whys = [
        "no inotify watches are left for this user",
        "no inotify instance is left for this user",
        "inotify: Permission denied (os error 13)",
    ];
    for why in whys {
        let what = ReaderEvent::Unseen { why: why.to_owned() };
        let (pod_uid, volume) = ("hog".to_owned(), key("hog").volume);
        let seen = ReadersSeen { pod_uid, volume, what };
        let _ = engine.step(&at(2), Observation::Readers(seen));
        let degraded = Some(format!("{why}; the agent cannot see who reads 1 volume"));
        let state = SourceState { source: "readers".into(), degraded };
        let _ = engine.step(&at(3), Observation::Source(state));
        assert_eq!(blind_summary(&engine), "", "{why}");
    }
}

fn blind_summary(engine: &Engine) -> String {
    let findings = engine.findings();
    let blind = findings.iter().find(|finding| finding.code == Code::AgentBlind);
    blind.map(|finding| finding.summary.clone()).unwrap_or_default()
}

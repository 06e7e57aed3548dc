//! Findings about the agent itself.

use super::*;

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

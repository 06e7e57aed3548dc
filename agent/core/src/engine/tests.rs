use super::*;
use crate::action::AlertEvent;
use crate::findings::{Code, Severity};
use crate::observation::{FileContent, SourceState};
use crate::schema;
use crate::token::{State, claims_for_tests as claims};

const IAT: i64 = 1_800_000_000;

fn at(age: i64) -> Reading {
    Reading { wall: Wall::from_secs(IAT + age), boot: Boot::from_nanos((age + 10_000) * 1_000_000_000) }
}

fn key(pod: &str) -> TokenKey {
    TokenKey { pod_uid: pod.into(), volume: "kube-api-access-x".into(), path: "token".into() }
}

fn token(pod: &str, iat_age: i64, lifetime: i64) -> Observation {
    let mut claims = claims(IAT + iat_age, lifetime, None);
    claims.pod = Some(crate::token::ObjectRef { name: format!("{pod}-name"), uid: Some(pod.into()) });
    Observation::File(FileSeen {
        key: key(pod),
        written_at: Some(Wall::from_secs(IAT + iat_age + 1)),
        content: FileContent::Token(Box::new(claims)),
    })
}

fn engine() -> Engine {
    Engine::new(Config { node: "n1".into(), ..Config::default() })
}

/// Drives the engine by its own wake-ups from one age to another, and tells the token alerts in order.
fn run(engine: &mut Engine, from: i64, to: i64) -> Vec<(i64, AlertEvent, Code, Severity)> {
    let (mut now, mut said) = (at(from), Vec::new());
    while let Some(next) = engine.next_wake().filter(|next| *next <= at(to).boot) {
        now = now.after((next - now.boot).max(Delta::from_millis(1)));
        said.extend(alerts(&engine.step(&now, Observation::Tick), now.wall));
    }
    said
}

fn alerts(actions: &[Action], now: Wall) -> Vec<(i64, AlertEvent, Code, Severity)> {
    let about_tokens = |action: &Action| match action {
        Action::Alert(alert) if alert.finding.code.as_str().starts_with("token.") => {
            Some(((now - Wall::from_secs(IAT)).as_secs(), alert.event, alert.finding.code, alert.finding.severity))
        }
        _ => None,
    };
    actions.iter().filter_map(about_tokens).collect()
}

fn spans(actions: &[Action]) -> Vec<&'static str> {
    actions.iter().filter_map(|action| if let Action::Span(span) = action { Some(span.name) } else { None }).collect()
}

#[test]
fn a_stalled_token_is_named_before_it_dies_and_cleared_when_it_recovers() {
    use AlertEvent::{Cleared, Raised, Reminded};
    let mut engine = engine();
    assert_eq!(alerts(&engine.step(&at(1), token("p1", 0, 3_600)), at(1).wall), []);
    let said = run(&mut engine, 1, 3_590);
    let expected = [
        (3_000, Raised, Code::RotationLate, Severity::Info),
        (3_180, Cleared, Code::RotationLate, Severity::Info),
        (3_180, Raised, Code::RotationStalled, Severity::Warning),
        (3_360, Reminded, Code::RotationStalled, Severity::Critical),
    ];
    assert_eq!(said, expected);
    let recovered = engine.step(&at(3_595), token("p1", 3_593, 3_600));
    assert_eq!(alerts(&recovered, at(3_595).wall), [(3_595, Cleared, Code::RotationStalled, Severity::Critical)]);
    assert_eq!(spans(&recovered), [schema::SPAN_GENERATION, schema::SPAN_FRESH, schema::SPAN_REFRESH_WAIT]);
}

#[test]
fn a_token_that_dies_ends_its_trace_once() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    let died = engine.step(&at(601), Observation::Tick);
    assert_eq!(spans(&died).len(), 3);
    assert_eq!(spans(&engine.step(&at(602), Observation::Tick)), [""; 0]);
    let replaced = engine.step(&at(700), token("p1", 699, 600));
    assert_eq!(spans(&replaced), [""; 0], "its trace was told at its death");
    assert!(replaced.iter().any(|action| matches!(action, Action::Rotation { delay } if *delay == Delta::from_secs(220))));
}

#[test]
fn a_rotation_in_time_is_no_alert() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    assert_eq!(run(&mut engine, 1, 570), []);
    let actions = engine.step(&at(571), token("p1", 570, 600));
    assert_eq!(alerts(&actions, at(571).wall), []);
    assert!(actions.contains(&Action::Rotation { delay: Delta::from_secs(91) }));
}

#[test]
fn a_pod_that_goes_takes_its_findings_along() {
    let mut engine = engine();
    let _ = engine.step(&at(700), token("p1", 0, 600));
    let gone = engine.step(&at(710), Observation::Gone(key("p1")));
    assert_eq!(alerts(&gone, at(710).wall), [(710, AlertEvent::Cleared, Code::Expired, Severity::Critical)]);
    assert!(engine.tokens(&at(711)).is_empty());
    assert_eq!(engine.step(&at(712), Observation::Gone(key("never-there"))), []);
}

#[test]
fn nobody_else_is_accused() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    let _ = engine.step(&at(1), token("p2", 0, 86_400));
    let said = run(&mut engine, 1, 2_000);
    assert!(!said.is_empty());
    assert!(
        engine
            .findings()
            .iter()
            .filter(|f| f.code.as_str().starts_with("token."))
            .all(|f| matches!(&f.subject, Subject::Token { pod, .. } if pod.uid == "p1"))
    );
}

#[test]
fn tokens_wait_for_a_configured_clock_to_be_heard() {
    let mut config = Config { node: "n1".into(), ..Config::default() };
    config.clock.servers_configured = true;
    let mut engine = Engine::new(config);
    assert_eq!(alerts(&engine.step(&at(700), token("p1", 0, 600)), at(700).wall), []);
    assert_eq!(run(&mut engine, 700, 709), []);
    assert_eq!(run(&mut engine, 709, 711), [(710, AlertEvent::Raised, Code::Expired, Severity::Critical)]);
}

#[test]
fn a_restarted_engine_tells_the_same_story() {
    let (mut first, mut second) = (engine(), engine());
    let a = first.step(&at(592), token("p1", 0, 600));
    let b = second.step(&at(592), token("p1", 0, 600));
    assert_eq!(a, b);
    assert_eq!(first.close(&at(593)), second.close(&at(593)));
    assert_eq!(first.close(&at(593)).len(), 1);
}

#[test]
fn delivery_that_waits_too_long_is_a_finding_and_ends() {
    let mut engine = engine();
    let waiting = DeliveryState { waiting_since: Some(at(0)), waiting: 3, given_up: 0, last_error: Some("connection refused".into()) };
    let _ = engine.step(&at(1), Observation::Delivery(waiting));
    assert_eq!(engine.next_wake(), Some(at(60).boot));
    let _ = engine.step(&at(60), Observation::Tick);
    assert!(engine.findings().iter().any(|finding| finding.code == Code::DeliveryDelayed));
    let _ = engine.step(&at(90), Observation::Delivery(DeliveryState::default()));
    assert!(!engine.findings().iter().any(|finding| finding.code == Code::DeliveryDelayed));
}

#[test]
fn blind_spots_are_one_finding_for_the_node() {
    let mut engine = engine();
    let spot = |pod: &str| BlindSpot {
        pod_uid: pod.into(),
        volume: "v".into(),
        directory: "/d".into(),
        reason: "its tmpfs is not mounted here".into(),
    };
    let _ = engine.step(&at(1), Observation::Blind(vec![spot("a"), spot("b")]));
    let blind: Vec<_> = engine.findings().into_iter().filter(|finding| finding.code == Code::AgentBlind).collect();
    assert_eq!(blind.len(), 1);
    assert!(blind[0].summary.starts_with("This agent cannot see 2 projected volumes of 2 pods on node n1"), "{}", blind[0].summary);
}

#[test]
fn the_snapshot_counts() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    let _ = engine.step(&at(1), token("p2", 0, 3_600));
    let _ = engine.step(&at(2), Observation::Source(SourceState { source: "watch".into(), degraded: Some("out of watches".into()) }));
    let _ = engine.step(&at(595), Observation::Tick);
    let snapshot = engine.snapshot(&at(595));
    assert_eq!(snapshot.tokens[&State::Stalled], 1);
    assert_eq!(snapshot.tokens[&State::Fresh], 1);
    assert_eq!(snapshot.findings[&(Code::RotationStalled, Severity::Critical)], 1);
    assert_eq!(snapshot.nearest_deadline, Some(Delta::from_secs(5)));
    assert!(!snapshot.sources["watch"]);
}

#[test]
fn a_clock_set_right_does_not_accuse_a_kubelet_that_catches_up() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 3_600));
    let jumped = Reading { wall: at(3_400).wall, boot: at(2_000).boot };
    let step = crate::clock::Step { size: Delta::from_secs(1_400), after: jumped };
    assert_eq!(alerts(&engine.step(&jumped, Observation::ClockStep(step)), jumped.wall), []);
    let later = |secs: i64| jumped.after(Delta::from_secs(secs));
    assert_eq!(alerts(&engine.step(&later(119), Observation::Tick), later(119).wall), []);
    assert!(engine.next_wake() <= Some(later(120).boot));
    let said = alerts(&engine.step(&later(120), Observation::Tick), later(120).wall);
    assert_eq!(said, [(3_520, AlertEvent::Raised, Code::RotationStalled, Severity::Critical)]);
}

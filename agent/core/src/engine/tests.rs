use super::*;
use crate::base::schema;
use crate::base::time::Wall;
use crate::engine::Query;
use crate::findings::Subject;
use crate::findings::{Code, Severity};
use crate::ledger::AlertEvent;
use crate::ledger::{self, Restored};
use crate::world::clocks::{Exchange, Leap, Round, Sample, ServerName};
use crate::world::cluster::{AccountName, AccountSeen, ClusterSeen, Pod};
use crate::world::observation::{BlindSpot, FileContent, SourceState};
use crate::world::observation::{DeliveryState, FileSeen};
use crate::world::tokens::MOST_TOKENS;
use crate::world::tokens::{State, claims_for_tests as claims};

const IAT: i64 = 1_800_000_000;

fn at(age: i64) -> Reading {
    Reading {
        wall: Wall::from_secs(IAT + age),
        monotonic: Monotonic::from_nanos((age + 10_000) * 1_000_000_000),
    }
}

fn key(pod: &str) -> TokenKey {
    TokenKey { pod_uid: pod.into(), volume: "kube-api-access-x".into(), path: "token".into() }
}

fn token(pod: &str, iat_age: i64, lifetime: i64) -> Observation {
    let mut claims = claims(IAT + iat_age, lifetime, None);
    claims.binding.pod = Some(crate::world::tokens::ObjectRef {
        name: format!("{pod}-name"),
        uid: Some(pod.into()),
    });
    Observation::File(FileSeen {
        key: key(pod),
        written_at: Some(Wall::from_secs(IAT + iat_age + 1)),
        content: FileContent::Token(Box::new(claims)),
    })
}

fn engine() -> Engine {
    Engine::new(Config { node: "n1".into(), ..Config::default() })
}

/// Drives the engine by its own wake-ups from one age to another, and tells the token alerts in
/// order.
fn run(engine: &mut Engine, from: i64, to: i64) -> Vec<(i64, AlertEvent, Code, Severity)> {
    let (mut now, mut said) = (at(from), Vec::new());
    while let Some(next) = engine.next_wake().filter(|next| *next <= at(to).monotonic) {
        now = now.after((next - now.monotonic).max(Delta::from_millis(1)));
        said.extend(alerts(&engine.step(&now, Observation::Tick).reports, now.wall));
    }
    said
}

fn alerts(actions: &[Report], now: Wall) -> Vec<(i64, AlertEvent, Code, Severity)> {
    let about_tokens = |action: &Report| match action {
        Report::Alert(alert) if alert.finding.code.as_str().starts_with("token.") => Some((
            (now - Wall::from_secs(IAT)).as_secs(),
            alert.event,
            alert.finding.code,
            alert.finding.severity,
        )),
        _ => None,
    };
    actions.iter().filter_map(about_tokens).collect()
}

fn summaries(actions: &[Report]) -> Vec<&str> {
    let alerts = actions
        .iter()
        .filter_map(|action| if let Report::Alert(alert) = action { Some(alert) } else { None });
    alerts.map(|alert| alert.finding.summary.as_str()).collect()
}

fn spans(actions: &[Report]) -> Vec<&'static str> {
    actions
        .iter()
        .filter_map(|action| if let Report::Span(span) = action { Some(span.name) } else { None })
        .collect()
}

#[test]
fn a_stalled_token_is_named_before_it_dies_and_cleared_when_it_recovers() {
    use AlertEvent::{Cleared, Raised, Reminded};
    let mut engine = engine();
    assert_eq!(alerts(&engine.step(&at(1), token("p1", 0, 3_600)).reports, at(1).wall), []);
    let said = run(&mut engine, 1, 3_590);
    let expected = [
        (3_000, Raised, Code::RotationLate, Severity::Info),
        (3_180, Cleared, Code::RotationLate, Severity::Info),
        (3_180, Raised, Code::RotationStalled, Severity::Warning),
        (3_360, Reminded, Code::RotationStalled, Severity::Critical),
    ];
    assert_eq!(said, expected);
    let recovered = engine.step(&at(3_595), token("p1", 3_593, 3_600)).reports;
    assert_eq!(
        alerts(&recovered, at(3_595).wall),
        [(3_595, Cleared, Code::RotationStalled, Severity::Critical)]
    );
    assert_eq!(
        spans(&recovered),
        [schema::SPAN_GENERATION, schema::SPAN_FRESH, schema::SPAN_REFRESH_WAIT]
    );
    assert_eq!(
        summaries(&recovered),
        ["Token \"token\" of pod shop/p1-name (volume kube-api-access-x) was replaced by a new \
          token, 6m 55s after its rotation was found stalled."]
    );
}

#[test]
fn a_token_that_dies_ends_its_trace_once() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    let died = engine.step(&at(601), Observation::Tick).reports;
    assert_eq!(spans(&died).len(), 3);
    assert_eq!(spans(&engine.step(&at(602), Observation::Tick).reports), [""; 0]);
    let replaced = engine.step(&at(700), token("p1", 699, 600)).reports;
    assert_eq!(spans(&replaced), [""; 0], "its trace was told at its death");
    assert!(replaced.iter().any(
        |action| matches!(action, Report::Rotation { delay } if *delay == Delta::from_secs(220))
    ));
}

#[test]
fn a_rotation_in_time_is_no_alert() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    assert_eq!(run(&mut engine, 1, 570), []);
    let actions = engine.step(&at(571), token("p1", 570, 600)).reports;
    assert_eq!(alerts(&actions, at(571).wall), []);
    assert!(actions.contains(&Report::Rotation { delay: Delta::from_secs(91) }));
}

#[test]
fn a_pod_that_goes_takes_its_findings_along() {
    let mut engine = engine();
    let _ = engine.step(&at(700), token("p1", 0, 600));
    let gone = engine.step(&at(710), Observation::Gone(key("p1"))).reports;
    assert_eq!(
        alerts(&gone, at(710).wall),
        [(710, AlertEvent::Cleared, Code::Expired, Severity::Critical)]
    );
    assert!(engine.tokens(&at(711)).is_empty());
    assert_eq!(engine.step(&at(712), Observation::Gone(key("never-there"))).reports, []);
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
    assert_eq!(alerts(&engine.step(&at(700), token("p1", 0, 600)).reports, at(700).wall), []);
    assert_eq!(run(&mut engine, 700, 709), []);
    assert_eq!(
        run(&mut engine, 709, 711),
        [(710, AlertEvent::Raised, Code::Expired, Severity::Critical)]
    );
}

#[test]
fn a_restarted_engine_tells_the_same_story() {
    let (mut first, mut second) = (engine(), engine());
    let a = first.step(&at(592), token("p1", 0, 600)).reports;
    let b = second.step(&at(592), token("p1", 0, 600)).reports;
    assert_eq!(a, b);
    assert_eq!(first.close(&at(593)), second.close(&at(593)));
    assert_eq!(first.close(&at(593)).len(), 1);
}

#[test]
fn ids_of_findings_are_the_same_after_a_restart() {
    let ids = |now: i64| {
        let mut engine = engine();
        let mut actions = engine.step(&at(now), token("p1", 0, 600)).reports;
        actions.extend(engine.step(&at(now), Observation::Blind(vec![spot("a")])).reports);
        let waiting = DeliveryState {
            waiting_since: Some(at(now - 90)),
            waiting: 1,
            ..DeliveryState::default()
        };
        actions.extend(engine.step(&at(now), Observation::Delivery(waiting)).reports);
        let alerts = actions.into_iter().filter_map(|action| {
            if let Report::Alert(alert) = action { Some(*alert) } else { None }
        });
        alerts.map(|alert| (alert.finding.code, alert.id)).collect::<Vec<_>>()
    };
    let (before, after) = (ids(700), ids(90_000));
    assert_eq!(before.len(), 3);
    assert_eq!(before, after);
}

#[test]
fn a_generation_is_one_trace_although_the_agent_restarts_in_the_middle() {
    let of = |actions: Vec<Report>| -> Vec<crate::traces::Span> {
        actions
            .into_iter()
            .filter_map(|action| if let Report::Span(span) = action { Some(*span) } else { None })
            .collect()
    };
    let lives = [(100, 200), (210, 300)].map(|(from, to)| {
        let mut engine = engine();
        let _ = engine.step(&at(from), token("p1", 0, 600));
        of(engine.close(&at(to))).remove(0)
    });
    let mut last = engine();
    let _ = last.step(&at(310), token("p1", 0, 600));
    let whole = of(last.step(&at(490), token("p1", 489, 600)).reports);
    let root = &whole[0];
    assert_eq!((root.parent, root.start, root.end), (None, at(0).wall, at(490).wall));
    for open in &lives {
        assert_eq!(
            (open.context.trace_id, open.parent),
            (root.context.trace_id, Some(root.context.span_id))
        );
    }
    assert_ne!(lives[0].context.span_id, lives[1].context.span_id, "each agent tells its own part");
}

#[test]
fn a_file_that_comes_back_is_no_second_life() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    assert_eq!(spans(&engine.step(&at(10), Observation::Gone(key("p1"))).reports).len(), 3);
    let _ = engine.step(&at(11), token("p1", 0, 600));
    assert_eq!(
        spans(&engine.step(&at(490), token("p1", 489, 600)).reports),
        [""; 0],
        "told as gone"
    );
    let _ = engine.step(&at(491), token("p1", 0, 600));
    assert_eq!(
        spans(&engine.step(&at(492), token("p1", 489, 600)).reports),
        [""; 0],
        "neither is one that is put back"
    );
}

#[test]
fn a_file_in_trouble_leads_to_the_trace_of_the_token_it_held() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    let content = FileContent::Malformed { reason: "it is empty".into() };
    let _ = engine
        .step(&at(2), Observation::File(FileSeen { key: key("p1"), written_at: None, content }));
    let _ = engine.step(&at(20), Observation::Tick);
    let malformed =
        engine.findings().into_iter().find(|finding| finding.code == Code::Malformed).unwrap();
    assert_eq!(
        malformed.trace,
        Some(crate::traces::generation::root(&key("p1"), &claims(IAT, 600, None)))
    );
    let replaced = engine.step(&at(30), token("p1", 29, 600)).reports;
    assert!(
        summaries(&replaced)[0].contains("was replaced by a new token"),
        "{:?}",
        summaries(&replaced)
    );
}

/// A round in which three servers say that true time is `offset` from the node's.
pub(super) fn measured(now: &Reading, offset: Delta) -> Observation {
    let bound = Delta::from_millis(5);
    let sample = Sample {
        offset,
        delay: bound,
        root_distance: bound,
        stratum: 2,
        leap: Leap::None,
        reference_id: "GPS".into(),
        taken: *now,
    };
    let exchange = |host: &str| Exchange {
        server: ServerName { host: host.into(), port: 123, address: Some("192.0.2.1".into()) },
        started: now.after(Delta::from_millis(-10)),
        ended: *now,
        result: Ok(sample.clone()),
    };
    Observation::NtpRound(Round {
        started: now.after(Delta::from_millis(-10)),
        ended: *now,
        exchanges: ["a", "b", "c"].map(exchange).into(),
    })
}

#[test]
fn one_wrong_clock_is_said_once_and_not_two_hundred_times() {
    let mut config = Config { node: "n1".into(), ..Config::default() };
    config.clock.servers_configured = true;
    let mut engine = Engine::new(config);
    let mut said = engine.step(&at(610), measured(&at(610), Delta::from_secs(-90))).reports; // true age 520: healthy
    for pod in 0..200 {
        said.extend(engine.step(&at(610), token(&format!("p{pod}"), 0, 600)).reports);
    }
    said.extend(engine.step(&at(611), Observation::Tick).reports);
    assert_eq!(summaries(&said).len(), 1, "{:?}", summaries(&said));
    let offset = &engine.findings()[0];
    assert_eq!((offset.code, offset.severity), (Code::ClockOffset, Severity::Critical));
    let _ = engine.step(&at(612), measured(&at(612), Delta::from_secs(-90)));
    assert!(
        engine.findings()[0].summary.ends_with("It makes 200 healthy tokens look wrong."),
        "{}",
        engine.findings()[0].summary
    );
    assert_eq!(
        spans(&said).iter().filter(|name| **name == schema::SPAN_GENERATION).count(),
        0,
        "nor does it end their traces"
    );
}

#[test]
fn delivery_that_waits_too_long_is_a_finding_and_ends() {
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
        ["The alerts of node n1 get out again (lost since the agent started: 3), 30.0s after \
          their delay was reported."]
    );
    assert!(!engine.findings().iter().any(|finding| finding.code == Code::DeliveryDelayed));
}

fn spot(pod: &str) -> BlindSpot {
    BlindSpot {
        pod_uid: pod.into(),
        volume: "v".into(),
        directory: "/d".into(),
        reason: "its tmpfs is not mounted here".into(),
    }
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

#[test]
fn the_snapshot_counts() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    let _ = engine.step(&at(1), token("p2", 0, 3_600));
    let _ = engine.step(
        &at(2),
        Observation::Source(SourceState {
            source: "watch".into(),
            degraded: Some("out of watches".into()),
        }),
    );
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
    let jumped = Reading { wall: at(3_400).wall, monotonic: at(2_000).monotonic };
    let step = crate::world::clocks::Step { size: Delta::from_secs(1_400), after: jumped };
    assert_eq!(
        alerts(&engine.step(&jumped, Observation::ClockStep(step)).reports, jumped.wall),
        []
    );
    let later = |secs: i64| jumped.after(Delta::from_secs(secs));
    assert_eq!(alerts(&engine.step(&later(119), Observation::Tick).reports, later(119).wall), []);
    assert!(engine.next_wake() <= Some(later(120).monotonic));
    let said = alerts(&engine.step(&later(120), Observation::Tick).reports, later(120).wall);
    assert_eq!(said, [(3_520, AlertEvent::Raised, Code::RotationStalled, Severity::Critical)]);
}

/// What an engine that saw a token stall leaves to be remembered.
fn remembered_stall() -> Vec<Restored> {
    let mut before = engine();
    let _ = before.step(&at(1), token("p1", 0, 3_600));
    let actions = before.step(&at(3_200), Observation::Tick).reports;
    let left = actions.iter().filter_map(|action| {
        if let Report::Alert(alert) = action { ledger::after(alert).1 } else { None }
    });
    left.collect()
}

#[test]
fn a_restart_while_a_finding_is_active_neither_loses_nor_repeats_it() {
    use AlertEvent::{Cleared, Reminded};
    let mut after = engine();
    let _ = after.restore(&at(3_210), remembered_stall());
    let snapshot = after.snapshot(&at(3_211));
    assert_eq!(
        snapshot.findings.get(&(Code::RotationStalled, Severity::Warning)),
        Some(&1),
        "it is active before anything was read"
    );
    assert_eq!(alerts(&after.step(&at(3_212), token("p1", 0, 3_600)).reports, at(3_212).wall), []);
    assert_eq!(
        run(&mut after, 3_212, 3_400),
        [(3_360, Reminded, Code::RotationStalled, Severity::Critical)]
    );
    let replaced = after.step(&at(3_410), token("p1", 3_405, 3_600)).reports;
    assert_eq!(
        alerts(&replaced, at(3_410).wall),
        [(3_410, Cleared, Code::RotationStalled, Severity::Critical)]
    );
    assert!(
        summaries(&replaced)[0].ends_with("3m 30s after its rotation was found stalled."),
        "{:?}",
        summaries(&replaced)
    );
}

#[test]
fn what_ended_while_nobody_looked_is_cleared_once_there_was_time_to_look() {
    let mut after = engine();
    let _ = after.restore(&at(3_210), remembered_stall());
    let said = run(&mut after, 3_210, 4_000);
    assert_eq!(said, [(3_300, AlertEvent::Cleared, Code::RotationStalled, Severity::Warning)]);
    assert_eq!(run(&mut after, 4_000, 9_000), []);
}

fn listed(deletion: Option<i64>) -> Observation {
    let deletion = deletion.map(|age| Wall::from_secs(IAT + age));
    let service_account = Some("cart".into());
    let pod = Pod {
        uid: "p1".into(),
        namespace: "shop".into(),
        name: "cart-0".into(),
        service_account,
        deletion,
        ..Pod::default()
    };
    Observation::Cluster(ClusterSeen::Listed(vec![pod]))
}

#[test]
fn a_pod_that_begins_to_go_is_judged_at_once() {
    use AlertEvent::{Cleared, Raised};
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    let _ = engine.step(&at(2), listed(None));
    let going = engine.step(&at(100), listed(Some(900))).reports;
    assert_eq!(
        alerts(&going, at(100).wall),
        [(100, Raised, Code::PodTerminating, Severity::Warning)]
    );
    let expected = [
        (600, AlertEvent::Reminded, Code::PodTerminating, Severity::Critical),
        (900, Cleared, Code::PodTerminating, Severity::Critical),
    ];
    assert_eq!(
        run(&mut engine, 100, 1_000),
        expected,
        "and kubelet is never accused of being late"
    );
}

#[test]
fn what_the_cluster_knows_names_the_pod_and_shows() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 600));
    let _ = engine.step(&at(2), listed(None));
    let status = engine.status(&at(12));
    assert_eq!(status.tokens[0].pod.name.as_deref(), Some("cart-0"));
    assert_eq!(status.agent.cluster, Some(ClusterFigures { pods: 1, age: Delta::from_secs(10) }));
    let _ = engine
        .step(&at(20), Observation::Cluster(ClusterSeen::Unreachable { reason: "403".into() }));
    assert_eq!(engine.status(&at(21)).agent.unreachable.as_deref(), Some("403"));
}

#[test]
fn what_is_shown_is_worded_by_now() {
    let mut engine = engine();
    let _ = engine.step(&at(2_900), token("p", 0, 3_600));
    run(&mut engine, 2_900, 3_250);
    let shown = |age| {
        engine
            .status(&at(age))
            .findings
            .first()
            .map(|(finding, since)| (finding.summary.clone(), *since))
            .unwrap()
    };
    let ((early, raised), (later, still_raised)) = (shown(3_260), shown(3_350));
    assert!(early.contains("5m 40s") && later.contains("4m 10s"), "{early} / {later}");
    assert_eq!(raised, still_raised);
}

#[test]
fn figures_are_not_whole_before_a_configured_clock_was_heard() {
    let mut config = Config::default();
    config.clock.servers_configured = true;
    let mut engine = Engine::new(config);
    let _ = engine.step(&at(0), Observation::Tick);
    assert!(engine.snapshot(&at(1)).awaits_clock);
    assert!(!engine.snapshot(&at(11)).awaits_clock, "it had its time");
    assert!(!super::Engine::new(Config::default()).snapshot(&at(0)).awaits_clock, "there is none");
}

#[test]
fn nobody_is_accused_before_the_api_server_has_had_its_time_to_speak() {
    use AlertEvent::Raised;
    let asking = || Engine::new(Config { cluster_configured: true, ..Config::default() });
    let mut engine = asking();
    assert_eq!(
        alerts(&engine.step(&at(700), token("p1", 0, 600)).reports, at(700).wall),
        [],
        "it may be a pod that is going"
    );
    let known = engine.step(&at(701), listed(Some(900))).reports;
    assert_eq!(
        alerts(&known, at(701).wall),
        [(701, Raised, Code::PodTerminating, Severity::Critical)]
    );
    let mut engine = asking();
    let _ = engine.step(&at(700), token("p1", 0, 600));
    let _ = engine
        .step(&at(701), Observation::Cluster(ClusterSeen::Unreachable { reason: "403".into() }));
    assert_eq!(
        run(&mut engine, 701, 720),
        [(710, Raised, Code::Expired, Severity::Critical)],
        "it had its time"
    );
}

fn questions(outcome: &Outcome) -> Vec<&str> {
    outcome.queries.iter().map(|Query::ServiceAccount(account)| account.name.as_str()).collect()
}

fn account(uid: Option<&str>) -> Observation {
    let account = AccountName { namespace: "shop".into(), name: "cart".into() };
    Observation::ServiceAccount(AccountSeen { account, uid: uid.map(Into::into) })
}

/// An engine that heard of the API server, with one token that is late by now.
fn late() -> (Engine, Outcome) {
    let mut engine = Engine::new(Config { cluster_configured: true, ..Config::default() });
    let _ = engine.step(&at(0), listed(None));
    let fresh = engine.step(&at(1), token("p1", 0, 3_600));
    assert_eq!(questions(&fresh), [""; 0], "a token that is as it should be raises no question");
    let outcome = engine.step(&at(3_000), Observation::Tick);
    (engine, outcome)
}

#[test]
fn a_service_account_is_asked_for_when_its_token_is_late_and_that_is_repeated_rarely() {
    let (mut engine, actions) = late();
    assert_eq!(questions(&actions), ["cart"]);
    let mut asked = Vec::new();
    for age in 3_001..3_700 {
        asked.extend(questions(&engine.step(&at(age), Observation::Tick)).iter().map(|_| age));
    }
    assert_eq!(asked, [3_300, 3_600], "every five minutes");
    let mut claimed = Engine::new(Config { cluster_configured: true, ..Config::default() });
    let _ = claimed.step(&at(0), listed(None));
    let _ = claimed.step(&at(1), token("unheard-of", 0, 3_600));
    assert_eq!(
        questions(&claimed.step(&at(3_000), Observation::Tick)),
        [""; 0],
        "only the claims say whose it is"
    );
    let mut alone = self::engine();
    let _ = alone.step(&at(1), token("p1", 0, 3_600));
    assert_eq!(
        questions(&alone.step(&at(3_000), Observation::Tick)),
        [""; 0],
        "there is nobody to ask"
    );
}

#[test]
fn a_token_whose_account_is_gone_is_critical_at_once_and_says_so() {
    use AlertEvent::{Cleared, Raised};
    let (late, stalled) = (Code::RotationLate, Code::RotationStalled);
    // (the UID of the account now, what is said of it)
    for (uid, words) in [
        (None, "service account shop/cart no longer exists"),
        (Some("other"), "was deleted and created again"),
    ] {
        let (mut engine, _) = self::late();
        let known = engine.step(&at(3_001), account(uid)).reports;
        let expected =
            [(3_001, Cleared, late, Severity::Info), (3_001, Raised, stalled, Severity::Critical)];
        let mut said = alerts(&known, at(3_001).wall);
        said.sort_by_key(|alert| alert.2);
        assert_eq!(said, expected, "{uid:?}");
        assert!(
            summaries(&known).iter().any(|summary| summary.contains(words)),
            "{:?}",
            summaries(&known)
        );
        assert_eq!(
            alerts(&engine.step(&at(3_002), account(uid)).reports, at(3_002).wall),
            [],
            "once"
        );
        let repaired = engine.step(&at(3_050), token("p1", 3_049, 3_600)).reports;
        assert_eq!(
            alerts(&repaired, at(3_050).wall),
            [(3_050, Cleared, stalled, Severity::Critical)]
        );
    }
}

#[test]
fn an_account_that_is_as_it_was_changes_nothing() {
    let (mut engine, _) = late();
    assert_eq!(
        alerts(&engine.step(&at(3_001), account(Some("sa-uid"))).reports, at(3_001).wall),
        []
    );
    assert_eq!(run(&mut engine, 3_001, 3_200)[1].2, Code::RotationStalled, "kubelet is to blame");
}

#[test]
fn a_pod_that_was_deleted_by_force_is_not_held_against_kubelet() {
    let mut engine = engine();
    let _ = engine.step(&at(0), listed(Some(30)));
    let _ = engine.step(&at(1), token("p1", 0, 600));
    let gone =
        engine.step(&at(700), Observation::Cluster(ClusterSeen::PodGone("p1".into()))).reports;
    assert_eq!(
        alerts(&gone, at(700).wall),
        [],
        "what is left of it is not replaced, and nobody uses it"
    );
    assert_eq!(run(&mut engine, 700, 20_000), []);
    assert_eq!(
        engine.status(&at(701)).agent.cluster,
        Some(ClusterFigures { pods: 0, age: Delta::from_secs(1) })
    );
    let _ = engine.step(&at(20_001), Observation::Gone(key("p1")));
    assert!(engine.world.cluster.pod("p1").is_none(), "nothing is left of it");
}

fn hidden(pod_uid: &str, volume: &str) -> Observation {
    Observation::Blind(vec![BlindSpot {
        pod_uid: pod_uid.into(),
        volume: volume.into(),
        directory: "/".into(),
        reason: "EACCES".into(),
    }])
}

#[test]
fn what_is_hidden_elsewhere_keeps_nothing_from_being_over() {
    let mut after = engine();
    let _ = after.restore(&at(3_210), remembered_stall());
    let _ = after.step(&at(3_211), hidden("another", "v"));
    assert_eq!(
        run(&mut after, 3_211, 5_000),
        [(3_300, AlertEvent::Cleared, Code::RotationStalled, Severity::Warning)]
    );
}

#[test]
fn who_cannot_see_says_nothing_of_what_was_remembered() {
    let degraded = |why: Option<&str>| {
        Observation::Source(SourceState { source: "files".into(), degraded: why.map(Into::into) })
    };
    let hiding = [
        hidden(BlindSpot::ALL, BlindSpot::ALL),
        hidden("p1", BlindSpot::ALL),
        hidden("p1", "kube-api-access-x"),
    ];
    let pairs = hiding.into_iter().map(|hidden| (hidden, Observation::Blind(vec![])));
    for (blinded, sees) in pairs.chain([(degraded(Some("EACCES")), degraded(None))]) {
        let mut after = engine();
        let _ = after.restore(&at(3_210), remembered_stall());
        let _ = after.step(&at(3_211), blinded);
        assert_eq!(run(&mut after, 3_211, 5_000), []);
        assert!(
            after.next_wake().is_none_or(|next| next > at(5_000).monotonic),
            "and does not spin"
        );
        let seen = after.step(&at(5_001), sees).reports;
        assert_eq!(
            alerts(&seen, at(5_001).wall),
            [(5_001, AlertEvent::Cleared, Code::RotationStalled, Severity::Warning)]
        );
    }
}

/// The account that made it critical has to be asked for anew.
#[test]
fn a_finding_from_before_a_restart_does_not_become_a_milder_one() {
    use AlertEvent::{Cleared, Raised};
    let (mut before, _) = late();
    let raised = before.step(&at(3_001), account(None)).reports;
    let remembered = raised.iter().filter_map(|action| {
        if let Report::Alert(alert) = action { ledger::after(alert).1 } else { None }
    });
    let mut after = Engine::new(Config { cluster_configured: true, ..Config::default() });
    let _ = after.restore(&at(3_010), remembered.collect());
    let mut said = Vec::new();
    for (age, observation) in
        [(3_011, token("p1", 0, 3_600)), (3_012, listed(None)), (3_013, account(None))]
    {
        said.extend(alerts(&after.step(&at(age), observation).reports, at(age).wall));
    }
    let (late, info) = (Code::RotationLate, Severity::Info);
    assert_eq!(
        said,
        [(3_012, Raised, late, info), (3_013, Cleared, late, info)],
        "the critical one stays"
    );
    assert_eq!(
        after.findings().iter().map(|finding| (finding.code, finding.severity)).collect::<Vec<_>>(),
        [(Code::RotationStalled, Severity::Critical)]
    );
}

#[test]
fn a_node_has_only_so_many_tokens_and_what_is_left_out_is_said() {
    let mut engine = engine();
    for pod in 0..MOST_TOKENS + 2 {
        let _ = engine.step(&at(1), token(&pod.to_string(), 0, 3_600));
    }
    assert_eq!(engine.world.tokens.iter().count(), MOST_TOKENS);
    let blind = |engine: &Engine| {
        engine
            .findings()
            .iter()
            .find(|finding| finding.code == Code::AgentBlind)
            .map(|finding| finding.summary.clone())
            .unwrap_or_default()
    };
    assert!(
        blind(&engine).contains("more than 2048 tokens, and the agent does not follow 2 of them"),
        "{}",
        blind(&engine)
    );
    let _ = engine.step(&at(2), token("0", 1, 3_600));
    assert_eq!(
        engine.tokens(&at(3))[0].claims.issued_at,
        at(1).wall,
        "those that are followed go on being so"
    );
    let _ = engine.step(&at(4), Observation::Gone(key("0")));
    assert!(!blind(&engine).is_empty(), "nobody has looked at those that were left out");
    let _ = engine.step(&at(5), token(&MOST_TOKENS.to_string(), 3, 3_600));
    let _ = engine.step(&at(6), Observation::Gone(key(&(MOST_TOKENS + 1).to_string())));
    assert_eq!((engine.world.tokens.iter().count(), blind(&engine).as_str()), (MOST_TOKENS, ""));
}

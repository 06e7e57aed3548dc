use super::*;
use crate::base::schema;
use crate::base::time::Wall;
use crate::base::value::Attributes;
use crate::findings::resolved;
use crate::findings::{Remedy, Subject};
use crate::world::cluster::PodRef;

fn at(secs: i64) -> Reading {
    Reading {
        wall: Wall::from_secs(1_800_000_000 + secs),
        monotonic: Monotonic::from_nanos(secs * 1_000_000_000),
    }
}

fn over(findings: Vec<Finding>) -> Judgement {
    Judgement { findings, missing: Missing::Recovered }
}

fn finding(code: Code, severity: Severity) -> Finding {
    Finding {
        code,
        severity,
        subject: Subject::node("n1"),
        summary: "it is so".into(),
        deadline: None,
        evidence: Attributes::new(),
        remedy: Remedy { text: "do".into(), command: None },
        trace: None,
    }
}

/// Runs a story of (seconds, what is wrong then) and tells what was said.
fn story(steps: &[(i64, Vec<Finding>)]) -> Vec<(i64, AlertEvent, Code)> {
    let mut ledger = Ledger::new("n1", Delta::from_secs(3_600));
    let mut said = Vec::new();
    for (secs, findings) in steps {
        let alerts = ledger.judge(&at(*secs), &Scope::Clock, over(findings.clone()));
        said.extend(alerts.into_iter().map(|alert| (*secs, alert.event, alert.finding.code)));
    }
    said
}

#[test]
fn said_once_then_reminded_then_cleared() {
    let late = || vec![finding(Code::RotationLate, Severity::Info)];
    let said =
        story(&[(0, late()), (10, late()), (3_600, late()), (3_700, late()), (3_800, vec![])]);
    let code = Code::RotationLate;
    assert_eq!(
        said,
        [
            (0, AlertEvent::Raised, code),
            (3_600, AlertEvent::Reminded, code),
            (3_800, AlertEvent::Cleared, code)
        ]
    );
}

#[test]
fn worse_is_said_at_once_and_better_is_not() {
    let stalled = |severity| vec![finding(Code::RotationStalled, severity)];
    let said = story(&[
        (0, stalled(Severity::Warning)),
        (5, stalled(Severity::Critical)),
        (9, stalled(Severity::Warning)),
    ]);
    assert_eq!(
        said.iter().map(|s| s.1).collect::<Vec<_>>(),
        [AlertEvent::Raised, AlertEvent::Reminded]
    );
}

#[test]
fn a_clock_that_comes_and_goes_does_not_flap() {
    let off = || vec![finding(Code::ClockOffset, Severity::Warning)];
    let said =
        story(&[(0, off()), (30, vec![]), (60, off()), (90, vec![]), (120, vec![]), (151, vec![])]);
    assert_eq!(
        said,
        [(0, AlertEvent::Raised, Code::ClockOffset), (151, AlertEvent::Cleared, Code::ClockOffset)]
    );
}

#[test]
fn each_step_of_the_clock_is_said_but_not_more_often_than_anyone_can_read() {
    let stepped = |at: i64| {
        let evidence = Attributes::new()
            .with(schema::CLOCK_STEP_AT, Wall::from_secs(0))
            .with(schema::CLOCK_STEP, Delta::from_secs(at));
        vec![Finding { evidence, ..finding(Code::ClockStepped, Severity::Warning) }]
    };
    let said = story(&[
        (0, stepped(0)),
        (3, stepped(0)),
        (9, stepped(9)),
        (10, stepped(10)),
        (13, stepped(13)),
        (14, stepped(13)),
        (60, stepped(13)),
    ]);
    assert_eq!(said.iter().map(|(secs, ..)| *secs).collect::<Vec<_>>(), [0, 9, 14], "{said:?}");

    let mut ledger = Ledger::new("n1", Delta::from_secs(3_600));
    let _ = ledger.judge(&at(0), &Scope::Clock, over(stepped(0)));
    let _ = ledger.judge(&at(1), &Scope::Clock, over(stepped(1)));
    assert_eq!(
        ledger.next_wake(&Scope::Clock),
        Some(at(5).monotonic),
        "what was not said at once is said then"
    );
}

#[test]
fn one_finding_turning_into_another_says_so() {
    let mut ledger = Ledger::new("n1", Delta::from_secs(3_600));
    let subject =
        Subject::Token { pod: PodRef::default(), volume: "v".into(), path: "token".into() };
    let about = |code| Finding { subject: subject.clone(), ..finding(code, Severity::Info) };
    let (late, stalled) = (about(Code::RotationLate), about(Code::RotationStalled));
    let mut judge = |secs, findings| ledger.judge(&at(secs), &Scope::Visibility, over(findings));
    let _ = judge(0, vec![late.clone()]);
    let alerts = judge(5, vec![stalled.clone()]);
    assert_eq!(
        alerts[0].finding,
        resolved(&late, Resolution::Became(Code::RotationStalled), Delta::from_secs(5))
    );
    assert_eq!(alerts[1].event, AlertEvent::Raised);
    // What was there all along is no heir.
    let _ = judge(6, vec![late.clone(), stalled.clone()]);
    assert_eq!(
        judge(9, vec![stalled])[0].finding,
        resolved(&late, Resolution::Recovered, Delta::from_secs(3))
    );
}

#[test]
fn how_long_it_lasted_is_not_told_by_a_clock_that_was_set_meanwhile() {
    let mut ledger = Ledger::new("n1", Delta::from_secs(3_600));
    let off = finding(Code::ClockOffset, Severity::Warning);
    let _ = ledger.judge(&at(0), &Scope::Clock, over(vec![off.clone()]));
    let set_back = |secs| Reading { wall: at(secs - 900).wall, ..at(secs) };
    assert_eq!(ledger.judge(&set_back(100), &Scope::Clock, over(vec![])), []);
    let cleared = ledger.judge(&set_back(160), &Scope::Clock, over(vec![]));
    assert_eq!(cleared[0].finding, resolved(&off, Resolution::Recovered, Delta::from_secs(100)));
}

#[test]
fn a_severity_that_goes_up_and_down_is_said_once() {
    let off = |severity| vec![finding(Code::ClockOffset, severity)];
    let steps: Vec<_> = (0..10)
        .flat_map(|i| [(i * 20, off(Severity::Warning)), (i * 20 + 10, off(Severity::Critical))])
        .collect();
    assert_eq!(
        story(&steps).iter().map(|s| s.1).collect::<Vec<_>>(),
        [AlertEvent::Raised, AlertEvent::Reminded]
    );
}

/// A ledger that an agent filled at 0 s, as the next agent finds it at 1000 s.
fn after_a_restart(code: Code) -> Ledger {
    let mut before = Ledger::new("n1", Delta::from_secs(3_600));
    let raised = before.judge(&at(0), &Scope::Clock, over(vec![finding(code, Severity::Warning)]));
    let mut after = Ledger::new("n1", Delta::from_secs(3_600));
    after.restore(&at(1_000), raised.iter().filter_map(|alert| super::after(alert).1).collect());
    after
}

#[test]
fn what_was_raised_before_a_restart_is_not_raised_again() {
    let mut ledger = after_a_restart(Code::ClockOffset);
    let off = || vec![finding(Code::ClockOffset, Severity::Warning)];
    assert_eq!(ledger.judge(&at(1_005), &Scope::Clock, over(off())), []);
    let reminded = ledger.judge(&at(3_600), &Scope::Clock, over(off()));
    assert_eq!(
        reminded[0].event,
        AlertEvent::Reminded,
        "the next reminder comes when it would have come"
    );
    assert_eq!(reminded[0].raised_at, at(0).wall);
}

#[test]
fn what_was_raised_before_a_restart_is_cleared_only_after_there_was_time_to_look() {
    let mut ledger = after_a_restart(Code::AgentBlind);
    let mut judge = |secs| ledger.judge(&at(secs), &Scope::Visibility, over(vec![]));
    assert_eq!(judge(1_001), []);
    assert_eq!(judge(1_089), []);
    let cleared = judge(1_090);
    assert_eq!((cleared[0].event, cleared[0].raised_at), (AlertEvent::Cleared, at(0).wall));
    let mut ledger = after_a_restart(Code::AgentBlind);
    assert_eq!(ledger.next_wake(&Scope::Visibility), Some(at(1_090).monotonic));
    let replaced = ledger.judge(&at(1_001), &Scope::Visibility, Judgement::gone());
    assert_eq!(replaced[0].event, AlertEvent::Cleared, "what ended for certain is not held");
}

#[test]
fn a_remembered_finding_is_judged_where_a_new_one_would_be() {
    let token = Subject::Token {
        pod: PodRef { uid: "u".into(), ..PodRef::default() },
        volume: "v".into(),
        path: "p".into(),
    };
    let key = TokenKey { pod_uid: "u".into(), volume: "v".into(), path: "p".into() };
    let table = [
        (Code::Expired, token, Scope::Token(key.clone())),
        (Code::AgentBlind, Subject::node("n1"), Scope::Visibility),
        (Code::DeliveryDelayed, Subject::node("n1"), Scope::Delivery),
        (Code::ClockServersDisagree, Subject::Server { server: "s".into() }, Scope::Clock),
    ];
    for (code, subject, scope) in table {
        assert_eq!(Scope::of(&Finding { subject, ..finding(code, Severity::Info) }), scope);
    }
}

#[test]
fn ids_survive_a_restart_and_differ_by_node() {
    let finding = finding(Code::Expired, Severity::Critical);
    assert_eq!(finding.id("n1"), finding.id("n1"));
    assert_ne!(finding.id("n1"), finding.id("n2"));
}

#[test]
fn reminders_of_one_moment_are_spread_over_an_eighth_of_the_interval() {
    let interval = Delta::from_secs(3_600);
    let due = |node: usize| {
        let mut ledger = Ledger::new(&format!("n{node}"), interval);
        let blind = over(vec![finding(Code::AgentBlind, Severity::Warning)]);
        let _ = ledger.judge(&at(0), &Scope::Visibility, blind);
        ledger.next_wake(&Scope::Visibility).unwrap()
    };
    let all: std::collections::BTreeSet<_> = (0..100).map(due).collect();
    assert!(all.len() > 90, "{} different times", all.len());
    assert!(all.iter().all(|time| (at(3_150).monotonic..=at(3_600).monotonic).contains(time)));
    assert_eq!(due(7), due(7), "the same in a replay");
}

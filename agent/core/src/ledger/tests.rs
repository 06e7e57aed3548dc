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

fn recovered(findings: Vec<Finding>) -> Judgement {
    Judgement { findings, missing: Missing::Recovered }
}

fn finding(code: Code, severity: Severity) -> Finding {
    Finding {
        code,
        severity,
        subject: Subject::node("n1"),
        summary: "something is wrong".into(),
        deadline: None,
        evidence: Attributes::new(),
        remedy: Remedy { text: "repair it".into(), command: None },
        trace: None,
    }
}

/// Passes each step (seconds, findings) to a ledger and returns the alerts.
fn alerts_of(steps: &[(i64, Vec<Finding>)]) -> Vec<(i64, AlertEvent, Code)> {
    let mut ledger = Ledger::new("n1", Delta::from_secs(3_600));
    let mut reported = Vec::new();
    for (secs, findings) in steps {
        let alerts = ledger.judge(&at(*secs), &Scope::Clock, recovered(findings.clone()));
        reported.extend(alerts.into_iter().map(|alert| (*secs, alert.event, alert.finding.code)));
    }
    reported
}

#[test]
fn a_finding_is_raised_reminded_and_cleared() {
    let late = || vec![finding(Code::RotationLate, Severity::Info)];
    let reported =
        alerts_of(&[(0, late()), (10, late()), (3_600, late()), (3_700, late()), (3_800, vec![])]);
    let code = Code::RotationLate;
    assert_eq!(
        reported,
        [
            (0, AlertEvent::Raised, code),
            (3_600, AlertEvent::Reminded, code),
            (3_800, AlertEvent::Cleared, code)
        ]
    );
}

#[test]
fn a_higher_severity_is_reported_at_once_and_a_lower_one_is_not() {
    let stalled = |severity| vec![finding(Code::RotationStalled, severity)];
    let reported = alerts_of(&[
        (0, stalled(Severity::Warning)),
        (5, stalled(Severity::Critical)),
        (9, stalled(Severity::Warning)),
    ]);
    assert_eq!(
        reported.iter().map(|s| s.1).collect::<Vec<_>>(),
        [AlertEvent::Raised, AlertEvent::Reminded]
    );
}

#[test]
fn a_finding_about_the_clock_does_not_flap() {
    let off = || vec![finding(Code::ClockOffset, Severity::Warning)];
    let reported = alerts_of(&[
        (0, off()),
        (30, vec![]),
        (60, off()),
        (90, vec![]),
        (120, vec![]),
        (151, vec![]),
    ]);
    assert_eq!(
        reported,
        [(0, AlertEvent::Raised, Code::ClockOffset), (151, AlertEvent::Cleared, Code::ClockOffset)]
    );
}

#[test]
fn each_step_is_reported_at_most_every_five_seconds() {
    let stepped = |at: i64| {
        let evidence = Attributes::new()
            .with(schema::CLOCK_STEP_AT, Wall::from_secs(0))
            .with(schema::CLOCK_STEP, Delta::from_secs(at));
        vec![Finding { evidence, ..finding(Code::ClockStepped, Severity::Warning) }]
    };
    let reported = alerts_of(&[
        (0, stepped(0)),
        (3, stepped(0)),
        (9, stepped(9)),
        (10, stepped(10)),
        (13, stepped(13)),
        (14, stepped(13)),
        (60, stepped(13)),
    ]);
    assert_eq!(
        reported.iter().map(|(secs, ..)| *secs).collect::<Vec<_>>(),
        [0, 9, 14],
        "{reported:?}"
    );

    let mut ledger = Ledger::new("n1", Delta::from_secs(3_600));
    let _ = ledger.judge(&at(0), &Scope::Clock, recovered(stepped(0)));
    let _ = ledger.judge(&at(1), &Scope::Clock, recovered(stepped(1)));
    assert_eq!(
        ledger.next_wake(&Scope::Clock),
        Some(at(5).monotonic),
        "the second step is reported then"
    );
}

#[test]
fn a_finding_that_becomes_another_is_resolved_as_such() {
    let mut ledger = Ledger::new("n1", Delta::from_secs(3_600));
    let subject =
        Subject::Token { pod: PodRef::default(), volume: "v".into(), path: "token".into() };
    let about = |code| Finding { subject: subject.clone(), ..finding(code, Severity::Info) };
    let (late, stalled) = (about(Code::FutureDated), about(Code::RotationStalled));
    let mut judge =
        |secs, findings| ledger.judge(&at(secs), &Scope::Visibility, recovered(findings));
    let _ = judge(0, vec![late.clone()]);
    let alerts = judge(5, vec![stalled.clone()]);
    assert_eq!(
        alerts[0].finding,
        resolved(&late, Resolution::Became(Code::RotationStalled), Delta::from_secs(5)).into()
    );
    assert_eq!(alerts[1].event, AlertEvent::Raised);
    // A finding that was active before is not a successor.
    let _ = judge(6, vec![late.clone(), stalled.clone()]);
    assert_eq!(
        judge(9, vec![stalled])[0].finding,
        resolved(&late, Resolution::Recovered, Delta::from_secs(3)).into()
    );
}

#[test]
fn the_duration_does_not_depend_on_steps_of_the_wall_clock() {
    let mut ledger = Ledger::new("n1", Delta::from_secs(3_600));
    let off = finding(Code::ClockOffset, Severity::Warning);
    let _ = ledger.judge(&at(0), &Scope::Clock, recovered(vec![off.clone()]));
    let set_back = |secs| Reading { wall: at(secs - 900).wall, ..at(secs) };
    assert_eq!(ledger.judge(&set_back(100), &Scope::Clock, recovered(vec![])), []);
    let cleared = ledger.judge(&set_back(160), &Scope::Clock, recovered(vec![]));
    assert_eq!(*cleared[0].finding, resolved(&off, Resolution::Recovered, Delta::from_secs(100)));
}

#[test]
fn a_severity_that_goes_up_and_down_is_reported_once() {
    let off = |severity| vec![finding(Code::ClockOffset, severity)];
    let steps: Vec<_> = (0..10)
        .flat_map(|i| [(i * 20, off(Severity::Warning)), (i * 20 + 10, off(Severity::Critical))])
        .collect();
    assert_eq!(
        alerts_of(&steps).iter().map(|s| s.1).collect::<Vec<_>>(),
        [AlertEvent::Raised, AlertEvent::Reminded]
    );
}

/// A ledger with a finding that was raised at 0 s, restored at 1000 s.
fn after_a_restart(code: Code) -> Ledger {
    let mut before = Ledger::new("n1", Delta::from_secs(3_600));
    let raised =
        before.judge(&at(0), &Scope::Clock, recovered(vec![finding(code, Severity::Warning)]));
    let mut after = Ledger::new("n1", Delta::from_secs(3_600));
    after.restore(&at(1_000), raised.iter().filter_map(|alert| super::after(alert).1).collect());
    after
}

#[test]
fn a_restored_finding_is_not_raised_again() {
    let mut ledger = after_a_restart(Code::ClockOffset);
    let off = || vec![finding(Code::ClockOffset, Severity::Warning)];
    assert_eq!(ledger.judge(&at(1_005), &Scope::Clock, recovered(off())), []);
    let reminded = ledger.judge(&at(3_600), &Scope::Clock, recovered(off()));
    assert_eq!(reminded[0].event, AlertEvent::Reminded, "the reminder comes at its original time");
    assert_eq!(reminded[0].raised_at, at(0).wall);
}

#[test]
fn a_restored_finding_is_cleared_only_after_the_hold() {
    let mut ledger = after_a_restart(Code::AgentBlind);
    let mut judge = |secs| ledger.judge(&at(secs), &Scope::Visibility, recovered(vec![]));
    assert_eq!(judge(1_001), []);
    assert_eq!(judge(1_089), []);
    let cleared = judge(1_090);
    assert_eq!((cleared[0].event, cleared[0].raised_at), (AlertEvent::Cleared, at(0).wall));
    let mut ledger = after_a_restart(Code::AgentBlind);
    assert_eq!(ledger.next_wake(&Scope::Visibility), Some(at(1_090).monotonic));
    let replaced = ledger.judge(&at(1_001), &Scope::Visibility, Judgement::gone());
    assert_eq!(
        replaced[0].event,
        AlertEvent::Cleared,
        "a resolution that was observed is not held"
    );
}

#[test]
fn a_restored_finding_has_the_scope_of_a_new_one() {
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

/// The findings about one token, each with its severity.
fn alerts_of_token(steps: &[(i64, Code, Severity)]) -> Vec<(i64, AlertEvent, Code, Severity)> {
    let mut ledger = Ledger::new("n1", Delta::from_secs(3_600));
    let mut reported = Vec::new();
    for (secs, code, severity) in steps {
        let found = recovered(vec![finding(*code, *severity)]);
        let alerts = ledger.judge(&at(*secs), &Scope::Clock, found);
        reported.extend(
            alerts.into_iter().map(|a| (*secs, a.event, a.finding.code, a.finding.severity)),
        );
    }
    reported
}

#[test]
fn a_finding_that_gets_worse_stays_one_finding() {
    use AlertEvent::{Raised, Reminded};
    use Code::{Expired, RotationLate, RotationStalled};
    use Severity::{Critical, Warning};
    let steps = [
        (0, RotationLate, Warning),
        (14, RotationStalled, Critical),
        (15, RotationLate, Warning), // the clock was corrected, and set back
        (16, RotationStalled, Critical),
        (24, Expired, Critical),
        (30, Expired, Critical),
    ];
    let expected = [
        (0, Raised, RotationLate, Warning),
        (14, Reminded, RotationStalled, Critical),
        (24, Reminded, Expired, Critical),
    ];
    assert_eq!(alerts_of_token(&steps), expected);
}

#[test]
fn that_nobody_is_needed_any_more_is_reported_at_once() {
    use AlertEvent::{Raised, Reminded};
    use Code::{Expired, PodTerminating};
    use Severity::{Critical, Info};
    let steps = [(0, Expired, Critical), (60, PodTerminating, Info), (70, PodTerminating, Info)];
    let expected = [(0, Raised, Expired, Critical), (60, Reminded, PodTerminating, Info)];
    assert_eq!(alerts_of_token(&steps), expected);
}

/// An alert was lost. A finding about the clock is held for a while before it is cleared: nobody
/// knows of it yet, and so it is reported as well.
#[test]
fn whatever_is_not_cleared_is_reported_again_when_its_alert_was_lost() {
    use AlertEvent::{Cleared, Raised, Reminded};
    let mut ledger = Ledger::new("n1", Delta::from_secs(3_600));
    let offset = finding(Code::ClockOffset, Severity::Warning);
    let lost = || vec![offset.id("n1").0, "unknown".to_owned()];
    let raised = Again { round: 1, raised: lost(), reminded: vec![] };
    let reminded = Again { round: 2, raised: vec![], reminded: lost() };
    let _ = ledger.judge(&at(0), &Scope::Clock, recovered(vec![offset.clone()]));
    let events = |alerts: Vec<Alert>| alerts.iter().map(|one| one.event).collect::<Vec<_>>();
    assert_eq!(events(ledger.again(&at(10), &raised)), [Raised]);
    assert_eq!(events(ledger.again(&at(10), &reminded)), [Reminded]);
    assert_eq!(events(ledger.judge(&at(20), &Scope::Clock, recovered(vec![]))), []);
    assert_eq!(events(ledger.again(&at(30), &raised)), [Raised], "it is held");
    assert_eq!(events(ledger.judge(&at(90), &Scope::Clock, recovered(vec![]))), [Cleared]);
    assert_eq!(events(ledger.again(&at(100), &raised)), [], "it is cleared");
}

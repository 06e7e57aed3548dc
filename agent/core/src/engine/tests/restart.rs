//! A restart of the agent.

use super::*;
use crate::world::tokens::{Signature, SignatureResult};

#[test]
fn a_restarted_engine_gives_the_same_reports() {
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
        let mut reports = engine.step(&at(now), token("p1", 0, 600)).reports;
        reports.extend(engine.step(&at(now), Observation::Blind(vec![spot("a")])).reports);
        let waiting = DeliveryState {
            waiting_since: Some(at(now - 90)),
            waiting: 1,
            ..DeliveryState::default()
        };
        reports.extend(engine.step(&at(now), Observation::Delivery(waiting)).reports);
        let alerts = reports.into_iter().filter_map(|report| {
            if let Report::Alert(alert) = report { Some(*alert) } else { None }
        });
        alerts.map(|alert| (alert.finding.code, alert.id)).collect::<Vec<_>>()
    };
    let (before, after) = (ids(700), ids(90_000));
    assert_eq!(before.len(), 3);
    assert_eq!(before, after);
}

#[test]
fn a_generation_is_one_trace_over_restarts() {
    let spans_of = |reports: Vec<Report>| -> Vec<crate::traces::Span> {
        reports
            .into_iter()
            .filter_map(|report| if let Report::Span(span) = report { Some(*span) } else { None })
            .collect()
    };
    let parts = [(100, 200), (210, 300)].map(|(from, to)| {
        let mut engine = engine();
        let _ = engine.step(&at(from), token("p1", 0, 600));
        spans_of(engine.close(&at(to))).remove(0)
    });
    let mut last = engine();
    let _ = last.step(&at(310), token("p1", 0, 600));
    let complete = spans_of(last.step(&at(490), token("p1", 489, 600)).reports);
    let root = &complete[0];
    assert_eq!((root.parent, root.start, root.end), (None, at(0).wall, at(490).wall));
    for open in &parts {
        assert_eq!(
            (open.context.trace_id, open.parent),
            (root.context.trace_id, Some(root.context.span_id))
        );
    }
    assert_ne!(
        parts[0].context.span_id, parts[1].context.span_id,
        "each agent exports its own part"
    );
}

/// The state that an engine saved after it reported a stalled token.
fn stalled_state() -> Vec<Restored> {
    let mut before = engine();
    let _ = before.step(&at(1), token("p1", 0, 3_600));
    let reports = before.step(&at(3_200), Observation::Tick).reports;
    let saved = reports.iter().filter_map(|report| {
        if let Report::Alert(alert) = report { ledger::after(alert).1 } else { None }
    });
    saved.collect()
}

#[test]
fn an_active_finding_is_neither_lost_nor_repeated_over_a_restart() {
    use AlertEvent::{Cleared, Reminded};
    let mut after = engine();
    let _ = after.restore(&at(3_210), stalled_state());
    let snapshot = after.snapshot(&at(3_211));
    assert_eq!(
        snapshot.findings.by_code.get(&(Code::RotationStalled, Severity::Warning)),
        Some(&1),
        "it is active before the first observation"
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
        summaries(&replaced)[0].ends_with("3m 30s after it was first reported."),
        "{:?}",
        summaries(&replaced)
    );
}

#[test]
fn a_restored_finding_that_is_not_observed_again_is_cleared_after_the_hold() {
    let mut after = engine();
    let _ = after.restore(&at(3_210), stalled_state());
    let reported = run(&mut after, 3_210, 4_000);
    assert_eq!(reported, [(3_300, AlertEvent::Cleared, Code::RotationStalled, Severity::Warning)]);
    assert_eq!(run(&mut after, 4_000, 9_000), []);
}

fn hidden(pod_uid: &str, volume: &str) -> Observation {
    Observation::Blind(vec![BlindSpot {
        pod_uid: pod_uid.into(),
        volume: volume.into(),
        directory: "/".into(),
        reason: "EACCES".into(),
        is_partly: false,
    }])
}

#[test]
fn a_blind_spot_of_another_pod_does_not_keep_a_restored_finding() {
    let mut after = engine();
    let _ = after.restore(&at(3_210), stalled_state());
    let _ = after.step(&at(3_211), hidden("another", "v"));
    assert_eq!(
        run(&mut after, 3_211, 5_000),
        [(3_300, AlertEvent::Cleared, Code::RotationStalled, Severity::Warning)]
    );
}

#[test]
fn a_restored_finding_stays_while_the_agent_cannot_see_its_token() {
    let degraded = |why: Option<&str>| {
        Observation::Source(SourceState { source: "files".into(), degraded: why.map(Into::into) })
    };
    let spots = [
        hidden(BlindSpot::ALL, BlindSpot::ALL),
        hidden("p1", BlindSpot::ALL),
        hidden("p1", "kube-api-access-x"),
    ];
    let pairs = spots.into_iter().map(|spot| (spot, Observation::Blind(vec![])));
    for (blind, visible) in pairs.chain([(degraded(Some("EACCES")), degraded(None))]) {
        let mut after = engine();
        let _ = after.restore(&at(3_210), stalled_state());
        let _ = after.step(&at(3_211), blind);
        assert_eq!(run(&mut after, 3_211, 5_000), []);
        assert!(
            after.next_wake().is_none_or(|next| next > at(5_000).monotonic),
            "the engine does not spin"
        );
        let seen = after.step(&at(5_001), visible).reports;
        assert_eq!(
            alerts(&seen, at(5_001).wall),
            [(5_001, AlertEvent::Cleared, Code::RotationStalled, Severity::Warning)]
        );
    }
}

/// A late token with a lost account. Nothing milder is raised beside the restored finding while the
/// account is requested again.
#[test]
fn a_restored_loss_is_not_reported_again() {
    let (mut before, _) = late();
    let raised = before.step(&at(3_001), account(None)).reports;
    let saved = raised.iter().filter_map(|report| {
        if let Report::Alert(alert) = report { ledger::after(alert).1 } else { None }
    });
    let mut after = Engine::new(Config { cluster_configured: true, ..Config::default() });
    let _ = after.restore(&at(3_010), saved.collect());
    let mut reported = Vec::new();
    for (age, observation) in
        [(3_011, token("p1", 0, 3_600)), (3_012, listed(None)), (3_013, account(None))]
    {
        reported.extend(alerts(&after.step(&at(age), observation).reports, at(age).wall));
    }
    assert_eq!(reported, []);
    assert_eq!(
        after.findings().iter().map(|finding| (finding.code, finding.severity)).collect::<Vec<_>>(),
        [(Code::SubjectReplaced, Severity::Critical)]
    );
}

/// A token of p1 whose signature was checked, with this result.
fn checked(iat_age: i64, result: Option<SignatureResult>) -> Observation {
    let Observation::File(seen) = token("p1", iat_age, 3_600) else { panic!("a file") };
    let signature = result.map(|result| Signature { result, keys_at: at(0).wall });
    Observation::File(FileSeen { signature, ..seen })
}

/// After a restart the keys are not known yet, and nothing shows that the file is good now.
#[test]
fn a_damaged_token_stays_so_until_the_keys_are_known_again() {
    let damaged = Some(SignatureResult::Damaged);
    let mut before = engine();
    let _ = before.step(&at(1), checked(0, damaged));
    let reports = before.step(&at(20), Observation::Tick).reports;
    let raised = [(20, AlertEvent::Raised, Code::Malformed, Severity::Warning)];
    assert_eq!(alerts(&reports, at(20).wall), raised);
    let saved = reports.iter().filter_map(|report| {
        if let Report::Alert(alert) = report { ledger::after(alert).1 } else { None }
    });
    let saved: Vec<Restored> = saved.collect();
    // (what the next agent sees first, what it sees then, whether that resolves the finding)
    let table = [
        (checked(0, None), checked(0, damaged), false),
        (checked(0, None), checked(0, None), false), // the API server does not answer
        (checked(0, None), checked(0, Some(SignatureResult::Verified)), true),
        (checked(90, None), checked(90, None), true), // a new token
    ];
    for (first, then, is_resolved) in table {
        let mut after = engine();
        let _ = after.restore(&at(100), saved.clone());
        let mut reported = alerts(&after.step(&at(101), first).reports, at(101).wall);
        reported.extend(alerts(&after.step(&at(102), then).reports, at(102).wall));
        reported.extend(run(&mut after, 102, 300));
        let events: Vec<_> = reported.iter().map(|alert| alert.1).collect();
        let expected = if is_resolved { &[AlertEvent::Cleared][..] } else { &[] };
        assert_eq!(events, expected);
    }
}

/// The state that an engine saved after it reported a fresh token with a lost account.
fn lost_state() -> Vec<Restored> {
    let mut before = Engine::new(Config { cluster_configured: true, ..Config::default() });
    let _ = before.step(&at(1), listed(None));
    let _ = before.step(&at(1), token("p1", 0, 3_600));
    let _ = before.step(&at(2), Observation::Tick);
    let _ = before.step(&at(3), account(None));
    let reports = before.step(&at(13), Observation::Tick).reports;
    let saved = reports.iter().filter_map(|report| {
        if let Report::Alert(alert) = report { ledger::after(alert).1 } else { None }
    });
    saved.collect()
}

#[test]
fn a_lost_account_stays_lost_over_a_restart_until_the_api_server_answers() {
    let restarted = || {
        let mut after = Engine::new(Config { cluster_configured: true, ..Config::default() });
        let _ = after.restore(&at(100), lost_state());
        let _ = after.step(&at(101), token("p1", 0, 3_600));
        after
    };
    assert_eq!(lost_state().len(), 1);
    let mut away = restarted();
    assert_eq!(run(&mut away, 101, 3_000), [], "the API server is away for most of an hour");
    let mut answers = restarted();
    let first = answers.step(&at(103), listed(None));
    assert_eq!(queries(&first), ["cart"], "its account comes first");
    let back = answers.step(&at(104), account(Some("sa-uid"))).reports;
    let cleared = [(104, AlertEvent::Cleared, Code::SubjectReplaced, Severity::Critical)];
    assert_eq!(alerts(&back, at(104).wall), cleared);
    let mut rotated = restarted();
    let _ = rotated.step(&at(105), token("p1", 104, 3_600));
    let cleared = [(110, AlertEvent::Cleared, Code::SubjectReplaced, Severity::Critical)];
    assert_eq!(run(&mut rotated, 105, 400), cleared, "the token was replaced meanwhile");
}

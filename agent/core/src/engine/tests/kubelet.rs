//! One broken kubelet is one finding.

use super::*;

fn about_kubelet(reports: &[Report]) -> Vec<(AlertEvent, Severity)> {
    let of = |report: &Report| match report {
        Report::Alert(alert) if alert.finding.code == Code::KubeletStalled => {
            Some((alert.event, alert.finding.severity))
        }
        _ => None,
    };
    reports.iter().filter_map(of).collect()
}

/// Runs the engine by its own wake-ups. Returns the alerts about kubelet, and those about tokens.
#[expect(clippy::type_complexity)]
fn run_both(
    engine: &mut Engine,
    from: i64,
    to: i64,
) -> (Vec<(i64, AlertEvent, Severity)>, Vec<(i64, AlertEvent, Code, Severity)>) {
    let (mut now, mut kubelet, mut tokens) = (at(from), Vec::new(), Vec::new());
    while let Some(next) = engine.next_wake().filter(|next| *next <= at(to).monotonic) {
        now = now.after((next - now.monotonic).max(Delta::from_millis(1)));
        let reports = engine.step(&now, Observation::Tick).reports;
        let age = (now.wall - Wall::from_secs(IAT)).as_secs();
        kubelet.extend(about_kubelet(&reports).into_iter().map(|(e, s)| (age, e, s)));
        tokens.extend(alerts(&reports, now.wall));
    }
    (kubelet, tokens)
}

/// An engine with tokens of these pods, all issued at the start.
fn node_of(pods: &[&str]) -> Engine {
    let mut engine = engine();
    for pod in pods {
        let _ = engine.step(&at(1), token(pod, 0, 3_600));
    }
    engine
}

#[test]
fn a_kubelet_that_replaces_nothing_is_one_finding_that_gets_worse() {
    use AlertEvent::{Raised, Reminded};
    let mut engine = node_of(&["p1", "p2", "p3"]);
    let (kubelet, tokens) = run_both(&mut engine, 1, 9_000);
    assert_eq!(
        kubelet,
        [
            (3_000, Raised, Severity::Info),
            (3_180, Reminded, Severity::Warning),
            (3_360, Reminded, Severity::Critical),
        ]
    );
    assert_eq!(tokens, [], "no finding about a single pod");
    let finding = engine.status(&at(3_500)).findings.remove(0).0;
    assert_eq!(
        finding.summary,
        "kubelet on node n1 has replaced no token for 58m 20s, although 3 tokens of 3 pods should \
         have been replaced. The last of them expires in 1m 40s. First: shop/p1-name until \
         2027-01-15T09:00:00Z. This agent has no access to the API server to compare with."
    );
    assert_eq!(finding.deadline, Some(at(3_600).wall));
}

#[test]
fn a_single_pod_is_no_evidence_about_kubelet() {
    for few in [&["p1"][..], &["p1", "p2"]] {
        assert_eq!(run_both(&mut node_of(few), 1, 3_500).0, []);
    }
    let mut others = node_of(&["p1", "p2", "p3"]);
    let _ = others.step(&at(3_001), token("p4", 3_001, 3_600));
    let (kubelet, tokens) = run_both(&mut others, 3_001, 3_500);
    assert_eq!(kubelet, [], "kubelet got a token for another pod after these were late");
    assert!(!tokens.is_empty());
}

/// An engine with a token of a pod for each age at which one was issued.
fn node_since(issued: &[i64]) -> Engine {
    let mut engine = engine();
    for (nth, age) in issued.iter().enumerate() {
        let _ = engine.step(&at(age + 1), token(&format!("p{}", nth + 1), *age, 3_600));
    }
    engine
}

/// A token of an hour is due after 2,880 s, late after 3,000 and stalled after 3,180.
#[test]
fn the_first_late_tokens_wait_for_those_that_show_what_kubelet_does() {
    use AlertEvent::{Cleared, Raised, Reminded};
    use Code::{RotationLate, RotationStalled};
    let info = |age, event, code| (age, event, code, Severity::Info);
    let table: [(&str, &[i64], i64, Vec<_>); 6] = [
        ("within seconds", &[0, 2, 4], 3_004, vec![]),
        ("before the first is stalled", &[0, 100, 110], 3_110, vec![]),
        (
            "long after the first",
            &[0, 400, 402],
            3_402,
            vec![
                info(3_000, Raised, RotationLate),
                (3_180, Reminded, RotationStalled, Severity::Warning),
                (3_402, Cleared, RotationStalled, Severity::Critical),
            ],
        ),
        (
            "not due yet when the first is late",
            &[0, 130, 132],
            3_132,
            vec![info(3_000, Raised, RotationLate), info(3_132, Cleared, RotationLate)],
        ),
        (
            "two owners",
            &[0, 2],
            0,
            vec![info(3_000, Raised, RotationLate), info(3_002, Raised, RotationLate)],
        ),
        ("one owner", &[0], 0, vec![info(3_000, Raised, RotationLate)]),
    ];
    for (what, issued, stalled, expected) in table {
        let to = if stalled == 0 { 3_100 } else { stalled };
        let (kubelet, mut tokens) = run_both(&mut node_since(issued), issued[issued.len() - 1], to);
        tokens.retain(|alert| (alert.1, alert.3) != (Reminded, Severity::Critical));
        assert_eq!(tokens, expected, "{what}");
        let raised: Vec<i64> = kubelet.iter().map(|alert| alert.0).collect();
        let named = if stalled == 0 { vec![] } else { vec![stalled] };
        assert_eq!(raised, named, "{what}");
    }
}

/// Of tokens that wait, none is forgotten when kubelet replaces the others after all.
#[test]
fn a_late_token_that_waited_is_reported_when_another_one_is_replaced() {
    use AlertEvent::Raised;
    let mut engine = node_since(&[0, 2, 4]);
    assert_eq!(run_both(&mut engine, 4, 3_003), (vec![], vec![]));
    let reports = engine.step(&at(3_003), token("p3", 3_003, 3_600)).reports;
    let raised = (3_003, Raised, Code::RotationLate, Severity::Info);
    assert_eq!(alerts(&reports, at(3_003).wall), [raised, raised]);
}

/// What looks once, or starts, has not seen that others were in time.
#[test]
fn a_token_that_was_late_at_the_first_look_does_not_wait() {
    let mut engine = engine();
    for pod in ["p2", "p3"] {
        let _ = engine.step(&at(3_001), token(pod, 20, 3_600));
    }
    let reports = engine.step(&at(3_001), token("p1", 0, 3_600)).reports;
    let raised = (3_001, AlertEvent::Raised, Code::RotationLate, Severity::Info);
    assert_eq!(alerts(&reports, at(3_001).wall), [raised]);
    let (kubelet, tokens) = run_both(&mut engine, 3_001, 3_020);
    assert_eq!(kubelet, [(3_020, AlertEvent::Raised, Severity::Info)]);
    let cleared = (3_020, AlertEvent::Cleared, Code::RotationLate, Severity::Info);
    assert_eq!(tokens, [cleared], "kubelet's finding takes its place");
}

#[test]
fn when_kubelet_recovers_no_pod_is_accused() {
    use AlertEvent::Cleared;
    let mut engine = node_of(&["p1", "p2", "p3"]);
    let _ = run_both(&mut engine, 1, 3_700);
    let first = engine.step(&at(3_710), token("p1", 3_709, 3_600)).reports;
    assert_eq!((about_kubelet(&first), alerts(&first, at(3_710).wall)), (vec![], vec![]));
    let (kubelet, tokens) = run_both(&mut engine, 3_710, 3_760);
    assert_eq!((kubelet, tokens), (vec![], vec![]), "kubelet has time for the others");
    let _ = engine.step(&at(3_770), token("p2", 3_769, 3_600));
    let last = engine.step(&at(3_780), token("p3", 3_779, 3_600)).reports;
    assert_eq!(about_kubelet(&last), [(Cleared, Severity::Critical)]);
    assert_eq!(alerts(&last, at(3_780).wall), []);
}

/// kubelet could as little replace a token that is late only then. It has the same time for it.
#[test]
fn a_token_that_is_late_just_after_a_stall_is_no_finding_at_once() {
    let late = (3_140, AlertEvent::Raised, Code::RotationLate, Severity::Info);
    for (is_replaced, expected) in [(true, vec![]), (false, vec![late])] {
        let mut engine = node_since(&[0, 2, 4, 30]);
        let (kubelet, _) = run_both(&mut engine, 30, 3_020);
        assert_eq!(kubelet.len(), 1, "{kubelet:?}");
        for pod in ["p1", "p2", "p3"] {
            let reports = engine.step(&at(3_020), token(pod, 3_019, 3_600)).reports;
            assert_eq!(alerts(&reports, at(3_020).wall), []);
        }
        assert_eq!(run_both(&mut engine, 3_020, 3_040), (vec![], vec![]), "late at 3,030");
        if is_replaced {
            let _ = engine.step(&at(3_050), token("p4", 3_049, 3_600));
        }
        assert_eq!(run_both(&mut engine, 3_050, 3_200), (vec![], expected));
    }
}

#[test]
fn a_pod_that_a_healthy_kubelet_does_not_serve_gets_its_own_finding() {
    use AlertEvent::{Cleared, Raised};
    let mut engine = node_of(&["p1", "p2", "p3"]);
    let _ = run_both(&mut engine, 1, 3_200);
    let _ = engine.step(&at(3_210), token("p1", 3_209, 3_600));
    let _ = engine.step(&at(3_211), token("p2", 3_210, 3_600));
    let (kubelet, tokens) = run_both(&mut engine, 3_210, 3_340);
    assert_eq!(kubelet, [(3_330, Cleared, Severity::Warning)]);
    assert_eq!(tokens, [(3_330, Raised, Code::RotationStalled, Severity::Warning)]);
}

#[test]
fn the_first_scan_is_complete_before_anything_is_raised() {
    let mut engine =
        Engine::new(Config { scan_expected: true, node: "n1".into(), ..Config::default() });
    for pod in ["p1", "p2", "p3"] {
        let reports = engine.step(&at(3_700), token(pod, 0, 3_600)).reports;
        assert_eq!(alerts(&reports, at(3_700).wall), []);
    }
    let scanned = SourceState { source: "files".into(), degraded: None };
    let reports = engine.step(&at(3_701), Observation::Source(scanned)).reports;
    assert_eq!(alerts(&reports, at(3_701).wall), []);
    assert_eq!(about_kubelet(&reports), [(AlertEvent::Raised, Severity::Critical)]);
}

#[test]
fn a_stall_is_neither_lost_nor_repeated_over_a_restart() {
    let mut before = node_of(&["p1", "p2", "p3"]);
    let reports = before.step(&at(3_200), Observation::Tick).reports;
    let saved = reports.iter().filter_map(|report| {
        if let Report::Alert(alert) = report { ledger::after(alert).1 } else { None }
    });
    let mut after = engine();
    let _ = after.restore(&at(3_210), saved.collect());
    for pod in ["p1", "p2", "p3"] {
        let reports = after.step(&at(3_212), token(pod, 0, 3_600)).reports;
        assert_eq!((about_kubelet(&reports), alerts(&reports, at(3_212).wall)), (vec![], vec![]));
    }
    let (kubelet, tokens) = run_both(&mut after, 3_212, 3_500);
    assert_eq!(kubelet, [(3_360, AlertEvent::Reminded, Severity::Critical)]);
    assert_eq!(tokens, []);
}

/// The pods of a node that is cut off are deleted at the API server, and go on running.
#[test]
fn nothing_is_cleared_over_dead_tokens_when_a_node_is_cut_off() {
    let mut engine = node_of(&["p1", "p2", "p3"]);
    let pod = |uid: &str, deletion: Option<i64>| Pod {
        uid: uid.into(),
        namespace: "shop".into(),
        name: uid.into(),
        phase: crate::world::cluster::Phase::Running,
        deletion: deletion.map(|age| at(age).wall),
        ..Pod::default()
    };
    let listed = |deletion| {
        let pods = ["p1", "p2", "p3"].map(|uid| pod(uid, deletion));
        Observation::Cluster(ClusterSeen::Listed(pods.into()))
    };
    let _ = engine.step(&at(2), listed(None));
    let (kubelet, _) = run_both(&mut engine, 2, 3_800);
    assert_eq!(kubelet.last().map(|alert| alert.2), Some(Severity::Critical));
    let evicted = engine.step(&at(3_801), listed(Some(3_831))).reports;
    let mut kubelet = about_kubelet(&evicted);
    let mut tokens = alerts(&evicted, at(3_801).wall);
    let (later, more) = run_both(&mut engine, 3_801, 20_000);
    kubelet.extend(later.into_iter().map(|(_, event, severity)| (event, severity)));
    tokens.extend(more);
    let cleared = |event: &AlertEvent| *event == AlertEvent::Cleared;
    assert!(!kubelet.iter().any(|(event, _)| cleared(event)), "{kubelet:?}");
    assert!(!tokens.iter().any(|(_, event, ..)| cleared(event)), "{tokens:?}");
    let dead: Vec<_> = engine.findings().into_iter().map(|f| (f.code, f.severity)).collect();
    let critical = |code| (code, Severity::Critical);
    let terminating = critical(Code::PodTerminating);
    assert_eq!(dead, [terminating, terminating, terminating, critical(Code::KubeletStalled)]);
}

#[test]
fn tokens_that_kubelet_does_not_replace_show_nothing_about_it() {
    let mut engine = engine();
    for pod in ["p1", "p2", "p3"] {
        let Observation::File(mut seen) = token(pod, 0, 3_600) else { unreachable!() };
        if let FileContent::Token(claims) = &mut seen.content {
            claims.binding.pod = None;
        }
        let _ = engine.step(&at(1), Observation::File(seen));
    }
    let (kubelet, tokens) = run_both(&mut engine, 1, 3_500);
    assert_eq!(kubelet, []);
    assert_eq!(tokens.len(), 6, "each near its end, by itself: {tokens:?}");
}

//! While a source of files stands still, time alone accuses nobody, and resolves nothing.

use super::*;
use crate::world::observation::Standstill;
use crate::world::tokens::Verdict;

fn stands(since: Option<i64>) -> Observation {
    Observation::Standstill(Standstill { source: "files".into(), since: since.map(at) })
}

fn node_of(pods: &[&str]) -> Engine {
    let mut engine = engine();
    for pod in pods {
        let _ = engine.step(&at(1), token(pod, 0, 3_600));
    }
    engine
}

fn codes(engine: &Engine) -> Vec<Code> {
    engine.findings().into_iter().map(|finding| finding.code).collect()
}

/// Runs the engine by its own wake-ups, at most once a second on average.
fn wait(engine: &mut Engine, from: i64, to: i64) {
    let (mut now, mut steps) = (at(from), 0);
    while let Some(next) = engine.next_wake().filter(|next| *next <= at(to).monotonic) {
        now = now.after((next - now.monotonic).max(Delta::from_millis(1)));
        let _ = engine.step(&now, Observation::Tick);
        steps += 1;
        assert!(steps <= to - from, "it does not rest");
    }
}

#[test]
fn old_knowledge_accuses_neither_kubelet_nor_a_token() {
    for pods in [&["p1"][..], &["p1", "p2", "p3"]] {
        for since in [10, 2_890, 2_995] {
            let mut engine = node_of(pods);
            wait(&mut engine, 1, since);
            let _ = engine.step(&at(since + 3), stands(Some(since)));
            wait(&mut engine, since + 3, 9_000);
            assert_eq!(codes(&engine), [Code::AgentBlind], "{pods:?} since {since}");
            let status = engine.status(&at(9_000));
            assert!(status.tokens.iter().all(|token| token.verdict == Verdict::Uncertain));
            let finding = &status.findings[0].0;
            assert!(
                finding.summary.starts_with(
                    "This agent cannot read the token files on node n1: a read that began at \
                     2027-01-15T08:"
                ),
                "{}",
                finding.summary
            );
        }
    }
}

/// A stopped agent learns late that it stood still, and then needs time to read.
#[test]
fn an_agent_that_was_stopped_accuses_nobody_before_it_has_read_everything() {
    let mut engine = node_of(&["p1", "p2", "p3"]);
    wait(&mut engine, 1, 1_000);
    let _ = engine.step(&at(9_000), stands(Some(1_000)));
    wait(&mut engine, 9_000, 9_019);
    assert_eq!(codes(&engine), []);
    let _ = engine.step(&at(9_019), token("p1", 8_990, 3_600));
    let again = engine.step(&at(9_019), stands(None));
    assert!(codes(&engine).iter().all(|code| *code == Code::Expired), "{:?}", again.reports);
    // It does not get to the end of its reading.
    let mut engine = node_of(&["p1"]);
    wait(&mut engine, 1, 1_000);
    let _ = engine.step(&at(9_000), stands(Some(1_000)));
    wait(&mut engine, 9_000, 9_100);
    assert_eq!(codes(&engine), [Code::AgentBlind]);
}

/// The same without a standstill.
#[test]
fn with_fresh_knowledge_they_are_accused() {
    let mut engine = node_of(&["p1", "p2", "p3"]);
    wait(&mut engine, 1, 9_000);
    assert_eq!(codes(&engine), [Code::KubeletStalled]);
    assert!(engine.tokens(&at(9_000)).iter().all(|token| token.verdict == Verdict::Dead));
}

#[test]
fn what_was_found_before_stays() {
    let mut engine = node_of(&["p1"]);
    wait(&mut engine, 1, 3_000);
    assert_eq!(codes(&engine), [Code::RotationLate]);
    let _ = engine.step(&at(3_003), stands(Some(3_001)));
    wait(&mut engine, 3_003, 9_000);
    assert_eq!(codes(&engine), [Code::AgentBlind, Code::RotationLate]);
    // A token that was dead when it was read last is dead.
    let mut engine = node_of(&["p1"]);
    wait(&mut engine, 1, 4_100);
    let _ = engine.step(&at(4_103), stands(Some(4_101)));
    wait(&mut engine, 4_103, 9_000);
    assert_eq!(codes(&engine), [Code::Expired, Code::AgentBlind]);
    assert_eq!(engine.tokens(&at(9_000))[0].verdict, Verdict::Dead);
}

#[test]
fn once_files_are_read_again_they_decide() {
    // kubelet replaced the token meanwhile.
    let mut engine = node_of(&["p1"]);
    let _ = engine.step(&at(2_890), stands(Some(2_885)));
    wait(&mut engine, 2_890, 4_000);
    let replaced = engine.step(&at(4_000), token("p1", 2_900, 3_600));
    assert_eq!(alerts(&replaced.reports, at(4_000).wall), []);
    let again = engine.step(&at(4_001), stands(None));
    assert_eq!(
        summaries(&again.reports),
        ["The agent sees all projected volumes on node n1 again, 18m 06s after this was reported."]
    );
    assert_eq!(codes(&engine), []);
    // It did not.
    let mut engine = node_of(&["p1"]);
    let _ = engine.step(&at(2_890), stands(Some(2_885)));
    wait(&mut engine, 2_890, 4_000);
    let again = engine.step(&at(4_001), stands(None)).reports;
    let raised = (4_001, AlertEvent::Raised, Code::Expired, Severity::Critical);
    assert_eq!(alerts(&again, at(4_001).wall), [raised]);
}

#[test]
fn a_short_wait_is_no_finding() {
    let mut engine = node_of(&["p1"]);
    let _ = engine.step(&at(103), stands(Some(100)));
    wait(&mut engine, 103, 129);
    assert_eq!(codes(&engine), []);
    assert_eq!(engine.readiness(&at(129)).read_at(&at(129)), None);
    wait(&mut engine, 129, 130);
    assert_eq!(codes(&engine), [Code::AgentBlind]);
    assert_eq!(engine.readiness(&at(129)).read_at(&at(130)), Some(at(100).wall));
    assert_eq!(engine.snapshot(&at(130)).sources.get("files"), Some(&false));
}

#[test]
fn other_sources_are_named_as_well() {
    let mut engine = node_of(&["p1"]);
    let still = Standstill { source: "processes".into(), since: Some(at(100)) };
    let _ = engine.step(&at(103), Observation::Standstill(still));
    wait(&mut engine, 103, 3_000);
    assert_eq!(codes(&engine), [Code::AgentBlind, Code::RotationLate], "files are still read");
    let findings = engine.findings();
    let blind = findings.iter().find(|finding| finding.code == Code::AgentBlind).unwrap();
    assert!(blind.summary.contains("the processes of pods"), "{}", blind.summary);
}

//! Requests that the API servers on this node refuse.

use core::net::IpAddr;

use super::*;
use crate::findings::Finding;
use crate::world::refusals::{
    Accepted, AcceptedAccount, AcceptedPod, RefusalReason, ServerLogSeen, Suspect,
};
use crate::world::tokens::GenerationId;

const FROM: [u8; 4] = [10, 0, 0, 7];

/// The pod's requests are accepted from its address.
fn accepted(pod: &str, generation: Option<GenerationId>) -> Observation {
    let user = AcceptedAccount {
        account: AccountName { namespace: "shop".into(), name: "cart".into() },
        pod: Some(AcceptedPod { name: format!("{pod}-name"), uid: pod.into() }),
        node: Some("n2".into()),
        generation,
        stale_for: None,
    };
    let (at, agent) = (None, Some("app/1.0".into()));
    let accepted = Accepted { address: Some(IpAddr::from(FROM)), user: Some(user), at, agent };
    Observation::ServerLog(ServerLogSeen { accepted: vec![accepted], ..Default::default() })
}

fn refused(count: u64) -> Observation {
    Observation::ServerLog(ServerLogSeen {
        reasons: vec![(RefusalReason::Expired, count)],
        refused: vec![(Suspect::Address(IpAddr::from(FROM)), count)],
        ..Default::default()
    })
}

/// The log names the pod `p1` behind so many refusals.
fn named(count: u64) -> Observation {
    named_as("p1-name", count)
}

fn named_as(pod: &str, count: u64) -> Observation {
    let pod = Suspect::Pod { namespace: "shop".into(), name: pod.into() };
    Observation::ServerLog(ServerLogSeen {
        reasons: vec![(RefusalReason::Expired, count)],
        refused: vec![(pod, count)],
        ..Default::default()
    })
}

fn found(engine: &Engine) -> Option<Finding> {
    engine.findings().into_iter().find(|finding| finding.code == Code::ApiserverRejecting)
}

fn text<'a>(finding: &'a Finding, name: &str) -> Vec<&'a str> {
    match finding.evidence.get(name) {
        Some(crate::base::value::Value::List(all)) => all.iter().map(String::as_str).collect(),
        other => panic!("{name}: {other:?}"),
    }
}

/// A node with a fresh token of the pod `p1`.
fn node() -> Engine {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p1", 0, 3_600));
    engine
}

#[test]
fn refusals_of_nobody_known_are_info() {
    let mut engine = node();
    let _ = engine.step(&at(60), refused(2));
    assert_eq!(found(&engine), None, "two are normal");
    let _ = engine.step(&at(70), refused(2));
    let finding = found(&engine).unwrap();
    assert_eq!((finding.severity, &finding.subject), (Severity::Info, &Subject::node("n1")));
    assert!(finding.summary.contains("refused 4 requests (401)"), "{}", finding.summary);
    assert!(finding.summary.contains("4 because the token has expired"), "{}", finding.summary);
    assert!(finding.summary.contains("Who sent 4 of them is not known"), "{}", finding.summary);
    assert_eq!(engine.snapshot(&at(71)).refusals.unwrap().missed, 0);
}

/// Others may be behind the same address: a browser whose token a dashboard passes on, or a client
/// whose requests another API server accepts.
#[test]
fn an_address_alone_accuses_nobody() {
    let mut engine = node();
    let _ = engine.step(&at(50), accepted("p1", None));
    let _ = engine.step(&at(60), refused(30));
    let finding = found(&engine).unwrap();
    assert_eq!(finding.severity, Severity::Info);
    assert!(finding.summary.contains("Perhaps behind them, or another"), "{}", finding.summary);
    assert!(finding.summary.contains("shop/p1-name (30, the only user"), "{}", finding.summary);
    assert!(text(&finding, "missed").is_empty());
    assert_eq!(engine.snapshot(&at(61)).refusals.unwrap().missed, 0);
}

#[test]
fn a_pod_without_another_finding_is_our_own_miss() {
    let mut engine = node();
    let _ = engine.step(&at(60), named(3));
    let finding = found(&engine).unwrap();
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.summary.contains("shop/p1-name (3, named in the log)"), "{}", finding.summary);
    assert!(finding.summary.contains("tokenwatch missed this"), "{}", finding.summary);
    assert_eq!(text(&finding, "missed"), ["shop/p1-name"]);
    let _ = engine.step(&at(90), named(3));
    let figures = engine.snapshot(&at(91)).refusals.unwrap();
    assert_eq!(figures.missed, 1, "one pod, once");
    assert_eq!(figures.by_reason[&RefusalReason::Expired], 6);
}

#[test]
fn a_pod_that_a_finding_names_is_no_miss() {
    let mut engine = engine();
    let _ = engine.step(&at(3_700), token("p1", 0, 3_600));
    assert_eq!(engine.findings()[0].code, Code::Expired);
    let _ = engine.step(&at(3_720), named(5));
    let finding = found(&engine).unwrap();
    assert_eq!(finding.severity, Severity::Warning);
    assert!(text(&finding, "missed").is_empty(), "{}", finding.summary);
    // The finding is resolved, and the pod is still refused: it was foreseen all the same.
    let _ = engine.step(&at(3_730), token("p1", 3_729, 3_600));
    let _ = engine.step(&at(3_740), named(5));
    assert!(text(&found(&engine).unwrap(), "missed").is_empty());
    assert_eq!(engine.snapshot(&at(3_741)).refusals.unwrap().missed, 0);
}

#[test]
fn a_pod_of_another_node_is_named_and_not_judged() {
    let mut engine = node();
    let _ = engine.step(&at(50), accepted("elsewhere", None));
    let _ = engine.step(&at(60), named_as("elsewhere-name", 3));
    let finding = found(&engine).unwrap();
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.summary.contains("shop/elsewhere-name (3, named in"), "{}", finding.summary);
    assert!(text(&finding, "missed").is_empty(), "other agents judge it");
    assert_eq!(engine.snapshot(&at(61)).refusals.unwrap().missed, 0);
}

#[test]
fn the_credential_shows_the_token_that_was_replaced() {
    let mut engine = node();
    let old = claims(IAT, 3_600, None).generation();
    let _ = engine.step(&at(2_900), token("p1", 2_899, 3_600));
    let _ = engine.step(&at(3_000), accepted("p1", Some(old)));
    let _ = engine.step(&at(3_700), refused(3));
    let finding = found(&engine).unwrap();
    assert_eq!(text(&finding, "first"), ["shop/p1-name: 3 (credential_id)"]);
    let summary = &finding.summary;
    assert!(summary.contains("last seen with a token that kubelet has replaced"), "{summary}");
}

#[test]
fn it_is_resolved_ten_minutes_after_the_last_refusal() {
    let mut engine = node();
    let _ = engine.step(&at(60), refused(5));
    let _ = engine.step(&at(400), refused(1));
    let _ = run(&mut engine, 400, 990);
    assert!(found(&engine).is_some(), "one is left, which is too few to begin with");
    let _ = run(&mut engine, 990, 1_010);
    assert_eq!(found(&engine), None);
    let _ = engine.step(&at(1_100), refused(5));
    assert!(found(&engine).is_some());
}

#[test]
fn a_restored_finding_lasts_until_ten_quiet_minutes_have_passed() {
    let mut before = node();
    let outcome = before.step(&at(60), refused(5));
    let alerts = outcome.reports.iter().filter_map(|report| match report {
        Report::Alert(alert) => ledger::after(alert).1,
        Report::Span(_) | Report::Rotation { .. } => None,
    });
    let mut engine = engine();
    let _ = engine.restore(&at(100), alerts.collect());
    let _ = engine.step(&at(650), measured(&at(650), Delta::ZERO));
    assert!(found(&engine).is_some());
    let _ = engine.step(&at(701), measured(&at(701), Delta::ZERO));
    assert_eq!(found(&engine), None);
}

/// A reader whose reads the agent does not see.
#[test]
fn a_request_with_a_replaced_token_shows_a_stale_reader() {
    let mut engine = node();
    let old = claims(IAT, 3_600, None).generation();
    let _ = engine.step(&at(2_900), token("p1", 2_899, 3_600));
    let stale = |engine: &Engine| {
        engine.findings().into_iter().find(|finding| finding.code == Code::ReaderStale)
    };
    // Some libraries read again after ten minutes.
    let _ = engine.step(&at(3_550), accepted("p1", Some(old.clone())));
    assert_eq!(stale(&engine), None);
    let _ = engine.step(&at(3_570), accepted("p1", Some(old)));
    let finding = stale(&engine).unwrap();
    assert_eq!(finding.severity, Severity::Critical, "it is refused in 90 s");
    assert_eq!(text(&finding, "reader_evidence")[0], "audit (certain)");
    assert!(finding.summary.contains("accepted the old token"), "{}", finding.summary);
    let new = claims(IAT + 2_899, 3_600, None).generation();
    let _ = engine.step(&at(3_580), accepted("p1", Some(new)));
    assert!(stale(&engine).is_some(), "another container of the pod may have it");
    let _ = run(&mut engine, 3_580, 4_200);
    assert!(stale(&engine).is_some(), "the agent does not see its reads, and cannot tell");
    let _ = engine.step(&at(4_210), Observation::Gone(key("p1")));
    assert_eq!(stale(&engine), None);
}

#[test]
fn clients_of_other_nodes_with_extended_tokens_are_one_finding() {
    let mut engine = node();
    let stale = |pod: &str| {
        let Observation::ServerLog(mut seen) = accepted(pod, None) else { unreachable!() };
        let user = seen.accepted[0].user.as_mut().unwrap();
        user.stale_for = Some(Delta::from_secs(75));
        Observation::ServerLog(seen)
    };
    let found = |engine: &Engine| {
        engine.findings().into_iter().find(|finding| finding.code == Code::ReaderStale)
    };
    let _ = engine.step(&at(50), stale("p1"));
    assert_eq!(found(&engine), None, "a pod of this node has a finding of its own");
    let _ = engine.step(&at(60), stale("far"));
    let finding = found(&engine).unwrap();
    assert_eq!((finding.severity, &finding.subject), (Severity::Info, &Subject::node("n1")));
    assert!(finding.summary.starts_with("1 client of the cluster uses"), "{}", finding.summary);
    let named = "shop/far-name on node n2 (service account cart, user agent app/1.0, 1m 15s past";
    assert!(finding.summary.contains(named), "{}", finding.summary);
    let _ = run(&mut engine, 60, 3_800);
    assert_eq!(found(&engine), None, "an hour without a request");
}

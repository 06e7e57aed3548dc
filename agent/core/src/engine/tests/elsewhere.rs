//! Pods of other nodes in the logs of an API server: the reasons and the senders of refused
//! requests, and tokens that were replaced.

use core::net::IpAddr;

use super::*;
use crate::base::value::Value;
use crate::findings::Finding;
use crate::world::refusals::{
    Accepted, AcceptedAccount, AcceptedPod, AuditedRefusal, IssuedToken, PodAtAddress,
    PodsAtAddress, RefusalReason, ServerLogSeen, Suspect, TimedRefusals,
};
use crate::world::tokens::GenerationId;

const FROM: [u8; 4] = [10, 0, 0, 7];

fn found(engine: &Engine, code: Code) -> Option<Finding> {
    engine.findings().into_iter().find(|finding| finding.code == code)
}

fn rejecting(engine: &Engine) -> Finding {
    found(engine, Code::ApiserverRejecting).unwrap()
}

fn texts(finding: &Finding, name: &str) -> Vec<String> {
    match finding.evidence.get(name) {
        Some(Value::List(all)) => all.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

fn node() -> Engine {
    let config = Config { node: "n1".into(), cluster_configured: true, ..Config::default() };
    let mut engine = Engine::new(config);
    let _ = engine.step(&at(1), token("p1", 0, 3_600));
    engine
}

fn server_log(seen: ServerLogSeen) -> Observation {
    Observation::ServerLog(seen)
}

/// The pod `far` of another node, whose requests are accepted with this token.
fn accepted(jti: &str, secs: i64) -> Observation {
    let user = AcceptedAccount {
        account: AccountName { namespace: "shop".into(), name: "cart".into() },
        pod: Some(AcceptedPod { name: "far-name".into(), uid: "far".into() }),
        node: Some("n2".into()),
        generation: Some(GenerationId::of_jti(jti)),
        stale_for: None,
    };
    let accepted = Accepted {
        address: Some(IpAddr::from(FROM)),
        user: Some(user),
        at: Some(at(secs).wall),
        agent: Some("app/1.0".into()),
    };
    server_log(ServerLogSeen { accepted: vec![accepted], ..Default::default() })
}

/// Refused requests from an address, in both logs, at these milliseconds after a second.
fn refused(secs: i64, millis: &[i64]) -> Observation {
    let time = |millis: i64| at(secs).wall + Delta::from_millis(millis);
    let audited = |millis: &i64| AuditedRefusal {
        address: Some(IpAddr::from(FROM)),
        received: time(*millis),
        answered: time(*millis + 2),
    };
    let count = millis.len() as u64;
    server_log(ServerLogSeen {
        reasons: vec![(RefusalReason::Expired, count)],
        refused: vec![(Suspect::Address(IpAddr::from(FROM)), count)],
        timed: TimedRefusals {
            logged: millis.iter().map(|at| (time(at + 1), RefusalReason::Expired)).collect(),
            audited: millis.iter().map(audited).collect(),
            unlisted: None,
        },
        ..Default::default()
    })
}

#[test]
fn the_reason_of_a_refusal_is_joined_with_the_pod_behind_its_address() {
    let mut engine = node();
    let _ = engine.step(&at(50), accepted("1", 50));
    // Two of the five come at the same moment.
    let _ = engine.step(&at(60), refused(60, &[100, 200, 300, 400, 401]));
    let finding = rejecting(&engine);
    assert!(finding.summary.contains("Why 5 of these pods were refused is not known"));
    let next = engine.next_wake().unwrap();
    assert!(next <= at(100).monotonic, "the decision comes by itself");
    let _ = run(&mut engine, 60, 101);
    let finding = rejecting(&engine);
    let named = "shop/far-name (5, the only user of its address; by the times in both logs, 3 \
                 because the token has expired)";
    assert!(finding.summary.contains(named), "{}", finding.summary);
    let rest = "Why 2 of these pods were refused is not known: other requests were refused at the \
                same moment, or one of the two logs lacks them.";
    assert!(finding.summary.contains(rest), "{}", finding.summary);
    assert_eq!(texts(&finding, "first_reasons"), ["shop/far-name: expired 3"]);
    assert_eq!(finding.severity, Severity::Info, "it is still the address that names the pod");
    assert_eq!(finding.evidence.get("without_reason"), Some(&Value::Int(2)));
}

#[test]
fn without_the_log_of_the_server_no_reason_is_joined() {
    let mut engine = node();
    let _ = engine.step(&at(50), accepted("1", 50));
    let Observation::ServerLog(seen) = refused(60, &[100, 200, 300]) else { unreachable!() };
    let timed = TimedRefusals { logged: vec![], ..seen.timed };
    let _ = engine.step(&at(60), server_log(ServerLogSeen { reasons: vec![], timed, ..seen }));
    let _ = run(&mut engine, 60, 101);
    let finding = rejecting(&engine);
    let rest = "Why 3 of these pods were refused is not known: the agent sees no reason in a log";
    assert!(finding.summary.contains(rest), "{}", finding.summary);
}

fn pod_at(name: &str) -> PodAtAddress {
    PodAtAddress {
        namespace: "shop".into(),
        name: name.into(),
        uid: format!("uid-{name}"),
        node: Some("n2".into()),
        on_host_network: false,
        started: Some(at(-500).wall),
        has_ended: false,
    }
}

/// The engine after this answer of the API server about the address of four refused requests.
fn answered(pods: Vec<PodAtAddress>, has_more: bool) -> Engine {
    let mut engine = node();
    let outcome = engine.step(&at(60), refused(60, &[100, 200, 300, 400]));
    assert_eq!(outcome.queries, [Query::PodsAtAddress(FROM.into())]);
    let seen = PodsAtAddress { address: FROM.into(), pods, has_more };
    let _ = engine.step(&at(61), Observation::PodsAtAddress(seen));
    engine
}

#[test]
fn the_api_server_names_the_pod_behind_an_address() {
    let finding = rejecting(&answered(vec![pod_at("far")], false));
    let named = "Perhaps behind them, or another client with the same address: shop/far (4, the \
                 only pod with its address)";
    assert!(finding.summary.contains(named), "{}", finding.summary);
    assert_eq!(texts(&finding, "first"), ["shop/far: 4 (api)"]);
    assert_eq!(finding.severity, Severity::Info, "an address alone accuses nobody");
    let host = PodAtAddress { on_host_network: true, ..pod_at("proxy") };
    let finding = rejecting(&answered(vec![host.clone(), host], true));
    assert_eq!(texts(&finding, "nodes"), ["n2 (4)"]);
    assert!(texts(&finding, "first").is_empty(), "any process of the node has that address");
}

/// Look-alikes: who has the address now need not be who had it.
#[test]
fn an_answer_that_is_not_certain_names_nobody() {
    let later = PodAtAddress { started: Some(at(61).wall), ..pod_at("later") };
    let unstarted = PodAtAddress { started: None, ..pod_at("unstarted") };
    let ended = PodAtAddress { has_ended: true, ..pod_at("ended") };
    let table = [
        (vec![], false),
        (vec![later], false),
        (vec![unstarted], false),
        (vec![ended.clone()], false),
        (vec![pod_at("a"), pod_at("b")], false),
        (vec![pod_at("a")], true),
    ];
    for (pods, has_more) in table {
        let finding = rejecting(&answered(pods.clone(), has_more));
        assert!(texts(&finding, "first").is_empty(), "{pods:?}: {}", finding.summary);
    }
    let finding = rejecting(&answered(vec![ended, pod_at("far")], false));
    assert_eq!(texts(&finding, "first"), ["shop/far: 4 (api)"], "the first pod has ended");
}

#[test]
fn the_api_server_is_asked_seldom_and_only_where_it_helps() {
    let asked = |engine: &mut Engine, secs: i64, observation: Observation| {
        let outcome = engine.step(&at(secs), observation);
        outcome.queries.iter().filter(|query| matches!(query, Query::PodsAtAddress(_))).count()
    };
    let from = |nth: u8, count: u64| {
        let refused = vec![(Suspect::Address([10, 0, 1, nth].into()), count)];
        server_log(ServerLogSeen { refused, ..Default::default() })
    };
    let mut engine = node();
    assert_eq!(asked(&mut engine, 60, from(1, 2)), 0, "two are normal");
    assert_eq!(asked(&mut engine, 61, from(1, 1)), 1);
    assert_eq!(asked(&mut engine, 62, from(1, 9)), 0, "once");
    let mut count = 0;
    for secs in 63..3_663 {
        count += asked(&mut engine, secs, from(u8::try_from(secs % 40).unwrap() + 2, 3));
    }
    assert!((3..=12).contains(&count), "{count} within an hour: 0.2 a minute");
    // Of a user that is known, and without access to the API server, there is no question.
    let mut engine = node();
    let _ = engine.step(&at(50), accepted("1", 50));
    assert_eq!(asked(&mut engine, 60, refused(60, &[100, 200, 300])), 0);
    let mut engine = super::engine();
    let _ = engine.step(&at(1), token("p1", 0, 3_600));
    assert_eq!(asked(&mut engine, 60, from(1, 9)), 0);
}

fn issued(jti: &str, secs: i64) -> Observation {
    let issued = IssuedToken {
        pod_uid: "far".into(),
        request: "a".into(),
        lifetime: Delta::from_secs(3_607),
        generation: GenerationId::of_jti(jti),
        at: at(secs).wall,
    };
    server_log(ServerLogSeen { issued: vec![issued], ..Default::default() })
}

#[test]
fn a_replaced_credential_shows_a_stale_reader_of_any_node() {
    let mut engine = node();
    let _ = engine.step(&at(100), issued("old", 100));
    let _ = engine.step(&at(2_980), issued("new", 2_980));
    let stale = |engine: &Engine| found(engine, Code::ReaderStale);
    let _ = engine.step(&at(3_700), accepted("old", 3_700));
    assert_eq!(stale(&engine), None, "some libraries read again after ten minutes");
    let _ = engine.step(&at(3_790), accepted("new", 3_790));
    assert_eq!(stale(&engine), None);
    let _ = engine.step(&at(3_800), accepted("old", 3_800));
    let finding = stale(&engine).unwrap();
    assert_eq!((finding.severity, &finding.subject), (Severity::Info, &Subject::node("n1")));
    let named = "shop/far-name on node n2 (service account cart, user agent app/1.0, kubelet \
                 requested a newer one 13m 40s before)";
    assert!(finding.summary.contains(named), "{}", finding.summary);
    let both = "The client has not read the new one, or kubelet on its node has not written it.";
    assert!(finding.summary.contains(both), "{}", finding.summary);
    assert!(!finding.summary.contains("warnafter"), "{}", finding.summary);
    assert_eq!(texts(&finding, "reader_evidence"), ["audit (likely)"]);
}

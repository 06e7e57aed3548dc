//! Keys that API servers do not have, and issuers.

use super::*;
use crate::findings::Finding;
use crate::world::cluster::{Container, MountedPart, Phase, TokenMount};
use crate::world::keys::{KeySet, KeysAnswer, KeysSeen};
use crate::world::tokens::{Claims, ObjectRef, Verdict};

const ISSUER: &str = "https://kubernetes.default.svc";

fn config() -> Config {
    Config { node: "n1".into(), cluster_configured: true, ..Config::default() }
}

/// A token of an hour that this key signed.
fn signed(pod: &str, iat_age: i64, key_id: &str) -> Observation {
    signed_with(pod, iat_age, key_id, |_| ())
}

fn signed_with(
    pod: &str,
    iat_age: i64,
    key_id: &str,
    change: impl FnOnce(&mut Claims),
) -> Observation {
    let Observation::File(mut seen) = token(pod, iat_age, 3_600) else { unreachable!() };
    if let FileContent::Token(claims) = &mut seen.content {
        claims.key.id = Some(key_id.into());
        change(claims);
    }
    Observation::File(seen)
}

fn published(sent: i64, ids: &[&str]) -> Observation {
    let set = KeySet::new(Some(ISSUER), ids.iter().map(ToString::to_string)).unwrap();
    Observation::Keys(KeysSeen { sent: at(sent), answer: KeysAnswer::Published(set) })
}

/// The API server refuses the agent's own token.
fn refused(sent: i64, key_id: &str) -> Observation {
    let mut own = claims(IAT, 3_600, None);
    own.key.id = Some(key_id.into());
    Observation::Keys(KeysSeen { sent: at(sent), answer: KeysAnswer::Refused(Box::new(own)) })
}

/// A pod whose spec has the token.
fn pod(name: &str) -> Pod {
    let mount = TokenMount {
        volume: "kube-api-access-x".into(),
        path: "token".into(),
        mount_path: "/t".into(),
        part: MountedPart::Whole,
        convention: None,
    };
    let container = Container { name: "app".into(), tokens: vec![mount], ..Container::default() };
    Pod {
        uid: name.into(),
        namespace: "shop".into(),
        name: format!("{name}-name"),
        containers: vec![container],
        phase: Phase::Running,
        ..Pod::default()
    }
}

fn listed(names: &[&str]) -> Observation {
    Observation::Cluster(ClusterSeen::Listed(names.iter().map(|name| pod(name)).collect()))
}

/// A node with these tokens, whose API server had all their keys.
fn node(tokens: &[(&str, &str)]) -> Engine {
    let mut engine = Engine::new(config());
    let _ = engine.step(&at(1), listed(&["p1", "p2", "p3"]));
    for (pod, key) in tokens {
        let _ = engine.step(&at(2), signed(pod, 0, key));
    }
    let ids: Vec<&str> = tokens.iter().map(|(_, key)| *key).collect();
    round(&mut engine, 29, &ids);
    engine
}

/// The API server answers three times; what is reported.
fn round(engine: &mut Engine, sent: i64, ids: &[&str]) -> Vec<(AlertEvent, Code)> {
    let answer = |_| events(engine.step(&at(sent + 1), published(sent, ids)));
    (0..3).flat_map(answer).collect()
}

fn found(engine: &Engine, code: Code) -> Option<Finding> {
    engine.findings().into_iter().find(|finding| finding.code == code)
}

fn unknown(engine: &Engine) -> Option<Finding> {
    found(engine, Code::KeyUnknown)
}

fn events(outcome: Outcome) -> Vec<(AlertEvent, Code)> {
    let alert = |report| if let Report::Alert(alert) = report { Some(alert) } else { None };
    let alerts = outcome.reports.into_iter().filter_map(alert);
    alerts.map(|alert| (alert.event, alert.finding.code)).collect()
}

#[test]
fn a_key_that_was_replaced_hard_is_one_finding_for_all_tokens_of_the_node() {
    let mut engine = node(&[("p1", "k1"), ("p2", "k1"), ("p3", "k1")]);
    assert!(engine.findings().is_empty(), "{:?}", engine.findings());
    let raised = round(&mut engine, 699, &["k2"]);
    assert_eq!(raised, [(AlertEvent::Raised, Code::KeyUnknown)]);
    let first = unknown(&engine).unwrap();
    assert_eq!((first.severity, &first.subject), (Severity::Warning, &Subject::node("n1")));
    assert!(first.summary.contains("do not have the key of 3 tokens"), "{}", first.summary);
    let more: Vec<_> =
        [719, 739].into_iter().flat_map(|at| round(&mut engine, at, &["k2"])).collect();
    assert_eq!(more, [(AlertEvent::Reminded, Code::KeyUnknown)], "it is critical now");
    let finding = unknown(&engine).unwrap();
    assert_eq!(finding.severity, Severity::Critical);
    assert!(
        finding.summary.contains("No API server that answers has the key of 3 tokens"),
        "{}",
        finding.summary
    );
    assert!(finding.summary.contains("shop/p1-name, shop/p2-name"), "{}", finding.summary);
    let verdicts = |engine: &Engine| -> Vec<Verdict> {
        engine.tokens(&at(701)).iter().map(|token| token.verdict).collect()
    };
    assert_eq!(verdicts(&engine), [Verdict::Dead; 3]);
    // kubelet gets new tokens, one after the other.
    let _ = engine.step(&at(800), signed("p1", 799, "k2"));
    let _ = engine.step(&at(801), signed("p2", 800, "k2"));
    round(&mut engine, 859, &["k2"]);
    let finding = unknown(&engine).unwrap();
    assert!(finding.summary.contains("the key of 1 token on"), "{}", finding.summary);
    assert!(finding.summary.contains("Another key signs new tokens"), "{}", finding.summary);
    let mut cleared = events(engine.step(&at(900), signed("p3", 899, "k2")));
    for age in 901..1_000 {
        cleared.extend(events(engine.step(&at(age), Observation::Tick)));
    }
    assert_eq!(cleared, [(AlertEvent::Cleared, Code::KeyUnknown)]);
    assert!(!verdicts(&engine).contains(&Verdict::Dead));
}

#[test]
fn tokens_that_the_answers_cannot_judge_are_not_accused() {
    let mut engine = Engine::new(config());
    let mut pods: Vec<Pod> =
        ["ended", "ext", "vcluster", "both", "forged", "accused"].map(pod).into();
    pods[0].phase = Phase::Succeeded;
    pods[4].containers[0].tokens.clear(); // its spec has no token: the file is the pod's own
    let _ = engine.step(&at(1), Observation::Cluster(ClusterSeen::Listed(pods)));
    let virtual_pod = ObjectRef { name: "v".into(), uid: Some("virtual".into()) };
    let of_virtual = |of: &mut Claims| of.binding.pod = Some(virtual_pod);
    let tokens = [
        signed("ended", 0, "k1"),
        signed("forged", 0, "k1"),
        signed("unlisted", 0, "k1"), // the API server does not know its pod
        signed("both", 0, "k2"),
        signed_with("ext", 0, "k1", |of| of.key.is_external = true),
        signed_with("vcluster", 0, "k1", of_virtual),
    ];
    for token in tokens {
        let _ = engine.step(&at(2), token);
    }
    for sent in [60, 120, 180] {
        round(&mut engine, sent, &["k2", "k3"]);
    }
    assert!(engine.findings().is_empty(), "{:#?}", engine.findings());
    let _ = engine.step(&at(302), signed("accused", 300, "k1"));
    round(&mut engine, 360, &["k2", "k3"]);
    assert!(unknown(&engine).unwrap().summary.contains("of 1 token"));
}

#[test]
fn api_servers_with_and_without_a_key_are_distinguished() {
    let mut engine = node(&[("p1", "k1")]);
    for (sent, ids) in [(100, ["k2"]), (100, ["k1"]), (100, ["k2"])] {
        let _ = engine.step(&at(sent + 1), published(sent, &ids));
    }
    let finding = unknown(&engine).unwrap();
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.summary.contains("some have the key of 1 token"), "{}", finding.summary);
    assert_eq!(engine.tokens(&at(222))[0].verdict, Verdict::Uncertain);
    let mut cleared = Vec::new();
    for age in 0..400 {
        cleared.extend(events(engine.step(&at(200 + age), published(199 + age, &["k1"]))));
        if age < 7 {
            assert!(unknown(&engine).is_some(), "they may be of one API server: {age}");
        }
    }
    assert_eq!(cleared, [(AlertEvent::Cleared, Code::KeyUnknown)]);
}

/// Answers each query as an API server that is away until `back`, and then verifies with k2 alone.
/// Returns when the finding was raised.
fn replaced(engine: &mut Engine, from: i64, back: i64, to: i64) -> Option<i64> {
    let away = || ClusterSeen::Unreachable { reason: "connection refused".into() };
    let refuses = || ClusterSeen::Unreachable { reason: "401 Unauthorized".into() };
    for age in from..to {
        let observation = match age {
            _ if age == from => Observation::Cluster(away()),
            _ if age == back + 10 => Observation::Cluster(refuses()),
            _ => Observation::Tick,
        };
        let outcome = engine.step(&at(age), observation);
        if age >= back && outcome.queries.contains(&Query::Keys) {
            let _ = engine.step(&at(age), refused(age, "k1"));
        }
        if unknown(engine).is_some() {
            return Some(age - back);
        }
    }
    None
}

#[test]
fn a_restart_with_another_key_is_named_by_what_the_agent_asks_alone() {
    // When the restart takes this long, in seconds; the agent was asked for keys just before, or
    // long ago.
    for takes in [0, 3, 10, 45, 120, 300] {
        for asked in [31, 600] {
            let mut engine = node(&[("p1", "k1")]);
            let from = asked + 1;
            for age in 31..from {
                if engine.step(&at(age), Observation::Tick).queries.contains(&Query::Keys) {
                    round(&mut engine, age, &["k1"]);
                }
            }
            let named = replaced(&mut engine, from, from + takes, 3_000);
            let most = 130 + 2 * takes;
            assert!(named.is_some_and(|after| after <= most), "{takes} {asked}: {named:?}");
        }
    }
}

#[test]
fn the_refusal_of_the_agents_own_token_names_the_tokens_of_the_same_key() {
    let mut engine = node(&[("p1", "k1"), ("p2", "k9")]);
    let _ = engine.step(&at(101), refused(100, "k1"));
    assert_eq!(unknown(&engine), None, "the API server may have started just now");
    let _ = engine.step(&at(161), refused(160, "k1"));
    let finding = unknown(&engine).unwrap();
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.summary.contains("refuses the agent's own token"), "{}", finding.summary);
    assert!(finding.summary.contains("or only the agent's own pod"), "{}", finding.summary);
    let _ = engine.step(&at(190), signed("p2", 189, "k9"));
    assert_eq!(unknown(&engine).unwrap().severity, Severity::Warning, "k9 was there before");
    let _ = engine.step(&at(200), signed("p3", 199, "k2"));
    let finding = unknown(&engine).unwrap();
    assert_eq!(finding.severity, Severity::Critical);
    assert!(finding.summary.contains("not there before signs new tokens"), "{}", finding.summary);
    // The agent has a new token, and sees the keys.
    round(&mut engine, 260, &["k2", "k9"]);
    let finding = unknown(&engine).unwrap();
    assert!(finding.summary.contains("do not have the key of 1 token"), "{}", finding.summary);
}

#[test]
fn a_token_with_a_new_key_is_checked_within_a_minute() {
    let mut engine = node(&[("p1", "k1")]);
    let asks = |outcome: &Outcome| outcome.queries.contains(&Query::Keys);
    assert!(!asks(&engine.step(&at(100), Observation::Tick)), "all is well");
    let outcome = engine.step(&at(300), signed("p2", 299, "k2"));
    assert!(asks(&outcome) || asks(&engine.step(&at(300), Observation::Tick)));
    assert!(unknown(&engine).is_none());
    round(&mut engine, 300, &["k1", "k2"]);
    assert!(engine.findings().is_empty());
    let asked: usize =
        (302..3_000).filter(|age| asks(&engine.step(&at(*age), Observation::Tick))).count();
    assert!(asked <= 7, "{asked} rounds in 45 minutes without an answer");
}

#[test]
fn a_finding_from_before_a_restart_waits_for_an_answer() {
    let restored = || {
        let mut before = node(&[("p1", "k1")]);
        round(&mut before, 99, &["k2"]);
        let finding = unknown(&before).unwrap();
        Restored { finding: finding.into(), raised_at: at(100).wall, reported_at: at(100).wall }
    };
    let mut engine = Engine::new(config());
    let _ = engine.restore(&at(200), vec![restored()]);
    let _ = engine.step(&at(201), listed(&["p1"]));
    let _ = engine.step(&at(201), signed("p1", 0, "k1"));
    for age in 202..320 {
        let _ = engine.step(&at(age), Observation::Tick);
    }
    assert!(unknown(&engine).is_some(), "no API server has answered");
    let mut cleared = round(&mut engine, 319, &["k1"]);
    for age in 321..500 {
        cleared.extend(events(engine.step(&at(age), Observation::Tick)));
    }
    assert_eq!(cleared, [(AlertEvent::Cleared, Code::KeyUnknown)]);
    // Nobody asks an API server any more: the finding ends, without a sentence about keys.
    let mut engine = self::engine();
    let first = engine.restore(&at(200), vec![restored()]);
    let mut texts: Vec<String> =
        summaries(&first.reports).into_iter().map(ToOwned::to_owned).collect();
    for age in 201..500 {
        let outcome = engine.step(&at(age), Observation::Tick);
        texts.extend(summaries(&outcome.reports).into_iter().map(ToOwned::to_owned));
    }
    assert!(matches!(&texts[..], [text] if text.contains("is resolved")), "{texts:?}");
}

#[test]
fn a_terminating_pod_still_counts() {
    let mut engine = node(&[("p1", "k1")]);
    round(&mut engine, 99, &["k2"]);
    let deletion = Some(at(4_000).wall);
    let terminating = Pod { deletion, ..pod("p1") };
    let _ = engine.step(&at(110), Observation::Cluster(ClusterSeen::Pod(Box::new(terminating))));
    assert!(unknown(&engine).is_some(), "its containers still send requests");
}

#[test]
fn an_issuer_that_is_not_that_of_new_tokens_is_information() {
    let mut engine = node(&[("p1", "k1")]);
    let old = |of: &mut Claims| of.issuer = "https://old.example".into();
    let _ = engine.step(&at(40), signed_with("p2", 38, "k1", old));
    round(&mut engine, 100, &["k1"]);
    let finding = found(&engine, Code::IssuerMismatch).unwrap();
    assert_eq!(finding.severity, Severity::Info);
    assert!(finding.summary.contains("https://old.example"), "{}", finding.summary);
    assert!(finding.summary.contains(ISSUER) && finding.summary.contains("shop/p2-name"));
    assert!(unknown(&engine).is_none());
    let without = KeySet::new(None, ["k1".to_owned()]).unwrap();
    let seen = KeysSeen { sent: at(199), answer: KeysAnswer::Published(without) };
    let _ = engine.step(&at(200), Observation::Keys(seen));
    assert!(found(&engine, Code::IssuerMismatch).is_some(), "no issuer in an answer is no news");
    // A token of another cluster shows nothing of this one's issuer.
    let foreign = |of: &mut Claims| {
        of.issuer = "https://old.example".into();
        of.binding.pod = Some(ObjectRef { name: "v".into(), uid: Some("virtual".into()) });
    };
    let mut engine = node(&[("p1", "k1")]);
    let _ = engine.step(&at(40), signed_with("p2", 38, "k1", foreign));
    let _ = engine.step(&at(101), published(100, &["k1"]));
    assert!(engine.findings().is_empty(), "{:?}", engine.findings());
}

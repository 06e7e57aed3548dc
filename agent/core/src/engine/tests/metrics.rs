//! kubelet's metrics name a likely cause where kubelet itself names none, and accuse nobody.

use super::*;
use crate::world::kubelet::errors::{ErrorCause, ErrorPod, ErrorScope, ErrorSource, KubeletError};
use crate::world::kubelet::metrics::{KubeletCounters, MetricsSeen, RequestCounts};
use crate::world::tokens::KubeletPolicy;

fn counters(requests: RequestCounts) -> KubeletCounters {
    KubeletCounters { requests, ..KubeletCounters::default() }
}

fn seen(requests: RequestCounts) -> Observation {
    Observation::KubeletMetrics(MetricsSeen::Counters(counters(requests)))
}

type Plus = fn(&mut RequestCounts);

fn of(change: Plus) -> RequestCounts {
    let mut requests = RequestCounts { accepted: 9, ..RequestCounts::default() };
    change(&mut requests);
    requests
}

fn asks(outcome: &Outcome) -> bool {
    outcome.queries.contains(&Query::KubeletMetrics)
}

fn asking() -> Config {
    let kubelet = KubeletPolicy { metrics: true, ..KubeletPolicy::default() };
    Config { node: "n1".into(), kubelet, ..Config::default() }
}

/// An engine that can ask for the metrics, with a stalled token of each pod. It knows the first pod
/// from the API server, unless there are others.
fn stalled(pods: &[&str]) -> Engine {
    let mut engine = Engine::new(Config { cluster_configured: pods.len() < 2, ..asking() });
    if pods.len() < 2 {
        let _ = engine.step(&at(1), listed(None));
    }
    for pod in pods {
        let _ = engine.step(&at(1), token(pod, 0, 3_600));
    }
    let _ = engine.step(&at(3_200), Observation::Tick);
    if pods.len() < 2 {
        let _ = engine.step(&at(3_201), Observation::Cluster(ClusterSeen::Unchanged));
    }
    engine
}

fn finding(engine: &Engine, code: Code) -> Finding {
    engine.findings().into_iter().find(|one| one.code == code).unwrap()
}

fn sign(finding: &Finding) -> Option<&str> {
    finding.evidence.get("kubelet_metrics").and_then(|value| value.text())
}

#[test]
fn it_is_asked_only_while_a_token_is_not_renewed() {
    let mut engine = Engine::new(asking());
    assert!(asks(&engine.step(&at(0), Observation::Tick)), "once, at the start");
    let _ = engine.step(&at(0), seen(of(|_| ())));
    assert!(!asks(&engine.step(&at(1), token("p1", 0, 3_600))));
    let mut asked = Vec::new();
    let mut now = at(1);
    while let Some(next) = engine.next_wake().filter(|next| *next <= at(3_300).monotonic) {
        now = now.after((next - now.monotonic).max(Delta::from_millis(1)));
        if asks(&engine.step(&now, Observation::Tick)) {
            asked.push((now.wall - Wall::from_secs(IAT)).as_secs());
        }
    }
    assert_eq!(asked, [3_000, 3_060, 3_120, 3_180, 3_240, 3_300], "since it is late");
}

#[test]
fn each_sign_names_a_likely_cause_and_its_remedy() {
    let of_certificate = "Check when kubelet's client certificate expires";
    let table: [(Plus, &str, &str, &str); 4] = [
        (
            |of| of.unauthorized = 12,
            "unauthorized",
            "Most likely, the API server does not accept kubelet's own credential. kubelet's \
             metrics show this: the API server answered 401 to 12 of 12 requests in 1m 00s.",
            of_certificate,
        ),
        (
            |of| of.throttled = 12,
            "throttled",
            "Most likely, the API server limits the rate of requests. kubelet's metrics show this: \
             the API server answered 429 to 12 of 12 requests in 1m 00s.",
            "Find out who sends so many requests",
        ),
        (|of| of.unanswered = 12, "no cause", "", "In kubelet's log on this node"),
        (
            |of| of.forbidden = 2,
            "no cause",
            "By kubelet's metrics, the API server refused 2 requests of it in 1m 00s with 403, as \
             it refuses a token. It may have been another request.",
            "In kubelet's log on this node",
        ),
    ];
    for (change, name, expected, remedy) in table {
        let mut engine = stalled(&["p1"]);
        let _ = engine.step(&at(3_210), seen(of(|_| ())));
        let before = finding(&engine, Code::RotationStalled);
        assert_eq!(sign(&before), None, "before the next diagnosis");
        let _ = engine.step(&at(3_270), seen(of(change)));
        let _ = engine.step(&at(3_420), Observation::Tick);
        let found = finding(&engine, Code::RotationStalled);
        assert_eq!(sign(&found), Some(name), "{found:?}");
        assert!(found.summary.ends_with(expected), "{}", found.summary);
        assert!(found.remedy.text.starts_with(remedy), "{:?}", found.remedy);
    }
}

#[test]
fn no_answer_for_two_minutes_differs_from_what_the_agent_gets() {
    let mut engine = stalled(&["p1"]);
    let looks: [(i64, Plus); 3] =
        [(3_210, |_| ()), (3_270, |of| of.unanswered = 5), (3_330, |of| of.unanswered = 9)];
    for (age, change) in looks {
        let _ = engine.step(&at(age), seen(of(change)));
    }
    let found = finding(&engine, Code::RotationStalled);
    assert_eq!(sign(&found), Some("unanswered"));
    assert!(
        found.summary.ends_with(
            "Most likely, kubelet does not reach the API server. kubelet's metrics show this: none \
             of 4 requests to the API server got an answer in 1m 00s, or errors alone. This agent \
             reaches the API server, so look at kubelet's own connection."
        ),
        "{}",
        found.summary
    );
    // Then kubelet renews it.
    let _ = engine.step(&at(3_340), token("p1", 3_339, 3_600));
    assert_eq!(engine.findings(), []);
    let outcome = engine.step(&at(3_900), Observation::Tick);
    assert!(!asks(&outcome), "nobody wants to know any more");
}

#[test]
fn a_kubelet_that_refuses_the_agents_token_cannot_ask_about_it() {
    let refused = || Observation::KubeletMetrics(MetricsSeen::Refused(401));
    let mut engine = stalled(&["p1"]);
    let _ = engine.step(&at(3_210), seen(of(|_| ())));
    let _ = engine.step(&at(3_270), refused());
    let _ = engine.step(&at(3_370), refused());
    let found = finding(&engine, Code::RotationStalled);
    assert_eq!(sign(&found), Some("cannot_verify_tokens"));
    assert!(found.summary.contains("or that does not accept kubelet's own credential"));
    let unreachable = ClusterSeen::Unreachable { reason: "401".into() };
    let _ = engine.step(&at(3_371), Observation::Cluster(unreachable));
    let _ = engine.step(&at(3_601), Observation::Tick);
    assert_eq!(sign(&finding(&engine, Code::Expired)), Some("no cause"));
}

/// What kubelet logged is about this token, and its metrics are not.
#[test]
fn what_kubelet_logged_counts_more() {
    let mut engine = stalled(&["p1"]);
    let _ = engine.step(&at(3_210), seen(of(|_| ())));
    let error = KubeletError {
        pod: ErrorPod::Uid("p1".into()),
        of: ErrorScope::Volume("kube-api-access-x".into()),
        cause: ErrorCause::SourceMissing,
        text: "configmap \"a\" not found".into(),
        at: at(3_220).wall,
        by: ErrorSource::Log,
    };
    let _ = engine.step(&at(3_221), Observation::KubeletErrors(vec![error]));
    let outcome = engine.step(&at(3_280), Observation::Tick);
    assert!(!asks(&outcome), "the cause is known");
    let _ = engine.step(&at(3_281), seen(of(|of| of.unauthorized = 12)));
    let found = finding(&engine, Code::RotationStalled);
    assert_eq!(sign(&found), Some("unauthorized"), "it stays evidence");
    assert!(found.summary.contains("kubelet logged why"), "{}", found.summary);
    assert!(!found.summary.contains("Most likely"), "{}", found.summary);
    assert!(found.remedy.text.starts_with("Create the ConfigMap"), "{:?}", found.remedy);
}

#[test]
fn the_finding_about_kubelet_has_the_likely_cause() {
    let mut engine = stalled(&["p1", "p2", "p3"]);
    let _ = engine.step(&at(3_210), seen(of(|_| ())));
    let _ = engine.step(&at(3_270), seen(of(|of| of.unauthorized = 12)));
    let found = finding(&engine, Code::KubeletStalled);
    assert_eq!(sign(&found), Some("unauthorized"));
    assert!(found.summary.contains("Most likely, the API server does not accept kubelet's own"));
    assert!(found.remedy.text.starts_with("Check when kubelet's client certificate"));
}

/// Good counters, and those of another day, are no evidence against anybody.
#[test]
fn metrics_alone_are_no_finding() {
    let mut engine = stalled(&[]);
    let _ = engine.step(&at(3_202), token("p1", 3_201, 3_600));
    for (age, change) in [
        (3_210, (|_| ()) as Plus),
        (3_270, |of| {
            of.unauthorized = 99;
        }),
    ] {
        let _ = engine.step(&at(age), seen(of(change)));
    }
    assert_eq!(engine.findings(), []);
    let expired = KubeletCounters {
        certificate_left: Some(Delta::from_secs(-9)),
        ..counters(RequestCounts::default())
    };
    let seen = Observation::KubeletMetrics(MetricsSeen::Counters(expired));
    let _ = engine.step(&at(3_280), seen);
    assert_eq!(engine.findings(), []);
}

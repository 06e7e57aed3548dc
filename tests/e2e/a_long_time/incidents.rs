//! An installed agent on ordinary days and in incidents: what it reports, where it reports it, and
//! which failures it survives.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bed::repository;
use crate::installed::{Scene, page_at, sample};
use crate::process::{run, text};
use crate::requests::{asking, status_for, token_of};
use crate::telemetry::Alert;
use crate::wait::{secs, until};
use crate::watches::Limited;

/// The workload: the prefix of each pod's name, and its namespace.
const WORKLOAD: [(&str, &str); 6] = [
    ("cart-", "shop"),
    ("report-", "shop"),
    ("probe-", "shop"),
    ("vault", "shop"),
    ("careful", "locked"),
    ("slow", "shop"),
];
/// How long the test counts requests while nothing happens: long enough for the average of one a
/// minute.
const QUIET: Duration = secs(600);
/// How long an agent sees syncs before it judges them (OBSERVED in world/kubelet/rhythm.rs), and a
/// minute.
const LEARNS: Duration = secs(360);

#[test]
fn an_installed_agent_reports_incidents_in_all_outputs_and_survives_failures() {
    let scene = Scene::install("incidents");
    let started = Instant::now();
    scene
        .deployment
        .cluster
        .apply(&std::fs::read_to_string(repository().join("tests/cluster/workload.yaml")).unwrap());
    scene.deployment.cluster.apply(LEFT_OUT);
    let pods = running(&scene);
    every_token_is_named(&scene);

    skewed(&scene);
    terminating(&scene, &pods["slow"]);
    println!(
        "[incidents] a source of cart's volume is deleted, and kubelet stops writing the volume"
    );
    scene.kubectl(&["delete", "configmap", "settings", "-n", "shop"]);
    upgraded(&scene, &pods["slow"]);

    let (before, quiet) = (scene.requests().len(), Instant::now());
    std::thread::sleep(LEARNS);
    left_out(&scene);
    std::thread::sleep(QUIET.saturating_sub(quiet.elapsed()));
    few_requests(&scene, before, quiet.elapsed());
    stalled(&scene, &pods["cart-"]);
    repaired(&scene, &pods["cart-"]);

    killed(&scene, &pods["slow"]);
    restarted(&scene, "containerd");
    restarted(&scene, "kubelet");
    not_ready_for_an_upgrade(&scene);
    without_an_api_server(&scene);
    without_watches(&scene);
    no_other_pod_has_an_alert(&scene);
    replaced_key(&scene);
    println!("[incidents] all of it in {:?}", started.elapsed());
}

/// Waits for every pod of the workload. Returns them by the prefix of their names.
fn running(scene: &Scene) -> BTreeMap<&'static str, Pod> {
    let found = WORKLOAD.map(|(name, namespace)| {
        (name, until(&format!("{name} to run"), secs(180), || Pod::running(scene, namespace, name)))
    });
    found.into_iter().collect()
}

/// A pod whose volume has a token of an hour and a ConfigMap, and one that opens its extended token
/// once and keeps it.
const LEFT_OUT: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: left-out, namespace: shop}
data: {a: b}
---
apiVersion: v1
kind: Pod
metadata: {name: left-out, namespace: shop}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: tokenwatch.test/busybox:1
      imagePullPolicy: Never
      command: [sleep, "86400"]
      volumeMounts: [{name: both, mountPath: /both}]
  volumes:
    - name: both
      projected:
        sources:
          - serviceAccountToken: {path: token, expirationSeconds: 3600}
          - configMap: {name: left-out}
---
apiVersion: v1
kind: Pod
metadata: {name: keeper, namespace: shop}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: tokenwatch.test/busybox:1
      imagePullPolicy: Never
      command:
        - sh
        - -c
        - >-
          exec 3</var/run/secrets/kubernetes.io/serviceaccount/token;
          while :; do cat /proc/self/fd/3 >/dev/null; sleep 5; done
"#;

/// A pod of the workload.
#[derive(Clone, Debug)]
struct Pod {
    namespace: String,
    name: String,
    uid: String,
}

impl Pod {
    fn running(scene: &Scene, namespace: &str, prefix: &str) -> Option<Self> {
        let list: Value =
            serde_json::from_str(&scene.kubectl(&["get", "pods", "-n", namespace, "-o", "json"]))
                .ok()?;
        let pods = list["items"].as_array()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let is_it = |pod: &&Value| {
            text(&pod["metadata"]["name"]).starts_with(prefix)
                && pod["status"]["phase"] == "Running"
        };
        pods.iter().find(is_it).map(|pod| Self {
            namespace: namespace.to_owned(),
            name: text(&pod["metadata"]["name"]),
            uid: text(&pod["metadata"]["uid"]),
        })
    }
}

fn every_token_is_named(scene: &Scene) {
    let (status, checked) = scene.check();
    assert_eq!(status, 0, "{checked:#}");
    for (name, namespace) in WORKLOAD {
        let is_it = |token: &&Value| {
            token["pod"]["namespace"] == namespace
                && token["pod"]["name"].as_str().is_some_and(|pod| pod.starts_with(name))
        };
        let token = checked["tokens"]
            .as_array()
            .unwrap()
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("no token of {namespace}/{name}: {checked:#}"));
        assert_eq!(token["state"], "fresh", "{token:#}");
    }
    let metrics = scene.page("/metrics");
    assert!(metrics.contains("tokenwatch_privilege{"), "{metrics}");
    until("the agent to know its node's pods", secs(60), || {
        scene.metric("tokenwatch_cluster_pods", "").filter(|pods| *pods >= 7.0)
    });
}

/// The alert about this pod's token, raised.
fn raised(scene: &Scene, pod: &Pod, code: &'static str, within: Duration) -> Alert {
    let uid = pod.uid.clone();
    scene.telemetry.wait_alert(code, within, move |alert| {
        alert.reports(code) && alert.attribute("k8s.pod.uid") == uid
    })
}

/// Waits for an Event with this reason on this pod, which `kubectl describe pod` shows.
fn has_event(scene: &Scene, pod: &Pod, reason: &str) {
    let is_it =
        |event: &Value| event["regarding"]["uid"] == pod.uid.as_str() && event["reason"] == reason;
    until(&format!("the Event {reason} on {}", pod.name), secs(90), || {
        let events =
            scene.kubectl(&["get", "events.events.k8s.io", "-n", &pod.namespace, "-o", "json"]);
        let events: Value = serde_json::from_str(&events).ok()?;
        events["items"].as_array()?.iter().any(is_it).then_some(())
    });
}

/// Every output shows the finding about this pod.
fn is_in_all_outputs(scene: &Scene, pod: &Pod, code: &'static str, reason: &str) {
    has_event(scene, pod, reason);
    let described = scene.kubectl(&["describe", "pod", "-n", &pod.namespace, &pod.name]);
    assert!(described.contains(reason), "{described}");
    let labels = format!("tokenwatch_finding_code=\"{code}\"");
    until(&format!("{code} in /metrics"), secs(30), || {
        scene.metric("tokenwatch_findings", &labels).filter(|count| *count >= 1.0)
    });
    let page = scene.page("/");
    assert!(
        page.contains(code) && page.contains(&pod.name),
        "the status page does not show {code} for {}",
        pod.name
    );
    let (status, checked) = scene.check();
    let is_it = |finding: &&Value| {
        finding["code"] == code && finding["subject"]["pod"]["uid"] == pod.uid.as_str()
    };
    assert!(
        status == 1
            && checked["findings"].as_array().unwrap().iter().any(|finding| is_it(&finding)),
        "{checked:#}"
    );
}

fn skewed(scene: &Scene) {
    println!("[incidents] a pod is created while the API server is 300 s ahead");
    scene.deployment.cluster.shift_clock("apiserver", 300);
    scene.deployment.cluster.apply(&single("ahead"));
    let pod = until("ahead to run", secs(120), || Pod::running(scene, "shop", "ahead"));
    scene.deployment.cluster.shift_clock("apiserver", 0);
    let alert = raised(scene, &pod, "token.not_yet_valid", secs(60));
    assert_eq!(alert.severity(), "critical");
    is_in_all_outputs(scene, &pod, "token.not_yet_valid", "TokenNotYetValid");
    println!("[incidents] {}", alert.body);
}

fn single(name: &str) -> String {
    let workload =
        std::fs::read_to_string(repository().join("tests/cluster/workload.yaml")).unwrap();
    let vault = workload.split("---\n").find(|part| part.contains("{name: vault, ")).unwrap();
    vault.replace("{name: vault, ", &format!("{{name: {name}, ")).replace("audience: vault, ", "")
}

/// kubelet does not refresh the token of a terminating pod. The agent reports that at once, with
/// the pod's own deadline.
fn terminating(scene: &Scene, slow: &Pod) {
    scene.kubectl(&["delete", "pod", "-n", &slow.namespace, &slow.name, "--wait=false"]);
    let alert = raised(scene, slow, "token.pod_terminating", secs(60));
    println!("[incidents] {}", alert.body);
    is_in_all_outputs(scene, slow, "token.pod_terminating", "TokenPodTerminating");
}

/// How often this finding about this pod was raised and cleared.
fn raised_and_cleared(scene: &Scene, pod: &Pod, code: &str) -> (usize, usize) {
    let alerts = scene.telemetry.alerts();
    let count = |what: &str| {
        alerts
            .iter()
            .filter(|alert| alert.is(what, code) && alert.attribute("k8s.pod.uid") == pod.uid)
            .count()
    };
    (count("raised"), count("cleared"))
}

/// Upgrades the agent, and waits longer than the agent keeps restored findings without observing
/// them.
fn upgraded(scene: &Scene, slow: &Pod) {
    println!("[incidents] upgrade while token.pod_terminating is active");
    scene.deployment.upgrade(&["podAnnotations.round=two"]);
    std::thread::sleep(secs(100));
    assert_eq!(
        raised_and_cleared(scene, slow, "token.pod_terminating"),
        (1, 0),
        "neither raised twice nor lost by an upgrade"
    );
    assert!(
        scene
            .metric("tokenwatch_findings", "token.pod_terminating")
            .is_some_and(|count| count >= 1.0)
    );
}

/// kubelet cannot fill the volume any more: it is named long before its token is due.
fn left_out(scene: &Scene) {
    let pod = Pod::running(scene, "shop", "left-out").unwrap();
    scene.kubectl(&["delete", "configmap", "left-out", "-n", "shop"]);
    let deleted = Instant::now();
    let raised = raised(scene, &pod, "token.rotation_stalled", secs(300));
    println!("[incidents] after {:?}: {}", deleted.elapsed(), raised.body);
    assert_eq!(raised.severity(), "info", "{}", raised.body);
    assert!(raised.body.contains("kubelet has not synced its volume"), "{}", raised.body);
    scene.kubectl(&["create", "configmap", "left-out", "-n", "shop", "--from-literal=a=b"]);
    // After failures kubelet waits up to 2 min 2 s (exponential_backoff.go) before it tries again.
    let cleared = scene.telemetry.wait_alert("a sync to clear it", secs(240), move |alert| {
        alert.is("cleared", "token.rotation_stalled") && alert.attribute("k8s.pod.uid") == pod.uid
    });
    println!("[incidents] {}", cleared.body);
    assert!(cleared.body.contains("kubelet syncs again"), "{}", cleared.body);
}

/// Counts the agent's requests in the API server's audit log, after the first `before`, in a time
/// in which little happens. Requests about Events do not count, because they report changes.
fn few_requests(scene: &Scene, before: usize, time: Duration) {
    let requests: Vec<_> = scene.requests().into_iter().skip(before).collect();
    let (events, rest): (Vec<_>, Vec<_>) = requests
        .iter()
        .map(|request| (&*request.verb, &*request.resource))
        .partition(|(_, what)| *what == "events");
    let minutes = time.as_secs_f64() / 60.0;
    println!(
        "[incidents] {rest:?} in {minutes} minutes: {:.2} requests a minute, and {} about Events",
        rest.len() as f64 / minutes,
        events.len()
    );
    // One a minute on average.
    assert!(rest.len() as f64 <= minutes, "{rest:?}");
}

fn stalled(scene: &Scene, cart: &Pod) {
    let stalled = raised(scene, cart, "token.rotation_stalled", secs(120));
    assert_eq!(stalled.attribute("k8s.deployment.name"), "cart");
    let containers = stalled.attribute("tokenwatch.finding.evidence.containers");
    assert!(
        containers.contains("app (tokenwatch.test/busybox:1)") && !containers.contains("sidecar"),
        "{containers}"
    );
    assert!(!stalled.trace_id.is_empty(), "an alert has the trace id of its token");
    println!("[incidents] {}", stalled.body);
    let expired = raised(scene, cart, "token.expired", secs(60));
    is_in_all_outputs(scene, cart, "token.expired", "TokenExpired");
    let uid = cart.uid.clone();
    let is_its_trace = move |span: &crate::telemetry::Span| {
        span.attribute("k8s.pod.uid") == uid && span.attribute("token.outcome") == "expired"
    };
    let trace = scene.telemetry.wait_span("the trace of the expired token", secs(60), is_its_trace);
    assert_eq!(
        (trace.attribute("k8s.deployment.name").as_str(), &trace.trace_id),
        ("cart", &expired.trace_id)
    );
}

fn repaired(scene: &Scene, cart: &Pod) {
    scene.kubectl(&[
        "create",
        "configmap",
        "settings",
        "-n",
        "shop",
        "--from-literal=address=https://shop.example",
    ]);
    let uid = cart.uid.clone();
    let is_cleared = move |alert: &Alert| {
        alert.is("cleared", "token.expired") && alert.attribute("k8s.pod.uid") == uid
    };
    let cleared =
        scene.telemetry.wait_alert("the repair to clear the alert", secs(240), is_cleared);
    println!("[incidents] {}", cleared.body);
    has_event(scene, cart, "TokenExpiredCleared");
}

fn killed(scene: &Scene, slow: &Pod) {
    println!("[incidents] kill -9");
    let restarts = scene.restarts();
    scene.kill_agent();
    until("the agent's container to be started again", secs(120), || {
        (scene.restarts() > restarts && scene.is_ready()).then_some(())
    });
    let logs = scene.deployment.logs();
    assert!(logs.contains("\"not_running_for\":"), "the log does not state the downtime: {logs}");
    assert_eq!(
        raised_and_cleared(scene, slow, "token.pod_terminating").0,
        1,
        "raised again after the kill"
    );
}

/// The agent keeps running, or restarts by itself, and sees a pod that starts afterwards.
fn restarted(scene: &Scene, component: &str) {
    println!("[incidents] {component} is restarted");
    scene.deployment.cluster.component(component, &[]);
    let name = format!("after-{component}");
    scene.deployment.cluster.apply(&single(&name));
    sees(scene, &name);
}

/// kubelet has requested every token again. A program that keeps its first one works for a year,
/// and would not without expiry extension.
fn not_ready_for_an_upgrade(scene: &Scene) {
    let failing = until("the report to name keeper", secs(180), || {
        let (status, report) = scene.tokenwatch(&["report", "upgrade"]);
        let workloads = report["workloads"].as_array()?;
        let fails = |one: &&Value| {
            one["workload"]["name"] == "keeper" && one["result"] == "fails" && status == 1
        };
        workloads.iter().find(fails).cloned()
    });
    println!("[incidents] {failing}");
    let others = ["cart", "probe", "report", "careful"];
    assert!(failing["refused_at"].is_string() && failing["container"] == "main", "{failing:#}");
    let (_, report) = scene.tokenwatch(&["report", "upgrade"]);
    let accused: Vec<&Value> = report["workloads"].as_array().unwrap().iter().collect();
    let is_wrong = |one: &&&Value| {
        one["result"] == "fails" && others.iter().any(|name| one["workload"]["name"] == *name)
    };
    assert!(!accused.iter().any(|one| is_wrong(&one)), "{report:#}");
}

/// Waits until the running agent knows the token of a new pod.
fn sees(scene: &Scene, pod: &str) {
    until(&format!("the agent to see the token of {pod}"), secs(180), || {
        scene.page("/").contains(pod).then_some(())
    });
}

fn without_an_api_server(scene: &Scene) {
    println!("[incidents] without an API server");
    let (restarts, agent) = (scene.restarts(), scene.address());
    scene.deployment.cluster.component("apiserver", &["--only-stop"]);
    until("the agent to report the API server as down", secs(120), || {
        (sample(&page_at(&agent, "/metrics"), "tokenwatch_sources_up", "apiserver") == Some(0.0))
            .then_some(())
    });
    scene.deployment.cluster.component("apiserver", &["--only-start"]);
    until("the agent to reach the API server again", secs(180), || {
        (scene.metric("tokenwatch_sources_up", "apiserver") == Some(1.0)).then_some(())
    });
    assert_eq!(scene.restarts(), restarts, "the agent must recover without a restart");
}

/// With no inotify watch left, an agent still finds a new pod. When watches are free again, it uses
/// them.
fn without_watches(scene: &Scene) {
    println!("[incidents] the inotify watches of an agent are used up");
    let agent = Limited::start(&scene.deployment.cluster, "incidents");
    agent.wait_watching(true);
    agent.limit_watches(1);
    scene.deployment.cluster.apply(&single("unwatched"));
    until("the agent to see the token of unwatched", secs(180), || {
        agent.page("/").contains("unwatched").then_some(())
    });
    agent.wait_watching(false);
    agent.limit_watches(100_000);
    agent.wait_watching(true);
}

fn no_other_pod_has_an_alert(scene: &Scene) {
    let expected = ["ahead", "slow", "keeper"];
    let is_unexpected = |alert: &Alert| {
        let name = alert.attribute("k8s.pod.name");
        alert.code().starts_with("token.")
            && alert.severity() != "info"
            && !expected.contains(&name.as_str())
            && !name.starts_with("cart-")
    };
    let unexpected: Vec<_> = scene.telemetry.alerts().into_iter().filter(is_unexpected).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}

/// The signing key is replaced, and the API server does not keep the old one: it refuses every
/// token, the agent's own too. The command of the runbook repairs it.
fn replaced_key(scene: &Scene) {
    let cluster = &scene.deployment.cluster;
    let pod = Pod::running(scene, "shop", "left-out").unwrap();
    // kubelet does not replace the token of a terminating pod, so that it would keep the finding.
    scene.kubectl(&["delete", "pod", "slow", "-n", "shop", "--force", "--ignore-not-found"]);
    let old = token_of(cluster, &pod.uid);
    assert_eq!(status_for(cluster, &old), "403", "authenticated, and without a right");
    let key = format!("{}/etc/service-account.key", cluster.get("STATE"));
    run(Command::new("openssl").args(["genrsa", "-out", &key, "2048"]));
    cluster.component("apiserver", &[]);
    let replaced = Instant::now();
    until("the API server to refuse the old token", secs(120), || {
        let answered = asking(cluster, &old).output().unwrap();
        (text(&answered.stdout) == "401").then_some(())
    });
    println!("[incidents] refused {:?} after the key was replaced", replaced.elapsed());
    let is_it = |alert: &Alert| alert.is("raised", "token.key_unknown");
    let raised = scene.telemetry.wait_alert("token.key_unknown", secs(300), is_it);
    println!("[incidents] after {:?}: {}", replaced.elapsed(), raised.body);
    assert!(raised.body.contains("shop/"), "{}", raised.body);
    // The remedy: kubelet keeps tokens in memory only.
    cluster.component("kubelet", &[]);
    let restarted = Instant::now();
    let cleared = scene.telemetry.wait_alert("new tokens to clear it", secs(420), |alert| {
        alert.is("cleared", "token.key_unknown")
    });
    println!("[incidents] {:?} after kubelet restarted: {}", restarted.elapsed(), cleared.body);
    assert_eq!(status_for(cluster, &token_of(cluster, &pod.uid)), "403", "the new token works");
}

//! Scenario 9: the agent with access to the Kubernetes API, with exactly the rights that it needs.
//! It names owners and containers, reports a terminating pod, and puts Events on the right objects.
//! The API server's own audit log shows its requests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::access::{ACCOUNT, account, give_token, kubeconfig};
use crate::bed::{Cluster, Collector, IMAGE, free_udp_port, ntp_server, workdir};
use crate::process::Process;
use crate::recording::Recording;
use crate::requests::{status_for, token_of};
use crate::telemetry::{Alert, Telemetry};
use crate::wait::{secs, until};

const NAME: &str = "kube";
/// How long the test counts requests while nothing happens. The agent renews its watch every five
/// minutes, so at most one new watch falls into this time.
const QUIET: Duration = Duration::from_mins(3);

#[test]
fn the_agent_reports_what_the_api_server_knows_and_sends_only_granted_requests() {
    let directory = workdir(NAME);
    let cluster = Cluster::up_with(NAME, &["--audit", ACCOUNT]);
    let (collector, time) = (Collector::planned(&directory), free_udp_port());
    let _others = [ntp_server(&directory, time, Some("+5s"), None), collector.start()];
    cluster.apply(&account());
    let kubeconfig = kubeconfig(&cluster, &directory);
    let log = directory.join("agent.log");
    let (agent, recording) = agent(&cluster, &collector, &kubeconfig, time, &log);
    let telemetry = collector.telemetry();

    cluster.apply(&workloads());
    let cart = running(&cluster, "app=cart");
    let report = running(&cluster, "job-name=report");
    let orphan = running(&cluster, "app=orphan");
    let token = token_of(&cluster, &orphan.uid);
    assert_eq!(
        status_for(&cluster, &token),
        "403",
        "the API server authenticates the token, and RBAC denies the request"
    );
    cluster.kubectl(&["delete", "serviceaccount", "orphan"]);
    a_clock_finding_has_an_event_on_the_node(&cluster);
    a_terminating_pod_is_reported(&cluster, &telemetry, &cart);
    the_trace_of_a_jobs_pod_names_the_job(&cluster, &telemetry, &report);
    few_requests_while_nothing_happens(&cluster);
    reminders_make_the_event_a_series(&cluster, &cart);
    give_token(&cluster, &directory);
    a_missing_account_is_named(&cluster, &telemetry, &orphan, &token);
    pods_are_listed_once_and_the_watch_is_renewed(&cluster);
    the_agent_uses_its_own_new_token(&cluster, &log);
    no_request_was_refused(&cluster);
    the_agent_waits_for_a_stopped_api_server(&cluster, &telemetry, &cart, &log);
    a_deleted_pod_clears_its_finding(&cluster, &telemetry, &cart);
    assert!(agent.stop(secs(15)).success());
    recording.gives_the_same_alerts(&telemetry);
    all_granted_rights_are_used_and_no_others(&cluster);
    keys_are_requested_rarely(&cluster);
    println!("[{NAME}] the agent's log:\n{}", std::fs::read_to_string(&log).unwrap());
}

/// A pod's name and UID.
struct Pod {
    name: String,
    uid: String,
}

fn agent(
    cluster: &Cluster,
    collector: &Collector,
    kubeconfig: &Path,
    time: u16,
    log: &Path,
) -> (Process, Recording) {
    let mut command = cluster.agent(time);
    command.args(["--kubernetes", "true", "--kubeconfig"]).arg(kubeconfig);
    // The shortest interval that can be set: a reminder turns an Event into a series.
    command.args(["--alerts-remind-every", "60s", "--log-level", "info,tokenwatch=debug"]);
    collector.receives(&mut command, "grpc");
    let recording = Recording::of(&mut command, log.parent().unwrap());
    (Process::start(&mut command, log), recording)
}

/// A Deployment whose pod ignores SIGTERM, a Job whose pod ends by itself, and a StatefulSet with
/// an account of its own. Each token has a lifetime of ten minutes.
fn workloads() -> String {
    let template = |labels: &str, rest: &str, command: &str| {
        format!(
            "template:\n    metadata: {{labels: {{{labels}}}}}\n    spec:\n      {rest}\n      \
             automountServiceAccountToken: false\n      containers:\n        - {{name: main, \
             image: \"{IMAGE}\", imagePullPolicy: Never, command: [sh, -c, \"{command}\"], \
             volumeMounts: [{{name: tokens, mountPath: /tokens}}]}}\n        - {{name: aside, \
             image: \"{IMAGE}\", imagePullPolicy: Never, command: [sleep, \"25\"]}}\n      \
             volumes: [{{name: tokens, projected: {{sources: [{{serviceAccountToken: {{path: \
             token, expirationSeconds: 600}}}}]}}}}]\n"
        )
    };
    let stubborn = template(
        "app: cart",
        "terminationGracePeriodSeconds: 3000",
        "trap : TERM; while [ ! -e /tmp/end ]; do sleep 1; done",
    );
    let short = template("app: report", "restartPolicy: Never", "sleep 25");
    let long = template(
        "app: orphan",
        "terminationGracePeriodSeconds: 2\n      serviceAccountName: orphan",
        "while :; do sleep 1; done",
    );
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: cart}}\nspec:\n  replicas: 1\n  \
         selector: {{matchLabels: {{app: cart}}}}\n  {stubborn}---\napiVersion: batch/v1\nkind: \
         Job\nmetadata: {{name: report}}\nspec:\n  {short}---\napiVersion: v1\nkind: \
         ServiceAccount\nmetadata: {{name: orphan}}\n---\napiVersion: apps/v1\nkind: \
         StatefulSet\nmetadata: {{name: orphan}}\nspec:\n  serviceName: orphan\n  selector: \
         {{matchLabels: {{app: orphan}}}}\n  {long}"
    )
}

fn running(cluster: &Cluster, selector: &str) -> Pod {
    let path =
        "-o=jsonpath={.items[0].metadata.name} {.items[0].metadata.uid} {.items[0].status.phase}";
    until(&format!("a pod with {selector} to run"), secs(120), || {
        let listed = cluster.kubectl(&["get", "pods", "-l", selector, "-o", "name"]);
        if listed.trim().is_empty() {
            return None;
        }
        let output = cluster.kubectl(&["get", "pods", "-l", selector, path]);
        let [name, uid, "Running"] = output.split(' ').collect::<Vec<_>>()[..] else { return None };
        Some(Pod { name: name.to_owned(), uid: uid.to_owned() })
    })
}

/// Events about an object with this reason, in all namespaces.
fn events(cluster: &Cluster, uid: &str, reason: &str) -> Vec<Value> {
    let listed: Value = serde_json::from_str(&cluster.kubectl(&[
        "get",
        "events.events.k8s.io",
        "-A",
        "-o",
        "json",
    ]))
    .unwrap();
    let events = listed["items"].as_array().cloned().unwrap_or_default().into_iter();
    events.filter(|event| event["regarding"]["uid"] == uid && event["reason"] == reason).collect()
}

fn a_clock_finding_has_an_event_on_the_node(cluster: &Cluster) {
    let node = cluster.get("NODE_NAME");
    let event =
        until("an Event on the Node", secs(60), || events(cluster, node, "ClockOffset").pop());
    assert_eq!(
        (&event["type"], &event["regarding"]["kind"], &event["metadata"]["namespace"]),
        (&"Warning".into(), &"Node".into(), &"default".into())
    );
    assert!(cluster.kubectl(&["describe", "node", node]).contains("ClockOffset"));
}

fn a_terminating_pod_is_reported(cluster: &Cluster, telemetry: &Telemetry, cart: &Pod) {
    cluster.kubectl(&["delete", "pod", &cart.name, "--wait=false"]);
    let about = |alert: &Alert| {
        alert.is("raised", "token.pod_terminating") && alert.attribute("k8s.pod.uid") == cart.uid
    };
    let alert = telemetry.wait_alert("token.pod_terminating", secs(30), about);
    println!("[{NAME}] {}", alert.body);
    let evidence = |name: &str| alert.attribute(&format!("tokenwatch.finding.evidence.{name}"));
    assert_eq!(
        (evidence("owner"), evidence("phase")),
        ("Deployment cart".to_owned(), "Running".to_owned())
    );
    assert!(
        evidence("containers").contains(&format!("main ({IMAGE})"))
            && !evidence("containers").contains("aside"),
        "{}",
        evidence("containers")
    );
    assert_eq!(alert.attribute("k8s.deployment.name"), "cart");
    let event = until("an Event on the pod", secs(10), || {
        events(cluster, &cart.uid, "TokenPodTerminating").pop()
    });
    let regarding = &event["regarding"];
    assert_eq!(
        (&regarding["kind"], &regarding["namespace"], &regarding["name"]),
        (&"Pod".into(), &"default".into(), &cart.name.clone().into())
    );
    assert_eq!(
        (&event["type"], &event["reportingController"], &event["reportingInstance"]),
        (&"Warning".into(), &"tokenwatch".into(), &cluster.get("NODE_NAME").into())
    );
    assert!(event["note"].as_str().unwrap().starts_with(&alert.body), "{event:#}");
    let described = cluster.kubectl(&["describe", "pod", &cart.name]);
    assert!(
        described.contains("TokenPodTerminating"),
        "kubectl describe pod does not show the Event:\n{described}"
    );
}

fn the_trace_of_a_jobs_pod_names_the_job(cluster: &Cluster, telemetry: &Telemetry, report: &Pod) {
    let span = telemetry.wait_span("the trace of the Job's token", secs(120), |span| {
        span.name == "token.generation" && span.attribute("k8s.pod.uid") == report.uid
    });
    assert_eq!(
        (span.attribute("k8s.job.name"), span.attribute("k8s.pod.name")),
        ("report".to_owned(), report.name.clone())
    );
    cluster.kubectl(&["delete", "job", "report"]);
}

/// The agent's requests about objects by their audit id. The audit log has two lines for a watch,
/// at its start and at its end.
fn requests(cluster: &Cluster) -> BTreeMap<String, Value> {
    audited(cluster, true)
}

fn audited(cluster: &Cluster, is_about_objects: bool) -> BTreeMap<String, Value> {
    let log = std::fs::read_to_string(cluster.get("AUDIT_LOG")).unwrap_or_default();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events
        .filter(|event| event["user"]["username"] == ACCOUNT)
        .filter(|event| event["objectRef"].is_object() == is_about_objects)
        .map(|event| (event["auditID"].to_string(), event))
        .collect()
}

/// The keys and the issuer, once at the start and once after each restart of the API server: every
/// service account may read them.
fn keys_are_requested_rarely(cluster: &Cluster) {
    let requests = audited(cluster, false);
    let paths: BTreeSet<&str> =
        requests.values().filter_map(|event| event["requestURI"].as_str()).collect();
    assert_eq!(paths, BTreeSet::from(["/.well-known/openid-configuration", "/openid/v1/jwks"]));
    let answered = requests.values().filter(|event| event["responseStatus"]["code"] == 200);
    println!("[{NAME}] {} requests for keys, {} answered", requests.len(), answered.count());
    assert!(requests.len() <= 24, "{requests:#?}");
}

/// While nothing happens, the agent sends one request a minute for the reminders, which this test
/// configures, at most one new watch, and one request a minute for a service account.
fn few_requests_while_nothing_happens(cluster: &Cluster) {
    let (before, began) = (requests(cluster), Instant::now());
    std::thread::sleep(QUIET);
    let new: Vec<String> = requests(cluster)
        .into_iter()
        .filter(|(id, _)| !before.contains_key(id))
        .map(|(_, event)| verb(&event))
        .collect();
    let reads = new.iter().filter(|verb| ["list", "watch"].contains(&verb.as_str())).count();
    println!("[{}] {new:?} in {:?}", cluster.name(), began.elapsed());
    assert!(reads <= 1, "{reads} requests about pods in {QUIET:?}: {new:?}");
    let gets = new.iter().filter(|verb| *verb == "get").count();
    let most = QUIET.as_secs() / 60 + 2; // a turn at each end, and the lost account out of turn
    assert!(gets as u64 <= most, "{gets} requests for accounts in {QUIET:?}: {new:?}");
}

fn verb(event: &Value) -> String {
    event["verb"].as_str().unwrap_or_default().to_owned()
}

fn reminders_make_the_event_a_series(cluster: &Cluster, cart: &Pod) {
    let [event] = &events(cluster, &cart.uid, "TokenPodTerminating")[..] else {
        panic!("there must be one Event, however many reminders there were")
    };
    assert!(event["series"]["count"].as_i64() >= Some(2), "{event:#}");
}

/// The agent requests each account in turn, and names the lost one while the token is fresh. The
/// reason that it reports is right: the API server refuses the token.
fn a_missing_account_is_named(cluster: &Cluster, telemetry: &Telemetry, orphan: &Pod, token: &str) {
    let about = |alert: &Alert| {
        alert.reports("token.subject_replaced") && alert.attribute("k8s.pod.uid") == orphan.uid
    };
    let alert = telemetry.wait_alert("the alert about the missing account", secs(640), about);
    println!("[{NAME}] {}", alert.body);
    assert!(
        alert.body.contains("its service account default/orphan does not exist any more"),
        "{}",
        alert.body
    );
    assert_eq!(status_for(cluster, token), "401");
    let evidence = |name: &str| alert.attribute(&format!("tokenwatch.finding.evidence.{name}"));
    assert_eq!(
        (evidence("service_account_state").as_str(), alert.severity().as_str()),
        ("missing", "critical")
    );
    assert_eq!(
        (evidence("owner").as_str(), alert.attribute("k8s.statefulset.name").as_str()),
        ("StatefulSet orphan", "orphan")
    );
    assert_eq!(
        alert.attribute("tokenwatch.finding.command"),
        "kubectl get serviceaccount -n default orphan || kubectl create serviceaccount -n default \
         orphan && kubectl rollout restart -n default statefulset/orphan"
    );
    let state = alert.attribute("tokenwatch.finding.evidence.state");
    assert!(state == "fresh" || state == "due", "before the token is late, not {state}");
    let gets: Vec<_> = requests(cluster)
        .into_values()
        .filter(|event| verb(event) == "get" && event["objectRef"]["name"] == "orphan")
        .collect();
    // Once in its first turn, and every five minutes while it is lost.
    assert!((1..=5).contains(&gets.len()), "{} requests for one account", gets.len());
}

/// The agent limits each watch to five minutes, and takes it up where it ended.
fn pods_are_listed_once_and_the_watch_is_renewed(cluster: &Cluster) {
    let count = |what: &str| requests(cluster).values().filter(|event| verb(event) == what).count();
    let watches = until("the first watch of pods to end", secs(400), || {
        Some(count("watch")).filter(|watches| *watches >= 2)
    });
    println!("[{NAME}] {} list and {watches} watches so far", count("list"));
    assert_eq!(count("list"), 1, "{watches} watches");
}

/// The audit log names the token of each request (`credential-id`). The agent used the new token
/// before the old one failed.
fn the_agent_uses_its_own_new_token(cluster: &Cluster, log: &Path) {
    let credential = |event: &Value| {
        event["user"]["extra"]["authentication.kubernetes.io/credential-id"][0].to_string()
    };
    let used: BTreeSet<String> = requests(cluster).values().map(credential).collect();
    assert!(used.len() == 2 && !used.contains("null"), "{used:?}");
    assert!(
        !std::fs::read_to_string(log).unwrap().contains("401 Unauthorized"),
        "the agent took the new token only after a 401"
    );
}

fn the_agent_waits_for_a_stopped_api_server(
    cluster: &Cluster,
    telemetry: &Telemetry,
    cart: &Pod,
    log: &Path,
) {
    let logged = |what: &str| {
        std::fs::read_to_string(log).unwrap().lines().filter(|line| line.contains(what)).count()
    };
    let works = logged("source works source=apiserver");
    cluster.component("apiserver", &["--only-stop"]);
    until("the agent to log that it cannot reach the API server", secs(60), || {
        (logged("source is degraded source=apiserver") > 0).then_some(())
    });
    reminders_state_the_age_of_what_was_known(telemetry, cart);
    cluster.component("apiserver", &["--only-start"]);
    until("the agent to recover by itself", secs(120), || {
        (logged("source works source=apiserver") > works).then_some(())
    });
}

/// Reminders continue, with the last known owner and the age of that information.
fn reminders_state_the_age_of_what_was_known(telemetry: &Telemetry, cart: &Pod) {
    let evidence =
        |alert: &Alert, name: &str| alert.attribute(&format!("tokenwatch.finding.evidence.{name}"));
    let aged = |alert: &Alert| {
        alert.attribute("k8s.pod.uid") == cart.uid && !evidence(alert, "cluster_age").is_empty()
    };
    let alert = telemetry.wait_alert("a reminder with the age of its information", secs(150), aged);
    println!(
        "[{NAME}] owner {}, {} s old",
        evidence(&alert, "owner"),
        evidence(&alert, "cluster_age")
    );
    assert_eq!(evidence(&alert, "owner"), "Deployment cart");
}

/// The agent does not miss what happens while the API server is down.
fn a_deleted_pod_clears_its_finding(cluster: &Cluster, telemetry: &Telemetry, cart: &Pod) {
    // The other container has ended by itself. After a restart of the API server, kubelet may
    // report that late.
    cluster.kubectl(&["exec", &cart.name, "--container=main", "--", "touch", "/tmp/end"]);
    until("the pod to be deleted", secs(120), || {
        cluster
            .kubectl(&["get", "pod", &cart.name, "--ignore-not-found", "-o", "name"])
            .trim()
            .is_empty()
            .then_some(())
    });
    telemetry.wait_alert("the finding to be cleared", secs(90), |alert| {
        alert.is("cleared", "token.pod_terminating") && alert.attribute("k8s.pod.uid") == cart.uid
    });
    let event = until("the Event about the cleared finding", secs(30), || {
        events(cluster, &cart.uid, "TokenPodTerminatingCleared").pop()
    });
    assert_eq!(event["type"], "Normal");
}

fn all_granted_rights_are_used_and_no_others(cluster: &Cluster) {
    let role: Value =
        serde_json::from_str(&cluster.kubectl(&["get", "clusterrole", "tokenwatch", "-o", "json"]))
            .unwrap();
    let texts = |value: &Value| {
        value
            .as_array()
            .into_iter()
            .flatten()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut granted = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                granted.extend(
                    texts(&rule["verbs"])
                        .into_iter()
                        .map(|verb| (verb, group.clone(), resource.clone())),
                );
            }
        }
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let requests = requests(cluster);
    let object = |event: &Value| {
        (verb(event), text(&event["objectRef"]["apiGroup"]), text(&event["objectRef"]["resource"]))
    };
    let used: BTreeSet<_> = requests.values().map(object).collect();
    println!("[{NAME}] used: {used:?}");
    assert_eq!(granted, used, "rights that are granted, and rights that are used");
    assert!(granted.iter().all(|(_, _, resource)| !resource.contains("secret")), "{granted:?}");
}

/// Checked before the API server is restarted: a starting one refuses every request until it has
/// read its roles.
fn no_request_was_refused(cluster: &Cluster) {
    let refused: Vec<Value> = requests(cluster)
        .into_values()
        .filter(|event| event["responseStatus"]["code"] == 403)
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

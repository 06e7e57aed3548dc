//! Scenario 9: with access to the Kubernetes API, on exactly the rights that it needs: owners and
//! containers are named, a pod that is going is told of, Events are on the right objects, and the
//! API server's own audit log says what was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bed::{Cluster, Collector, free_udp_port, ntp_server, repository, tokenwatch, workdir};
use crate::faulty::{answered, token_of};
use crate::healthy::IMAGE;
use crate::process::{Process, run};
use crate::recording::Recording;
use crate::telemetry::{Alert, Telemetry};
use crate::wait::{secs, until};

const NAME: &str = "kube";
const ACCOUNT: &str = "system:serviceaccount:tokenwatch:tokenwatch";
/// What the chart's ClusterRole grants (deploy/chart/templates).
const RULES: &str = r#"
  - {apiGroups: [""], resources: [pods], verbs: [list, watch]}
  - {apiGroups: [""], resources: [serviceaccounts], verbs: [get]}
  - {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}"#;
/// How long it is watched in quiet: the watch is asked anew every five minutes, so that this sees
/// at most one.
const QUIET: Duration = Duration::from_mins(3);

#[test]
fn what_the_api_server_knows_is_told_and_what_it_may_not_is_not_asked() {
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
        answered(&cluster, &token),
        "403",
        "the API server knows who asks (and RBAC says no)"
    );
    cluster.kubectl(&["delete", "serviceaccount", "orphan"]);
    the_clocks_finding_is_on_the_node(&cluster);
    a_pod_that_goes_is_told_of(&cluster, &telemetry, &cart);
    a_jobs_pod_is_named(&cluster, &telemetry, &report);
    quiet(&cluster);
    its_event_became_a_series(&cluster, &cart);
    give_token(&cluster, &directory);
    an_account_that_is_gone_is_named(&cluster, &telemetry, &orphan, &token);
    it_was_listed_once_and_the_watch_taken_up(&cluster);
    its_own_new_token_is_used(&cluster, &log);
    nothing_was_refused(&cluster);
    an_api_server_that_stops_is_waited_for(&telemetry, &cart, &log);
    a_pod_that_is_gone_clears_its_finding(&cluster, &telemetry, &cart);
    assert!(agent.stop(secs(15)).success());
    recording.gives_the_same_alerts(&telemetry);
    all_that_is_granted_is_used_and_no_more(&cluster);
    println!("[{NAME}] the agent's diary:\n{}", std::fs::read_to_string(&log).unwrap());
}

/// A pod by its two names.
struct Pod {
    name: String,
    uid: String,
}

fn account() -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: tokenwatch}}\n---\napiVersion: \
         v1\nkind: ServiceAccount\nmetadata: {{name: tokenwatch, namespace: \
         tokenwatch}}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: \
         ClusterRole\nmetadata: {{name: tokenwatch}}\nrules:{RULES}\n---\napiVersion: \
         rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: \
         tokenwatch}}\nroleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: \
         tokenwatch}}\nsubjects: [{{kind: ServiceAccount, name: tokenwatch, namespace: \
         tokenwatch}}]\n"
    )
}

/// The account's own token, in a file as kubelet would keep it.
fn kubeconfig(cluster: &Cluster, directory: &Path) -> PathBuf {
    give_token(cluster, directory);
    let file = directory.join("agent.kubeconfig");
    let (server, ca) = (cluster.get("APISERVER"), cluster.get("CA_FILE"));
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: \"{server}\", \
         certificate-authority: {ca}}}}}]\nusers: [{{name: u, user: {{tokenFile: \
         token}}}}]\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\ncurrent-context: \
         x\n"
    );
    std::fs::write(&file, text).unwrap();
    file
}

/// As kubelet would: a new one in the place of the one before.
fn give_token(cluster: &Cluster, directory: &Path) {
    let token = cluster.kubectl(&[
        "create",
        "token",
        "tokenwatch",
        "--namespace",
        "tokenwatch",
        "--duration=2h",
    ]);
    std::fs::write(directory.join("new-token"), token.trim()).unwrap();
    std::fs::rename(directory.join("new-token"), directory.join("token")).unwrap();
}

fn agent(
    cluster: &Cluster,
    collector: &Collector,
    kubeconfig: &Path,
    time: u16,
    log: &Path,
) -> (Process, Recording) {
    let mut command = tokenwatch();
    command.args([
        "run",
        "--node",
        cluster.get("NODE_NAME"),
        "--clock-server",
        &format!("127.0.0.1:{time}"),
        "--root",
    ]);
    command
        .arg(cluster.kubelet_root())
        .args(["--kubernetes", "true", "--kubeconfig"])
        .arg(kubeconfig);
    // Reminded as often as can be set: a reminder is what makes a series of an Event.
    command.args(["--alerts-remind-every", "60s", "--log-level", "info,tokenwatch=debug"]);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", collector.grpc))
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let recording = Recording::of(&mut command, log.parent().unwrap());
    (Process::start(&mut command, log), recording)
}

/// A Deployment whose pod does not go when asked to, a Job whose pod ends by itself, and a
/// StatefulSet with an account of its own; each with a token that lives ten minutes.
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
    let ending = template("app: report", "restartPolicy: Never", "sleep 25");
    let lasting = template(
        "app: orphan",
        "terminationGracePeriodSeconds: 2\n      serviceAccountName: orphan",
        "while :; do sleep 1; done",
    );
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: cart}}\nspec:\n  replicas: 1\n  \
         selector: {{matchLabels: {{app: cart}}}}\n  {stubborn}---\napiVersion: batch/v1\nkind: \
         Job\nmetadata: {{name: report}}\nspec:\n  {ending}---\napiVersion: v1\nkind: \
         ServiceAccount\nmetadata: {{name: orphan}}\n---\napiVersion: apps/v1\nkind: \
         StatefulSet\nmetadata: {{name: orphan}}\nspec:\n  serviceName: orphan\n  selector: \
         {{matchLabels: {{app: orphan}}}}\n  {lasting}"
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
        let told = cluster.kubectl(&["get", "pods", "-l", selector, path]);
        let [name, uid, "Running"] = told.split(' ').collect::<Vec<_>>()[..] else { return None };
        Some(Pod { name: name.to_owned(), uid: uid.to_owned() })
    })
}

/// Events of an object with a reason, whatever their namespace.
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

fn the_clocks_finding_is_on_the_node(cluster: &Cluster) {
    let node = cluster.get("NODE_NAME");
    let event =
        until("an Event on the Node", secs(60), || events(cluster, node, "ClockOffset").pop());
    assert_eq!(
        (&event["type"], &event["regarding"]["kind"], &event["metadata"]["namespace"]),
        (&"Warning".into(), &"Node".into(), &"default".into())
    );
    assert!(cluster.kubectl(&["describe", "node", node]).contains("ClockOffset"));
}

fn a_pod_that_goes_is_told_of(cluster: &Cluster, telemetry: &Telemetry, cart: &Pod) {
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
        "kubectl describe pod tells the story:\n{described}"
    );
}

fn a_jobs_pod_is_named(cluster: &Cluster, telemetry: &Telemetry, report: &Pod) {
    let span = telemetry.wait_span("the trace of the Job's token", secs(120), |span| {
        span.name == "token.generation" && span.attribute("k8s.pod.uid") == report.uid
    });
    assert_eq!(
        (span.attribute("k8s.job.name"), span.attribute("k8s.pod.name")),
        ("report".to_owned(), report.name.clone())
    );
    cluster.kubectl(&["delete", "job", "report"]);
}

/// Each request once: a watch is written down when it begins and when it ends.
fn asked(cluster: &Cluster) -> BTreeMap<String, Value> {
    let log = std::fs::read_to_string(cluster.get("AUDIT_LOG")).unwrap_or_default();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events
        .filter(|event| event["user"]["username"] == ACCOUNT)
        .map(|event| (event["auditID"].to_string(), event))
        .collect()
}

/// In minutes without news the only requests are the reminder's one a minute, which this test asked
/// for, and at most one new watch.
fn quiet(cluster: &Cluster) {
    let (before, began) = (asked(cluster), Instant::now());
    std::thread::sleep(QUIET);
    let new: Vec<String> = asked(cluster)
        .into_iter()
        .filter(|(id, _)| !before.contains_key(id))
        .map(|(_, event)| verb(&event))
        .collect();
    let reads = new.iter().filter(|verb| ["list", "watch"].contains(&verb.as_str())).count();
    println!("[{}] {new:?} in {:?}", cluster.name(), began.elapsed());
    assert!(reads <= 1, "{reads} requests about pods in {QUIET:?}: {new:?}");
}

fn verb(event: &Value) -> String {
    event["verb"].as_str().unwrap_or_default().to_owned()
}

fn its_event_became_a_series(cluster: &Cluster, cart: &Pod) {
    let [event] = &events(cluster, &cart.uid, "TokenPodTerminating")[..] else {
        panic!("one Event, however often it is reminded of")
    };
    assert!(event["series"]["count"].as_i64() >= Some(2), "{event:#}");
}

/// Why kubelet has not replaced the token is what the API server was asked, once that was late; and
/// it is right: the token is refused.
fn an_account_that_is_gone_is_named(
    cluster: &Cluster,
    telemetry: &Telemetry,
    orphan: &Pod,
    token: &str,
) {
    let about = |alert: &Alert| {
        alert.is("raised", "token.rotation_stalled") && alert.attribute("k8s.pod.uid") == orphan.uid
    };
    let alert = telemetry.wait_alert("the account to be missed", secs(640), about);
    println!("[{NAME}] {}", alert.body);
    assert!(
        alert.body.contains("its service account default/orphan does not exist any more"),
        "{}",
        alert.body
    );
    assert_eq!(answered(cluster, token), "401");
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
        "kubectl create serviceaccount -n default orphan"
    );
    let gets = asked(cluster).values().filter(|event| verb(event) == "get").count();
    assert!((1..=2).contains(&gets), "{gets} questions about one account");
}

/// By now at least one watch has ended: each is asked to last five minutes at most.
fn it_was_listed_once_and_the_watch_taken_up(cluster: &Cluster) {
    let asked = asked(cluster);
    let count = |what: &str| asked.values().filter(|event| verb(event) == what).count();
    println!("[{NAME}] {} list and {} watches so far", count("list"), count("watch"));
    assert!(
        count("list") == 1 && count("watch") >= 2,
        "{} lists, {} watches",
        count("list"),
        count("watch")
    );
}

/// The API server writes down which token each request came with (`credential-id`): the agent went
/// over to the new one before the old one failed.
fn its_own_new_token_is_used(cluster: &Cluster, log: &Path) {
    let credential = |event: &Value| {
        event["user"]["extra"]["authentication.kubernetes.io/credential-id"][0].to_string()
    };
    let used: BTreeSet<String> = asked(cluster).values().map(credential).collect();
    assert!(used.len() == 2 && !used.contains("null"), "{used:?}");
    assert!(
        !std::fs::read_to_string(log).unwrap().contains("401 Unauthorized"),
        "it had to be told"
    );
}

fn an_api_server_that_stops_is_waited_for(telemetry: &Telemetry, cart: &Pod, log: &Path) {
    let restart = |option: &str| {
        run(Command::new(repository().join("tests/cluster/restart")).args([
            "--name",
            NAME,
            option,
            "apiserver",
        ]));
    };
    let said = |what: &str| {
        std::fs::read_to_string(log).unwrap().lines().filter(|line| line.contains(what)).count()
    };
    let works = said("source apiserver works");
    restart("--only-stop");
    until("the agent to say that it cannot ask", secs(60), || {
        (said("source apiserver is degraded") > 0).then_some(())
    });
    what_was_known_is_told_with_its_age(telemetry, cart);
    restart("--only-start");
    until("the agent to go on by itself", secs(120), || {
        (said("source apiserver works") > works).then_some(())
    });
}

/// Reminders go on, with the owner that is known from before, and how old that is.
fn what_was_known_is_told_with_its_age(telemetry: &Telemetry, cart: &Pod) {
    let evidence =
        |alert: &Alert, name: &str| alert.attribute(&format!("tokenwatch.finding.evidence.{name}"));
    let aged = |alert: &Alert| {
        alert.attribute("k8s.pod.uid") == cart.uid && !evidence(alert, "cluster_age").is_empty()
    };
    let alert =
        telemetry.wait_alert("a reminder that says how old its knowledge is", secs(150), aged);
    println!(
        "[{NAME}] owner {}, as of {} s before",
        evidence(&alert, "owner"),
        evidence(&alert, "cluster_age")
    );
    assert_eq!(evidence(&alert, "owner"), "Deployment cart");
}

/// What happened while the API server was away is not missed.
fn a_pod_that_is_gone_clears_its_finding(cluster: &Cluster, telemetry: &Telemetry, cart: &Pod) {
    // Its other container has ended by itself; after a restart of the API server it may take
    // kubelet a while to report that.
    cluster.kubectl(&["exec", &cart.name, "--container=main", "--", "touch", "/tmp/end"]);
    until("the pod to go", secs(120), || {
        cluster
            .kubectl(&["get", "pod", &cart.name, "--ignore-not-found", "-o", "name"])
            .trim()
            .is_empty()
            .then_some(())
    });
    telemetry.wait_alert("the finding to be cleared", secs(90), |alert| {
        alert.is("cleared", "token.pod_terminating") && alert.attribute("k8s.pod.uid") == cart.uid
    });
    let event = until("an Event that says so", secs(30), || {
        events(cluster, &cart.uid, "TokenPodTerminatingCleared").pop()
    });
    assert_eq!(event["type"], "Normal");
}

fn all_that_is_granted_is_used_and_no_more(cluster: &Cluster) {
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
    let asked = asked(cluster);
    let object = |event: &Value| {
        (verb(event), text(&event["objectRef"]["apiGroup"]), text(&event["objectRef"]["resource"]))
    };
    let used: BTreeSet<_> = asked.values().map(object).collect();
    println!("[{NAME}] used: {used:?}");
    assert_eq!(granted, used, "granted, and used");
    assert!(granted.iter().all(|(_, _, resource)| !resource.contains("secret")), "{granted:?}");
}

/// Before it is restarted: an API server that starts refuses everybody until it has read its roles.
fn nothing_was_refused(cluster: &Cluster) {
    let refused: Vec<Value> = asked(cluster)
        .into_values()
        .filter(|event| event["responseStatus"]["code"] == 403)
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

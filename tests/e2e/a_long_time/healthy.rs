//! Scenarios 1, 6 and 7: a healthy cluster, with the changes of a normal day, and no false alarm.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::bed::{Cluster, IMAGE, Scene, json, repository, tokenwatch};
use crate::telemetry::{Span, Telemetry};
use crate::wait::{secs, until};

/// Long enough for a 600 s token to rotate twice.
const HEALTHY: Duration = Duration::from_mins(20);

#[test]
fn a_healthy_cluster_rotates_without_a_false_alarm() {
    let scene = Scene::start("healthy", "grpc");
    let (cluster, port) = (&scene.cluster, scene.time);

    let started = Instant::now();
    cluster.apply(&std::fs::read_to_string(repository().join("tests/cluster/pods.yaml")).unwrap());
    cluster.apply(&deployment());
    for pod in ["short", "default", "vault"] {
        cluster.wait_running(pod);
    }
    let seen = watch_renames(&volume(cluster, "short"));
    every_token_is_known(cluster, port);
    kubelet_marks_what_it_mounted(cluster);
    the_collectors_manifests_are_admitted(cluster);

    let (mut round, address) = (0, cluster.link_address());
    while started.elapsed() < HEALTHY {
        an_ordinary_minute(cluster, round);
        round += 1;
    }
    println!(
        "[healthy] {round} rounds of pods, restarts and ConfigMap changes in {:?}",
        started.elapsed()
    );
    // Else pods lose the node for seconds, and with it the API server.
    assert_eq!(cluster.link_address(), address, "as pods came and went");
    let telemetry = scene.collector.telemetry();
    rotation_is_one_trace(cluster, &telemetry, &seen);
    let open = commands_agree(cluster, port);
    assert!(scene.agent.stop(secs(15)).success());
    there_is_no_alarm(&telemetry);
    open_generations_are_exported(&telemetry, &open);
    assert!(telemetry.metric_names().iter().any(|name| name == "tokenwatch.tokens"));
}

/// A real API server admits them, under the strictest Pod Security level.
fn the_collectors_manifests_are_admitted(cluster: &Cluster) {
    let strict = "{name: observability, labels: {pod-security.kubernetes.io/warn: restricted}}";
    cluster.apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {strict}\n"));
    let folder = repository().join("deploy/collector");
    cluster.kubectl(&[
        "apply",
        "--dry-run=server",
        "--warnings-as-errors",
        "-k",
        folder.to_str().unwrap(),
    ]);
}

fn deployment() -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: rolling}}\nspec:\n  replicas: \
         2\n  selector: {{matchLabels: {{app: rolling}}}}\n  template:\n    metadata: {{labels: \
         {{app: rolling}}}}\n    spec:\n      terminationGracePeriodSeconds: 1\n      \
         containers:\n        - name: main\n          image: {IMAGE}\n          imagePullPolicy: \
         Never\n          command: [sh, -c, \"trap exit TERM; while :; do sleep 3600 & wait $!; \
         done\"]\n"
    )
}

fn job(round: usize) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: job-{round}}}\nspec:\n  \
         ttlSecondsAfterFinished: 20\n  template:\n    spec:\n      restartPolicy: Never\n      \
         containers:\n        - name: main\n          image: {IMAGE}\n          imagePullPolicy: \
         Never\n          command: [sleep, \"3\"]\n"
    )
}

/// A short Job, a rolling restart, a ConfigMap change in a projected volume: these rewrite volumes
/// without a token rotation.
fn an_ordinary_minute(cluster: &Cluster, round: usize) {
    cluster.apply(&job(round));
    if round.is_multiple_of(3) {
        cluster.kubectl(&["rollout", "restart", "deployment/rolling"]);
    }
    let data = format!("{{\"data\":{{\"address\":\"https://vault-{round}.example\"}}}}");
    cluster.kubectl(&["patch", "configmap", "vault-settings", "--type=merge", "-p", &data]);
    std::thread::sleep(secs(30));
}

fn volume(cluster: &Cluster, pod: &str) -> PathBuf {
    let volumes = cluster
        .kubelet_root()
        .join("pods")
        .join(cluster.pod_uid(pod))
        .join("volumes/kubernetes.io~projected");
    let found = std::fs::read_dir(&volumes)
        .unwrap_or_else(|error| panic!("{}: {error}", volumes.display()))
        .flatten()
        .next();
    found.unwrap_or_else(|| panic!("no volume in {}", volumes.display())).path()
}

/// The test's own observation of every rename of `..data`: its time, and the previous token as
/// `explain` decodes it.
fn watch_renames(volume: &Path) -> Receiver<(f64, Value)> {
    let (sender, renames) = channel();
    let volume = volume.to_owned();
    std::thread::spawn(move || send_renames(&volume, &sender));
    renames
}

fn send_renames(volume: &Path, sender: &Sender<(f64, Value)>) {
    let target = || std::fs::read_link(volume.join("..data")).ok();
    let explained =
        || json(tokenwatch().arg("explain").arg(volume.join("token")).args(["--output", "json"])).1;
    let (mut last, mut token) = (target(), explained());
    while volume.exists() {
        std::thread::sleep(Duration::from_millis(10));
        let now = target();
        if now.is_some() && now != last {
            let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
            if sender.send((at, std::mem::replace(&mut token, explained()))).is_err() {
                return;
            }
            last = now;
        }
    }
}

fn check(cluster: &Cluster, port: u16) -> (i32, Value) {
    let mut command = tokenwatch();
    command
        .args([
            "check",
            "--output",
            "json",
            "--clock-server",
            &format!("127.0.0.1:{port}"),
            "--root",
        ])
        .arg(cluster.kubelet_root());
    json(&mut command)
}

fn tokens_of<'a>(checked: &'a Value, uid: &str) -> Vec<&'a Value> {
    checked["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|token| token["pod"]["uid"] == uid)
        .collect()
}

fn every_token_is_known(cluster: &Cluster, port: u16) {
    let (code, checked) = check(cluster, port);
    assert_eq!(code, 0, "{checked:#}");
    let lifetime =
        |token: &Value, until: &str| seconds(&token[until]) - seconds(&token["issued_at"]);
    let [short] = tokens_of(&checked, &cluster.pod_uid("short"))[..] else { panic!("{checked:#}") };
    assert_eq!((lifetime(short, "expires_at"), lifetime(short, "refresh_due")), (600, 480));
    assert_eq!(short["pod"]["name"], "short");
    let [default] = tokens_of(&checked, &cluster.pod_uid("default"))[..] else {
        panic!("{checked:#}")
    };
    assert_eq!(
        (lifetime(default, "expires_at"), lifetime(default, "warn_after")),
        (31_536_000, 3_607)
    );
    let vault = tokens_of(&checked, &cluster.pod_uid("vault"));
    let custom = vault
        .iter()
        .find(|token| token["path"] == "deep/er/vault-token")
        .unwrap_or_else(|| panic!("{checked:#}"));
    assert_eq!(
        (vault.len(), &custom["audiences"][0], lifetime(custom, "expires_at")),
        (2, &Value::from("vault"), 1_200)
    );
    assert!(
        checked["tokens"]
            .as_array()
            .unwrap()
            .iter()
            .all(|token| token["state"] == "fresh" && token["verdict"] == "live"),
        "{checked:#}"
    );
}

/// `agent.blind` relies on this: kubelet leaves a marker file for every projected volume that it
/// has mounted.
fn kubelet_marks_what_it_mounted(cluster: &Cluster) {
    for name in ["short", "default", "vault"] {
        let pod = cluster.kubelet_root().join("pods").join(cluster.pod_uid(name));
        let volumes: Vec<_> = std::fs::read_dir(pod.join("volumes/kubernetes.io~projected"))
            .unwrap()
            .flatten()
            .collect();
        assert!(!volumes.is_empty(), "{name} has no projected volume");
        for volume in volumes {
            let wrapped = format!("wrapped_{}", volume.file_name().to_string_lossy());
            let ready = pod.join("plugins/kubernetes.io~empty-dir").join(wrapped).join("ready");
            assert!(ready.exists(), "no {}", ready.display());
        }
    }
}

fn seconds(rfc3339: &Value) -> i64 {
    let text = rfc3339.as_str().unwrap_or_else(|| panic!("no time: {rfc3339}"));
    chrono::DateTime::parse_from_rfc3339(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .timestamp()
}

fn rotation_is_one_trace(cluster: &Cluster, telemetry: &Telemetry, seen: &Receiver<(f64, Value)>) {
    let uid = cluster.pod_uid("short");
    let (at, old) = seen.recv_timeout(secs(1)).expect("the 600 s token rotated");
    let measured = at - seconds(&old["refresh_due"]) as f64;
    let of_short = |span: &Span| {
        span.attribute("k8s.pod.uid") == uid && span.attribute("token.outcome") == "replaced"
    };
    let root = telemetry.wait_span("the closed generation", secs(30), of_short);
    let children: Vec<Span> = telemetry
        .spans()
        .into_iter()
        .filter(|span| span.trace_id == root.trace_id && span.parent == root.id)
        .collect();
    let wait =
        children.iter().find(|span| span.name == "token.refresh_wait").expect("a refresh_wait");
    assert!(children.iter().any(|span| span.name == "token.fresh"));
    println!(
        "[healthy] rotation {measured:+.3} s after due by the test's own observation, refresh_wait \
         {:.3} s",
        wait.seconds()
    );
    assert!(
        (wait.seconds() - measured.max(0.0)).abs() <= 0.1,
        "measured {measured} s, exported {} s",
        wait.seconds()
    );
    assert!(
        crate::telemetry::attribute(&root.resource, "k8s.node.name") == cluster.get("NODE_NAME")
    );
    let successor = telemetry.wait_span("its successor", secs(30), |span| {
        of_short(span) && root.links.contains(&span.trace_id)
    });
    assert!(
        successor.links.contains(&root.trace_id),
        "the successor links back to the closed generation"
    );
}

/// `check`, `explain` and `clock` agree. Returns the UIDs of the pods with open generations.
fn commands_agree(cluster: &Cluster, port: u16) -> Vec<String> {
    let (code, checked) = check(cluster, port);
    assert_eq!(code, 0, "{checked:#}");
    let [listed] = tokens_of(&checked, &cluster.pod_uid("default"))[..] else {
        panic!("{checked:#}")
    };
    let (code, explained) = json(
        tokenwatch()
            .arg("explain")
            .arg(volume(cluster, "default").join("token"))
            .args(["--output", "json"]),
    );
    assert_eq!(code, 0, "{explained:#}");
    for key in
        ["issued_at", "expires_at", "warn_after", "refresh_due", "effective_deadline", "state"]
    {
        assert_eq!(listed[key], explained[key], "{key}");
    }
    let (code, clock) = json(tokenwatch().args([
        "clock",
        "--output",
        "json",
        "--server",
        &format!("127.0.0.1:{port}"),
    ]));
    assert_eq!(code, 0, "{clock:#}");
    assert_eq!(clock["state"], checked["clock"]["state"]);
    ["short", "default", "vault"].iter().map(|pod| cluster.pod_uid(pod)).collect()
}

fn there_is_no_alarm(telemetry: &Telemetry) {
    let alarms: Vec<_> =
        telemetry.alerts().into_iter().filter(|alert| alert.severity() != "info").collect();
    assert!(alarms.is_empty(), "{} alarms on a healthy cluster: {alarms:#?}", alarms.len());
}

fn open_generations_are_exported(telemetry: &Telemetry, pods: &[String]) {
    for uid in pods {
        until("an open generation to be exported", secs(10), || {
            telemetry
                .spans()
                .iter()
                .any(|span| {
                    span.attribute("token.outcome") == "open"
                        && span.attribute("k8s.pod.uid") == *uid
                })
                .then_some(())
        });
    }
}

//! Pods that the API server has given up while kubelet cannot act: their containers run on with
//! tokens that the API server refuses. No output may report them as healthy before their files are
//! gone.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::access::{account, kubeconfig};
use crate::bed::{
    Cluster, Collector, IMAGE, free_tcp_port, free_udp_port, json, ntp_server, tokenwatch, workdir,
};
use crate::installed::page_at;
use crate::process::Process;
use crate::recording::Recording;
use crate::requests::{status_for, token_of};
use crate::telemetry::{Alert, Telemetry};
use crate::wait::{secs, until};

const NAME: &str = "evicted";
const CODE: &str = "token.pod_terminating";
/// How far the API server's clock is behind while the pods get their tokens, in seconds: a token of
/// 600 s then has a minute left.
const BEHIND: i64 = 540;
/// Nanoseconds. Longer than every grace that the API server gives: 60 s after the deletion and the
/// expiry, and 10 s of its cache.
const GRACE: i128 = 70_000_000_000;

#[test]
fn findings_about_refused_tokens_stay_until_their_files_are_gone() {
    let scene = Scene::start();
    let pods = evicted_while_cut_off(&scene);
    stay_reported(&scene, &pods, &["critical"]);
    every_output_shows_them(&scene, &pods);
    scene.cluster.gate("open");
    resolve_with_their_files(&scene, &pods);

    let pods = deleted_behind_kubelets_back(&scene);
    stay_reported(&scene, &pods, &["warning", "critical"]);
    scene.kubelet(Signal::SIGCONT);
    resolve_with_their_files(&scene, &pods);
    the_bystander_has_no_alert(&scene.telemetry);
    assert!(scene.agent.stop(secs(15)).success());
    scene.recording.gives_the_same_alerts(&scene.telemetry);
}

struct Scene {
    cluster: Cluster,
    telemetry: Telemetry,
    kubeconfig: PathBuf,
    time: u16,
    /// Of the agent's pages.
    address: String,
    agent: Process,
    recording: Recording,
    _others: [Process; 2],
}

impl Scene {
    /// A cut-off kubelet, pods whose tokens have a minute left, and an agent that reaches the API
    /// server.
    fn start() -> Self {
        let (directory, cluster) = (workdir(NAME), Cluster::up(NAME));
        cluster.apply(&account());
        pods_with_old_tokens(&cluster);
        let kubeconfig = kubeconfig(&cluster, &directory);
        let (collector, time) = (Collector::planned(&directory), free_udp_port());
        let others = [ntp_server(&directory, time, None, None), collector.start()];
        let port = free_tcp_port();
        let mut command = cluster.agent(time);
        command.args(["--kubernetes", "true", "--kubeconfig"]).arg(&kubeconfig);
        command.args(["--http", "true", "--http-port", &port.to_string()]);
        command.args(["--alerts-remind-every", "60s"]); // the shortest that can be set
        collector.receives(&mut command, "grpc");
        let recording = Recording::of(&mut command, &directory);
        let agent = Process::start(&mut command, &directory.join("agent.log"));
        let (telemetry, address) = (collector.telemetry(), format!("127.0.0.1:{port}"));
        Self { cluster, telemetry, kubeconfig, time, address, agent, recording, _others: others }
    }

    fn kubelet(&self, signal: Signal) {
        let file = Path::new(self.cluster.get("STATE")).join("pid/kubelet");
        let pid = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    fn check(&self) -> (i32, Value) {
        let mut command = tokenwatch();
        command.args(["check", "--output", "json", "--node", self.cluster.get("NODE_NAME")]);
        command.arg("--root").arg(self.cluster.kubelet_root());
        command.args(["--kubernetes", "true", "--kubeconfig"]).arg(&self.kubeconfig);
        json(command.arg("--clock-server").arg(format!("127.0.0.1:{}", self.time)))
    }
}

struct Pod {
    uid: String,
    token: String,
    volumes: PathBuf,
}

impl Pod {
    fn of(cluster: &Cluster, name: &str) -> Self {
        let uid = cluster.pod_uid(name);
        let pod = cluster.kubelet_root().join("pods").join(&uid);
        let volumes = pod.join("volumes/kubernetes.io~projected");
        Self { token: token_of(cluster, &uid), uid, volumes }
    }

    fn has_its_file(&self) -> bool {
        let mut volumes = std::fs::read_dir(&self.volumes).into_iter().flatten().flatten();
        volumes.any(|volume| volume.path().join("token").exists())
    }

    fn is_about(&self, alert: &Alert) -> bool {
        alert.attribute("k8s.pod.uid") == self.uid
    }
}

/// The first one's token has a minute left, the others' a year. `bystander` tolerates every taint.
fn pods_with_old_tokens(cluster: &Cluster) {
    cluster.shift_clock("apiserver", -BEHIND);
    let [short, default] = ["short", "default"].map(|name| pod(name, name == "short", ""));
    let bystander = pod("bystander", false, "tolerations: [{operator: Exists}]");
    cluster.apply(&format!("{short}---\n{default}---\n{bystander}"));
    for name in ["short", "default", "bystander"] {
        cluster.wait_running(name);
    }
    println!("[{NAME}] cutting kubelet off from its API server");
    cluster.gate("cut");
    cluster.shift_clock("apiserver", 0);
}

fn pod(name: &str, has_short_token: bool, more: &str) -> String {
    let volume = "\n      volumeMounts: [{name: tokens, mountPath: /tokens}]\n  volumes: [{name: \
                  tokens, projected: {sources: [{serviceAccountToken: {path: token, \
                  expirationSeconds: 600}}]}}]";
    let (automount, volume) = (!has_short_token, if has_short_token { volume } else { "" });
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  \
         automountServiceAccountToken: {automount}\n  terminationGracePeriodSeconds: 1\n  \
         {more}\n  containers:\n    - name: main\n      image: {IMAGE}\n      imagePullPolicy: \
         Never\n      command: [sh, -c, \"trap exit TERM; while :; do sleep 3600 & wait $!; \
         done\"]{volume}\n"
    )
}

/// As after five minutes without kubelet's heartbeat: a taint evicts the pods. Kubelet does not
/// learn it, so the containers run on.
fn evicted_while_cut_off(scene: &Scene) -> Vec<Pod> {
    let node = scene.cluster.get("NODE_NAME");
    let pods = ["short", "default"].map(|name| Pod::of(&scene.cluster, name));
    scene.cluster.kubectl(&["taint", "node", node, "tokenwatch.test/away=:NoExecute"]);
    until("the pods to be evicted", secs(60), || {
        let deleted = ["short", "default"].map(|name| {
            let path = "jsonpath={.metadata.deletionTimestamp}";
            scene.cluster.kubectl(&["get", "pod", name, "-o", path])
        });
        deleted.iter().all(|time| !time.is_empty()).then_some(())
    });
    scene.cluster.kubectl(&["taint", "node", node, "tokenwatch.test/away-"]);
    pods.into()
}

/// The API server forgets the pod, and kubelet is stopped: its containers run on.
fn deleted_behind_kubelets_back(scene: &Scene) -> Vec<Pod> {
    scene.cluster.apply(&pod("forgotten", false, ""));
    scene.cluster.wait_running("forgotten");
    let pod = Pod::of(&scene.cluster, "forgotten");
    assert_eq!(status_for(&scene.cluster, &pod.token), "403", "authenticated");
    println!("[{NAME}] a pod is deleted by force while kubelet is stopped");
    scene.kubelet(Signal::SIGSTOP);
    scene.cluster.kubectl(&["delete", "pod", "forgotten", "--force", "--grace-period=0"]);
    vec![pod]
}

/// From the moment when the API server refuses the pods' tokens, past every deadline: the alerts
/// have one of these severities.
fn stay_reported(scene: &Scene, pods: &[Pod], severities: &[&str]) {
    for pod in pods {
        until("the API server to refuse the token", secs(240), || {
            (status_for(&scene.cluster, &pod.token) == "401").then_some(())
        });
    }
    let refused = now();
    for pod in pods {
        let is_late = |alert: &Alert| {
            alert.code() == CODE
                && severities.contains(&&*alert.severity())
                && alert.at > refused + GRACE
                && pod.is_about(alert)
        };
        let alert = scene.telemetry.wait_alert("a late reminder of it", secs(300), is_late);
        println!("[{NAME}] {}", alert.body);
        assert!(pod.has_its_file(), "kubelet has removed the pod");
        let cleared = cleared(&scene.telemetry, pod, refused);
        assert!(cleared.is_empty(), "resolved while the token is refused: {cleared:#?}");
    }
}

/// What was resolved about the pod since then.
fn cleared(telemetry: &Telemetry, pod: &Pod, since: i128) -> Vec<Alert> {
    let alerts = telemetry.alerts().into_iter();
    let is_cleared = |alert: &Alert| {
        alert.event.ends_with(".cleared") && alert.at >= since && pod.is_about(alert)
    };
    alerts.filter(is_cleared).collect()
}

fn every_output_shows_them(scene: &Scene, pods: &[Pod]) {
    let (status, checked) = scene.check();
    assert_eq!(status, 1, "{checked:#}");
    for pod in pods {
        let is_it = |finding: &&Value| {
            finding["subject"]["pod"]["uid"] == pod.uid.as_str()
                && finding["severity"] == "critical"
        };
        let findings = checked["findings"].as_array().unwrap();
        assert!(findings.iter().any(|finding| is_it(&finding)), "{}: {checked:#}", pod.uid);
    }
    let page = page_at(&scene.address, "/");
    assert!(page.contains("class=\"headline critical\""), "{page}");
}

/// Kubelet reads the API server again, stops the containers and removes the files.
fn resolve_with_their_files(scene: &Scene, pods: &[Pod]) {
    for pod in pods {
        let what = "the finding to be resolved";
        scene
            .telemetry
            .wait_alert(what, secs(240), |alert| alert.is("cleared", CODE) && pod.is_about(alert));
        assert!(!pod.has_its_file(), "resolved while the token is there");
    }
    until("`check` to find nothing more", secs(120), || (scene.check().0 == 0).then_some(()));
}

fn the_bystander_has_no_alert(telemetry: &Telemetry) {
    let alerts = telemetry.alerts().into_iter();
    let is_about_it = |alert: &Alert| {
        alert.attribute("k8s.pod.name") == "bystander" && alert.severity() != "info"
    };
    let alerts: Vec<Alert> = alerts.filter(is_about_it).collect();
    assert!(alerts.is_empty(), "{alerts:#?}");
}

fn now() -> i128 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i128::try_from(since.as_nanos()).unwrap()
}

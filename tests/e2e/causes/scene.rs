//! A cluster, an agent on its node with the rights that the chart grants, and what both say about a
//! token.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::access::{account, kubeconfig_for};
use crate::bed::{
    Cluster, Collector, free_tcp_port, free_udp_port, json, ntp_server, tokenwatch, workdir,
};
use crate::deployment::programs_for;
use crate::installed::page_at;
use crate::process::{Process, run, text};
use crate::recording::Recording;
use crate::requests::{asking, status_for};
use crate::telemetry::{Alert, Telemetry};
use crate::wait::{secs, until};

/// What the API server answers to a token that it accepts: authenticated, and without a right.
pub const ACCEPTED: &str = "403";
pub const REFUSED: &str = "401";

pub struct Scene {
    pub cluster: Cluster,
    pub telemetry: Telemetry,
    kubeconfig: PathBuf,
    time: u16,
    /// Of the agent's pages.
    address: String,
    agent: Process,
    recording: Recording,
    _others: [Process; 2],
}

/// A pod that runs now.
#[derive(Clone, Debug)]
pub struct Pod {
    pub name: String,
    pub uid: String,
}

impl Scene {
    /// An agent that asks the API server itself.
    pub fn start(cluster: Cluster) -> Self {
        let server = cluster.get("APISERVER").to_owned();
        Self::new(cluster, &server, &[])
    }

    /// The same, of an agent that reads kubelet's log, with further options.
    pub fn with_log_of_kubelet(cluster: Cluster, options: &[&str]) -> Self {
        let server = cluster.get("APISERVER").to_owned();
        let log = format!("{}/log/kubelet.log", cluster.get("STATE"));
        Self::new(cluster, &server, &[&["--kubelet-log", &log], options].concat())
    }

    /// An agent that asks the API servers behind this address.
    pub fn behind(cluster: Cluster, server: &str) -> Self {
        Self::new(cluster, server, &[])
    }

    /// An agent whose own token is so many seconds old when it starts.
    pub fn with_an_old_account(cluster: Cluster, age: i64) -> Self {
        let (server, directory) = (cluster.get("APISERVER").to_owned(), workdir(cluster.name()));
        cluster.apply(&account());
        cluster.shift_clock("apiserver", -age);
        let kubeconfig = kubeconfig_for(&cluster, &directory, &server);
        cluster.shift_clock("apiserver", 0);
        Self::of(cluster, kubeconfig, &[])
    }

    fn new(cluster: Cluster, server: &str, options: &[&str]) -> Self {
        cluster.apply(&account());
        let kubeconfig = kubeconfig_for(&cluster, &workdir(cluster.name()), server);
        Self::of(cluster, kubeconfig, options)
    }

    fn of(cluster: Cluster, kubeconfig: PathBuf, options: &[&str]) -> Self {
        let directory = workdir(cluster.name());
        let (collector, time) = (Collector::planned(&directory), free_udp_port());
        let others = [ntp_server(&directory, time, None, None), collector.start()];
        programs_for(&cluster, &directory.join("bin"));
        systemd_for(&cluster, &directory.join("bin"));
        let mut command = cluster.agent(time);
        command.args(["--kubernetes", "true", "--kubeconfig"]).arg(&kubeconfig);
        command.arg("--apiserver-log").arg(format!("{}/log/apiserver.log", cluster.get("STATE")));
        command.args(options);
        let port = free_tcp_port();
        command.args(["--http", "true", "--http-port", &port.to_string()]);
        collector.receives(&mut command, "grpc");
        let recording = Recording::of(&mut command, &directory);
        let agent = Process::start(&mut command, &directory.join("agent.log"));
        let (telemetry, address) = (collector.telemetry(), format!("127.0.0.1:{port}"));
        Self { cluster, telemetry, kubeconfig, time, address, agent, recording, _others: others }
    }

    /// Prints what happens, with the name of the scene.
    pub fn says(&self, what: &str) {
        println!("[{}] {what}", self.cluster.name());
    }

    pub fn pod(&self, deployment: &str) -> Pod {
        pod_of(&self.cluster, deployment)
    }

    /// The pod that has taken the place of this one.
    pub fn renewed(&self, deployment: &str, old: &Pod) -> Pod {
        until(&format!("a new pod of {deployment}"), secs(120), || {
            Some(self.pod(deployment)).filter(|pod| pod.uid != old.uid)
        })
    }

    /// Waits until the API server answers so to this token.
    pub fn wait_status(&self, token: &str, status: &str) {
        until(&format!("the API server to answer {status}"), secs(120), || {
            let answered = asking(&self.cluster, token).output().unwrap();
            (text(&answered.stdout) == status).then_some(())
        });
    }

    pub fn status(&self, token: &str) -> String {
        status_for(&self.cluster, token)
    }

    /// Waits for the alert that raises the finding about this pod, or changes it.
    pub fn reports(&self, code: &'static str, pod: &Pod, within: Duration) -> Alert {
        let what = format!("{code} of {}", pod.name);
        let alert = self
            .telemetry
            .wait_alert(&what, within, |alert| alert.reports(code) && is_of(alert, pod));
        self.says(&format!("{} {}", alert.severity(), alert.body));
        alert
    }

    /// Waits until the finding about this pod is resolved.
    pub fn resolves(&self, code: &str, pod: &Pod, within: Duration) {
        let (what, started) = (format!("{code} of {} to be resolved", pod.name), Instant::now());
        let is_it = |alert: &Alert| alert.is("cleared", code) && is_of(alert, pod);
        let alert = self.telemetry.wait_alert(&what, within, is_it);
        self.says(&format!("resolved after {:?}: {}", started.elapsed(), alert.body));
    }

    /// Waits until the agent's page shows this text.
    pub fn shows(&self, text: &str, within: Duration) {
        until(&format!("the page to show \"{text}\""), within, || {
            page_at(&self.address, "/").contains(text).then_some(())
        });
    }

    /// Runs the command of the finding, as it is printed. Returns what that prints.
    pub fn runs_remedy(&self, alert: &Alert) -> String {
        let line = alert.attribute("tokenwatch.finding.command");
        assert!(!line.is_empty(), "no command: {}", alert.body);
        self.says(&format!("$ {line}"));
        let programs = workdir(self.cluster.name()).join("bin");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command.args(["-c", &line]).env("PATH", format!("{}:{path}", programs.display()));
        let printed = text(&run(self.cluster.reached_by(&mut command)).stdout);
        print!("{printed}");
        printed
    }

    /// What `tokenwatch check` finds, with access to the API server.
    pub fn check(&self) -> Value {
        json(self.tokenwatch("check").args(["--output", "json"])).1
    }

    /// The answers of `tokenwatch explain --why` about this pod.
    pub fn explained(&self, pod: &Pod) -> String {
        let mut command = self.tokenwatch("explain");
        command.args(["--why", &format!("default/{}", pod.name)]);
        let wrapped = text(&command.output().unwrap().stdout);
        wrapped.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn tokenwatch(&self, what: &str) -> Command {
        let mut command = tokenwatch();
        command.args([what, "--node", self.cluster.get("NODE_NAME")]);
        command.arg("--root").arg(self.cluster.kubelet_root());
        command.args(["--kubernetes", "true", "--kubeconfig"]).arg(&self.kubeconfig);
        command.arg("--clock-server").arg(format!("127.0.0.1:{}", self.time));
        command
    }

    /// The codes of what `tokenwatch check` finds about this pod, info too.
    pub fn checked(&self, pod: &Pod) -> Vec<String> {
        let checked = self.check();
        let found = checked["findings"].as_array().unwrap().iter();
        let found = found.filter(|one| one["subject"]["pod"]["uid"] == pod.uid.as_str());
        found.map(|one| one["code"].as_str().unwrap().to_owned()).collect()
    }

    /// Sends a signal to a component of the cluster.
    pub fn signal(&self, component: &str, signal: Signal) {
        let file = Path::new(self.cluster.get("STATE")).join("pid").join(component);
        let pid = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// What was raised at warning or above about anything but these pods.
    pub fn accuses_nobody_but(&self, pods: &[&str], codes: &[&str]) {
        let is_expected = |alert: &Alert| {
            let name = alert.attribute("k8s.pod.name");
            pods.iter().any(|pod| !name.is_empty() && name.starts_with(pod))
                || codes.contains(&&*alert.code())
        };
        let is_unexpected = |alert: &Alert| alert.severity() != "info" && !is_expected(alert);
        let alerts = self.telemetry.alerts().into_iter();
        let unexpected: Vec<Alert> = alerts.filter(is_unexpected).collect();
        assert!(unexpected.is_empty(), "{unexpected:#?}");
    }

    /// How often it was raised.
    pub fn raised(&self, code: &str) -> usize {
        self.telemetry.alerts().iter().filter(|alert| alert.is("raised", code)).count()
    }

    /// Stops the agent, and replays its recording.
    pub fn end(self) {
        assert!(self.agent.stop(secs(15)).success());
        self.recording.gives_the_same_alerts(&self.telemetry);
    }
}

/// Stands for systemd, which does not run kubelet here: its state, and its log.
fn systemd_for(cluster: &Cluster, folder: &Path) {
    let state = cluster.get("STATE");
    let status = format!(
        "ps -o stat= -p \"$(cat {state}/pid/kubelet)\" >/dev/null 2>&1 && \
         echo \"Active: active (running)\" || echo \"Active: inactive (dead)\""
    );
    for (name, script) in
        [("systemctl", status), ("journalctl", format!("cat {state}/log/kubelet.log"))]
    {
        let file = folder.join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        run(Command::new("chmod").arg("755").arg(&file));
    }
}

/// The pod of this Deployment that runs, and is not being deleted.
pub fn pod_of(cluster: &Cluster, deployment: &str) -> Pod {
    let selector = format!("app={deployment}");
    until(&format!("a pod of {deployment} to run"), secs(120), || {
        let listed = cluster.kubectl(&["get", "pods", "-l", &selector, "-o", "json"]);
        let listed: Value = serde_json::from_str(&listed).ok()?;
        let is_it = |pod: &&Value| {
            pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null()
        };
        let pod = listed["items"].as_array()?.iter().find(is_it)?;
        let field = |name: &str| pod["metadata"][name].as_str().unwrap().to_owned();
        Some(Pod { name: field("name"), uid: field("uid") })
    })
}

/// The time now, as alerts have it.
pub fn now() -> i128 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i128::try_from(since.as_nanos()).unwrap()
}

pub fn is_of(alert: &Alert, pod: &Pod) -> bool {
    alert.attribute("k8s.pod.uid") == pod.uid
}

/// A Deployment in the namespace default, with an account of its own. `rest` follows in the spec
/// of its pod.
pub fn deployment(name: &str, account: &str, rest: &str) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      serviceAccountName: {account}
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: tokenwatch.test/busybox:1
          imagePullPolicy: Never
          command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"]
{rest}
---
"#
    )
}

/// What follows in the spec for a token of its own: its path in the container, and its source.
pub fn token(path: &str, source: &str) -> String {
    format!(
        "          volumeMounts: [{{name: own, mountPath: {path}}}]\n      \
         automountServiceAccountToken: false\n      volumes: [{{name: own, projected: {{sources: \
         [{{serviceAccountToken: {{path: token{source}}}}}]}}}}]"
    )
}

//! An installed agent as users see it: through kubectl, its pages, the collector, and the API
//! server's audit log.

use std::process::Command;

use serde_json::Value;

use crate::bed::{Collector, free_udp_port, ntp_server, workdir};
use crate::deployment::{Deployment, NAMESPACE};
use crate::process::{Process, run, text};
use crate::telemetry::Telemetry;
use crate::wait::{secs, until};

/// A cluster with tokenwatch installed, and a collector and a time server that its pods can reach.
pub struct Scene {
    pub deployment: Deployment,
    pub telemetry: Telemetry,
    _others: [Process; 2],
}

/// A request to the API server, from its audit log.
#[derive(Clone, Debug)]
pub struct Request {
    pub verb: String,
    pub resource: String,
    id: String,
}

impl Scene {
    /// Installs the chart on a cluster whose kubelet has an unusual root, so values set the paths.
    pub fn install(name: &'static str) -> Self {
        let (directory, deployment) = (workdir(name), Deployment::beside(name));
        let (node, root, time) =
            (deployment.cluster.get("NODE_IP"), deployment.cluster.kubelet_root(), free_udp_port());
        let collector = Collector::at(&directory, node, 4317, 4318);
        let others = [collector.start(), ntp_server(&directory, time, None, Some(node))];
        let state = deployment.cluster.get("STATE");
        let paths = format!(
            "kubelet.rootDirs={{{}}},state.hostPath={state}/agent,clock.servers={{{node}:{time}}}",
            root.display()
        );
        deployment.shell(&format!(
            "helm install tokenwatch deploy/chart --namespace {NAMESPACE} --create-namespace \
             --set otlp.endpoint=http://{node}:4317 --set '{paths}'"
        ));
        deployment.wait_ready();
        Self { telemetry: collector.telemetry(), deployment, _others: others }
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.deployment.cluster.kubectl(arguments)
    }

    /// The agent's pod that is not terminating, as the API returns it.
    fn pod(&self) -> Value {
        let list = self.kubectl(&[
            "get",
            "pods",
            "-n",
            NAMESPACE,
            "-l",
            "app.kubernetes.io/name=tokenwatch",
            "-o",
            "json",
        ]);
        let list: Value = serde_json::from_str(&list).unwrap();
        let is_not_terminating = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(is_not_terminating)
            .cloned()
            .unwrap_or_default()
    }

    pub fn is_ready(&self) -> bool {
        self.pod()["status"]["containerStatuses"][0]["ready"] == true
    }

    /// How many times the agent's container was restarted.
    pub fn restarts(&self) -> i64 {
        self.pod()["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap_or(-1)
    }

    /// `kubectl exec … -- tokenwatch check`: its exit status, which kubectl passes on, and its
    /// JSON.
    pub fn check(&self) -> (i32, Value) {
        self.tokenwatch(&["check"])
    }

    /// `kubectl exec … -- tokenwatch …`, as [`Self::check`].
    pub fn tokenwatch(&self, arguments: &[&str]) -> (i32, Value) {
        let mut command = Command::new(self.deployment.cluster.get("KUBE"));
        let exec = ["kubectl", "exec", "-n", NAMESPACE, "daemonset/tokenwatch", "--", "tokenwatch"];
        command.args(exec).args(arguments).args(["--output", "json"]);
        let output = self.deployment.cluster.reached_by(&mut command).output().unwrap();
        let printed = text(&output.stdout);
        let checked = serde_json::from_str(&printed)
            .unwrap_or_else(|why| panic!("no JSON ({why}): {printed}{}", text(&output.stderr)));
        (output.status.code().unwrap_or(-1), checked)
    }

    /// The address of the agent's pages in the pod network.
    pub fn address(&self) -> String {
        until("the agent's pod to have an address", secs(60), || {
            self.pod()["status"]["podIP"].as_str().map(|address| format!("{address}:9723"))
        })
    }

    /// A page of the agent; empty if the agent does not answer.
    pub fn page(&self, path: &str) -> String {
        page_at(&self.address(), path)
    }

    /// The first sample of a metric whose line contains `label`.
    pub fn metric(&self, name: &str, label: &str) -> Option<f64> {
        sample(&self.page("/metrics"), name, label)
    }

    /// Kills the agent's process with SIGKILL.
    pub fn kill_agent(&self) {
        let container = self.pod()["status"]["containerStatuses"][0]["containerID"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let container = container.trim_start_matches("containerd://");
        let tasks = run(Command::new("ctr").args([
            "-a",
            self.deployment.cluster.get("CONTAINERD_ADDRESS"),
            "-n",
            "k8s.io",
            "tasks",
            "list",
        ]));
        let tasks = text(&tasks.stdout);
        let line = tasks
            .lines()
            .find(|line| line.starts_with(container))
            .unwrap_or_else(|| panic!("no task {container}: {tasks}"));
        let pid = line.split_whitespace().nth(1).and_then(|pid| pid.parse().ok()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
            .unwrap();
    }

    /// The agent's requests to the API server. The audit log has two lines for a watch, at its
    /// start and at its end; it counts once.
    pub fn requests(&self) -> Vec<Request> {
        let log =
            std::fs::read_to_string(self.deployment.cluster.get("AUDIT_LOG")).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let request = |line: &Value| Request {
            verb: text(&line["verb"]),
            resource: text(&line["objectRef"]["resource"]),
            id: text(&line["auditID"]),
        };
        let mut requests: Vec<Request> = Vec::new();
        for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let request = request(&line);
            if requests.iter().all(|known| known.id != request.id) {
                requests.push(request);
            }
        }
        requests
    }
}

pub fn page_at(address: &str, path: &str) -> String {
    let url = format!("http://{address}{path}");
    text(&Command::new("curl").args(["-s", "--max-time", "5", &url]).output().unwrap().stdout)
}

/// The first sample of a metric whose line contains `label`.
pub fn sample(metrics: &str, name: &str, label: &str) -> Option<f64> {
    let fits = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && line.contains(label)
    };
    metrics.lines().find(fits)?.rsplit(' ').next()?.parse().ok()
}

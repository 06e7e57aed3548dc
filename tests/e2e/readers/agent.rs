//! An installed agent at one privilege level.

use std::cell::Cell;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::bed::{Collector, free_tcp_port, workdir};
use crate::deployment::{Deployment, NAMESPACE, list};
use crate::process::{Process, text};
use crate::telemetry::{Alert, Telemetry};
use tokenwatch_core::world::privileges::Level;

const COMMAND: &str = "tokenwatch readers --output json";
/// Its exit status when no reader is stale, and when one is.
const ANSWERED: [Option<i32>; 2] = [Some(0), Some(1)];
/// What an agent reports about readers and mounts.
pub const CODES: [&str; 3] = ["token.reader_stale", "token.mount_frozen", "token.subpath"];

pub struct Agent {
    level: Cell<Level>,
    telemetry: Telemetry,
    _collector: Process,
}

impl Agent {
    /// Installs the chart in a namespace of its own, with a collector of its own.
    pub fn install(deployment: &Deployment, level: Level, time: u16) -> Self {
        let (name, cluster) = (NAMESPACE, &deployment.cluster);
        let node = cluster.get("NODE_IP");
        let directory = workdir(cluster.name());
        let collector = Collector::at(&directory, node, free_tcp_port(), free_tcp_port());
        let running = collector.start();
        let values = format!(
            "privilege={},otlp.endpoint=http://{node}:{},kubelet.rootDirs={{{}}},\
             state.hostPath={}/agent,clock.servers={{{node}:{time}}}",
            level.name(),
            collector.grpc,
            cluster.kubelet_root().display(),
            cluster.get("STATE"),
        );
        deployment.shell(&format!(
            "helm install {name} deploy/chart --namespace {name} --create-namespace \
             --set '{values}'"
        ));
        deployment.wait_ready();
        Self { level: Cell::new(level), telemetry: collector.telemetry(), _collector: running }
    }

    /// Gives it another privilege level.
    pub fn upgrade(&self, deployment: &Deployment, level: Level) {
        deployment.upgrade(&[&format!("privilege={}", level.name())]);
        self.level.set(level);
    }

    pub fn level(&self) -> Level {
        self.level.get()
    }

    /// `tokenwatch readers`, as it is printed in the agent's container.
    pub fn readers(deployment: &Deployment) -> Vec<Value> {
        let exec = format!("kubectl exec -n {NAMESPACE} daemonset/tokenwatch -- {COMMAND}");
        let mut command = Command::new(deployment.cluster.get("KUBE"));
        let output = deployment.cluster.reached_by(command.args(exec.split(' '))).output().unwrap();
        let (printed, why) = (text(&output.stdout), text(&output.stderr));
        assert!(ANSWERED.contains(&output.status.code()), "{}: {why}", output.status);
        let shown: Value = serde_json::from_str(&printed)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {printed}{why}"));
        list(&shown["readers"]).to_vec()
    }

    /// Everything that it reported about readers.
    pub fn accusations(&self) -> Vec<Alert> {
        let alerts = self.telemetry.alerts().into_iter();
        alerts.filter(|alert| CODES.iter().any(|code| alert.reports(code))).collect()
    }

    /// Replaces its pod.
    pub fn restart(deployment: &Deployment) {
        deployment.shell(&format!(
            "kubectl rollout restart --namespace {NAMESPACE} daemonset/tokenwatch"
        ));
        deployment.wait_ready();
    }

    /// The processes in its pod, as this machine numbers them.
    fn processes(deployment: &Deployment) -> Vec<PathBuf> {
        let list = deployment.get(&["pods", "--namespace", NAMESPACE]);
        let uid = list["items"][0]["metadata"]["uid"].as_str().unwrap_or("none").to_owned();
        let is_in_pod = |process: &PathBuf| {
            let cgroup = std::fs::read_to_string(process.join("cgroup")).unwrap_or_default();
            let name = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
            cgroup.contains(&uid) && name.trim() == "tokenwatch"
        };
        let all = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        all.filter(is_in_pod).collect()
    }

    /// CPU time of its processes in seconds, and their memory in MB.
    pub fn used(deployment: &Deployment) -> (f64, f64) {
        let processes = Self::processes(deployment);
        let used = processes.iter().filter_map(|process| {
            std::fs::read_to_string(process.join("stat")).ok().map(|stat| usage(&stat))
        });
        used.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// What it reported about the readers of a pod's token, oldest first.
    pub fn alerts(&self, uid: &str) -> Vec<Alert> {
        let is_it = |alert: &Alert| {
            alert.attribute("k8s.pod.uid") == uid && CODES.iter().any(|code| alert.reports(code))
        };
        let mut alerts: Vec<Alert> = self.telemetry.alerts().into_iter().filter(is_it).collect();
        alerts.sort_by_key(|alert| alert.at);
        alerts
    }
}

/// CPU time in seconds and memory in MB, of a line of /proc/PID/stat.
fn usage(stat: &str) -> (f64, f64) {
    let fields: Vec<&str> = stat.split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    let [user, system, pages] = [13, 14, 23].map(|at| number(at).unwrap_or_default());
    ((user + system) / 100.0, pages * 4096.0 / 1e6)
}

//! The pods, and what happens to them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::bed::{Cluster, repository};
use crate::deployment::list;
use crate::process::run;
use crate::wait::until;

/// The pod whose token lives for an hour.
const HOURLY: &str = "client-go-10";
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

pub struct Pods<'a> {
    cluster: &'a Cluster,
    /// By name; that of the job's pod is the job's.
    uids: BTreeMap<String, String>,
    /// When kubelet replaced the first token of each pod, in seconds since 1970.
    rotated: BTreeMap<String, f64>,
}

impl<'a> Pods<'a> {
    /// Starts them, and waits until all of them run.
    pub fn start(cluster: &'a Cluster) -> Self {
        let file = repository().join("tests/cluster/readers.yaml");
        cluster.apply(&std::fs::read_to_string(file).unwrap());
        cluster.kubectl(&["wait", "--for=condition=Ready", "pods", "--all", "--timeout=180s"]);
        let pods: Value = serde_json::from_str(&cluster.kubectl(&["get", "pods", "-o", "json"]))
            .unwrap_or_else(|why| panic!("{why}"));
        let uids = list(&pods["items"]).iter().map(named).collect();
        Self { cluster, uids, rotated: BTreeMap::new() }
    }

    /// Keeps when kubelet began these generations.
    pub fn note_rotation(&mut self, generations: &[Option<PathBuf>]) {
        let pods = self.uids.keys().filter(|pod| *pod != HOURLY).cloned();
        let times = generations.iter().map(|directory| begun(directory.as_deref()?));
        self.rotated = pods.zip(times).filter_map(|(pod, time)| Some((pod, time?))).collect();
    }

    pub fn rotated_at(&self, pod: &str) -> Option<f64> {
        self.rotated.get(pod).copied()
    }

    pub fn uid(&self, pod: &str) -> &str {
        self.uids.get(pod).unwrap_or_else(|| panic!("no pod {pod}: {:?}", self.uids))
    }

    fn volume(&self, pod: &str) -> PathBuf {
        let pod = self.cluster.kubelet_root().join("pods").join(self.uid(pod));
        pod.join("volumes/kubernetes.io~projected/token")
    }

    /// A person reads the token in `kubectl exec`, and from a debug container.
    pub fn look_into(&self) {
        let read = format!("cat {TOKEN} >/dev/null");
        self.cluster.kubectl(&["exec", "looked-into", "--", "sh", "-c", &read]);
        let read = format!("cat /proc/1/root{TOKEN} >/dev/null");
        self.cluster.kubectl(&[
            "debug",
            "looked-into",
            "--image=tokenwatch.test/clients:1",
            "--image-pull-policy=Never",
            "--target=main",
            "--profile=sysadmin",
            "--quiet",
            "--",
            "sh",
            "-c",
            &read,
        ]);
    }

    /// The generation in each pod's volume that has a token of ten minutes.
    pub fn generations(&self) -> Vec<Option<PathBuf>> {
        let pods = self.uids.keys().filter(|pod| *pod != HOURLY);
        pods.map(|pod| std::fs::read_link(self.volume(pod).join("..data")).ok()).collect()
    }

    /// Waits until kubelet has renewed all tokens. Then the container that read its token once is
    /// restarted.
    pub fn wait_renewed(&self, before: &[Option<PathBuf>], at_last: Instant) {
        let time = at_last.saturating_duration_since(Instant::now());
        until("kubelet to renew all tokens", time, || {
            let now = self.generations();
            let is_renewed = |(now, before): (&Option<PathBuf>, &Option<PathBuf>)| {
                before.is_none() || now != before // of a job that has ended, there is none
            };
            now.iter().zip(before).all(is_renewed).then_some(())
        });
        println!("[{}] kubelet has renewed all tokens", self.cluster.name());
        let kill = format!("{} kubectl exec restarted -- kill 1 || true", self.cluster.get("KUBE"));
        run(self.cluster.reached_by(Command::new("sh").args(["-c", &kill])));
    }

    /// Unmounts the volume of a running pod on the node. Kubelet mounts another one there.
    pub fn freeze(&self) {
        println!("[{}] the volume of frozen is unmounted on the node", self.cluster.name());
        // While the agent reads a file, it is busy.
        let again = r#"until umount "$0"; do sleep 0.1; done"#;
        run(Command::new("timeout").args(["10", "sh", "-c", again]).arg(self.volume("frozen")));
    }

    /// When the API server first answered 401, in seconds since 1970.
    pub fn first_refusal(&self, pod: &str, container: &str) -> Option<f64> {
        let name = if pod == "job" { "job/job" } else { pod };
        let log = self.cluster.kubectl(&["logs", "--timestamps", name, "--container", container]);
        let line = log.lines().find(|line| is_refusal(line))?;
        let time = line.split_whitespace().next()?;
        let time = chrono::DateTime::parse_from_rfc3339(time).ok()?;
        Some(time.timestamp_millis() as f64 / 1e3)
    }
}

fn named(pod: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let job = &pod["metadata"]["labels"]["job-name"];
    let name = if job.is_null() { &pod["metadata"]["name"] } else { job };
    (text(name), text(&pod["metadata"]["uid"]))
}

/// When kubelet began a generation, by the name of its directory: `..2026_11_28_17_50_30.123`.
fn begun(directory: &Path) -> Option<f64> {
    let name = directory.to_str()?.strip_prefix("..")?;
    let time = chrono::NaiveDateTime::parse_from_str(name.get(..19)?, "%Y_%m_%d_%H_%M_%S").ok()?;
    Some(time.and_utc().timestamp() as f64)
}

/// Whether a client printed the status 401. The collector prints it in a sentence.
fn is_refusal(line: &str) -> bool {
    line.split(|part: char| !part.is_ascii_alphanumeric()).any(|word| word == "401")
}

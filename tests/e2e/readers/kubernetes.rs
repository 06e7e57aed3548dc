//! The pods, and what happens to them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::bed::{Cluster, repository};
use crate::deployment::list;
use crate::process::run;
use crate::wait::{secs, until};

const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

pub struct Pods<'a> {
    cluster: &'a Cluster,
    /// By name; that of the job's pod is the job's.
    uids: BTreeMap<String, String>,
}

impl<'a> Pods<'a> {
    /// Starts them, and waits until all of them run.
    pub fn start(cluster: &'a Cluster) -> Self {
        let file = repository().join("tests/cluster/readers.yaml");
        cluster.apply(&std::fs::read_to_string(file).unwrap());
        cluster.kubectl(&["wait", "--for=condition=Ready", "pods", "--all", "--timeout=180s"]);
        let pods: Value = serde_json::from_str(&cluster.kubectl(&["get", "pods", "-o", "json"]))
            .unwrap_or_else(|why| panic!("{why}"));
        Self { cluster, uids: list(&pods["items"]).iter().map(named).collect() }
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

    /// Restarts kubelet, which renews the tokens of all pods, and waits until all are renewed.
    pub fn rotate(&self) {
        println!("[readers] kubelet is restarted, and renews all tokens");
        let generation = |pod: &String| std::fs::read_link(self.volume(pod).join("..data")).ok();
        let before: Vec<_> = self.uids.keys().map(|pod| (pod, generation(pod))).collect();
        self.cluster.component("kubelet", &[]);
        until("kubelet to renew all tokens", secs(120), || {
            before.iter().all(|(pod, old)| generation(pod) != *old).then_some(())
        });
        self.restart();
    }

    /// Restarts the container that reads once.
    pub fn restart(&self) {
        println!("[readers] the container of restarted is restarted");
        let kill = format!("{} kubectl exec restarted -- kill 1 || true", self.cluster.get("KUBE"));
        run(self.cluster.reached_by(Command::new("sh").args(["-c", &kill])));
    }

    /// Unmounts the volume of a running pod on the node. Kubelet mounts another one there.
    pub fn freeze(&self) {
        println!("[readers] the volume of frozen is unmounted on the node");
        run(Command::new("umount").arg(self.volume("frozen")));
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

/// Whether a client printed the status 401. The collector prints it in a sentence.
fn is_refusal(line: &str) -> bool {
    line.split(|part: char| !part.is_ascii_alphanumeric()).any(|word| word == "401")
}

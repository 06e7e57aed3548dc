//! The gateway of deploy/collector as pods: its Deployment, Service and ConfigMap on a real
//! cluster, between the agents and where their telemetry ends up. The image is the test bed's
//! collector under the original's name (`tests/cluster/collector-image`).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::bed::{Collector, free_tcp_port, repository, script, workdir};
use crate::deployment::{Deployment, Page, archive, list};
use crate::process::{Process, run, text};
use crate::prometheus::Prometheus;
use crate::telemetry::Telemetry;
use crate::wait::{secs, until};

/// Its Service, as README's command names it.
pub const SERVICE: &str = "otel-collector.observability";
const NAMESPACE: &str = "observability";
/// As many as the Deployment asks for.
const PODS: usize = 2;

/// The gateway's pods, and on the node what they pass on to; ends with the test.
pub struct Gateway {
    /// Traces and alerts.
    pub far_end: Telemetry,
    /// Metrics.
    pub prometheus: Prometheus,
    addresses: Vec<String>,
    _collector: Process,
}

impl Gateway {
    /// As docs/observability.md says it.
    pub fn deploy(deployment: &Deployment) -> Self {
        let (directory, node) = (workdir("gateway"), deployment.cluster.get("NODE_IP"));
        let collector = Collector::at(&directory, node, free_tcp_port(), free_tcp_port());
        let running = collector.start();
        let prometheus = Prometheus::start_at(&directory, node, &[]);
        let base = format!("http://{node}:{}", collector.http);
        write_over(&directory, [&base, &base, &prometheus.remote_write()]);
        deployment.import(&archive(&mut script("collector-image")));
        apply(deployment, &directory);
        let addresses = endpoints(deployment);
        // No kube-proxy, no address for the Service: its name leads to the pods themselves, as that
        // of a headless one would.
        deployment.name(SERVICE, &addresses);
        Self { far_end: collector.telemetry(), prometheus, addresses, _collector: running }
    }

    /// By OTLP/HTTP, where the agents speak gRPC, and by either pod; the answer comes when the far
    /// end has it.
    pub fn takes_alerts(&self) {
        for address in &self.addresses {
            let alert = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": address}}]}]}]});
            let url = format!("http://{address}:4318/v1/logs");
            run(Command::new("curl").args([
                "-fsS",
                "--max-time",
                "10",
                "--json",
                &alert.to_string(),
                &url,
            ]));
            self.far_end.wait_alert(&format!("the alert that {address} took"), secs(30), |alert| {
                alert.body == *address
            });
        }
    }

    /// How many spans its pods have been sent, as they count them themselves on the port that the
    /// Deployment opens for it.
    pub fn spans_taken(&self) -> f64 {
        let metrics = |address: &String| {
            let url = format!("http://{address}:8888/metrics");
            text(&run(Command::new("curl").args(["-fsS", "--max-time", "10", &url])).stdout)
        };
        let count = |metrics: String| {
            let series = metrics
                .lines()
                .filter(|line| line.starts_with("otelcol_receiver_accepted_spans"))
                .map(str::to_owned);
            series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
        };
        self.addresses.iter().map(metrics).map(count).sum()
    }
}

/// deploy/collector as it is, with other addresses written over the three that people are told to
/// change.
fn write_over(directory: &Path, ours: [&str; 3]) {
    let folder = directory.join("deploy/collector");
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    run(Command::new("cp").arg("-r").arg(repository().join("deploy/collector")).arg(&folder));
    let file = folder.join("kubernetes.yaml");
    let theirs =
        ["http://tempo:4318", "http://loki:3100/otlp", "http://prometheus:9090/api/v1/write"];
    let manifests = theirs.iter().zip(ours).fold(
        std::fs::read_to_string(&file).unwrap(),
        |manifests, (theirs, ours)| {
            assert!(
                manifests.contains(&format!("\"{theirs}\"")),
                "{theirs} is not in {}",
                file.display()
            );
            manifests.replace(theirs, ours)
        },
    );
    std::fs::write(&file, manifests).unwrap();
}

fn apply(deployment: &Deployment, directory: &Path) {
    let page = Page::read("docs/observability.md", "## The gateway");
    deployment.shell(page.take("kubectl create namespace"));
    deployment.shell(&format!("cd {} && {}", directory.display(), page.take("kubectl apply -k")));
    page.every_command_was_run();
    deployment.shell(&format!(
        "kubectl rollout status --namespace {NAMESPACE} --timeout=120s deployment/otel-collector"
    ));
    let warned = deployment.warned_of(NAMESPACE, "restricted");
    assert!(
        !warned.contains("violate"),
        "its namespace could not enforce the strictest Pod Security: {warned}"
    );
}

/// What kube-proxy would pass on to: each pod, by the ports' names.
fn endpoints(deployment: &Deployment) -> Vec<String> {
    let slices = [
        "endpointslices",
        "--namespace",
        NAMESPACE,
        "--selector",
        "kubernetes.io/service-name=otel-collector",
    ];
    until("the Service to have its pods", secs(30), || {
        let slice = deployment.get(&slices)["items"][0].clone();
        let ready: Vec<String> = list(&slice["endpoints"])
            .iter()
            .filter(|endpoint| endpoint["conditions"]["ready"] == true)
            .map(address)
            .collect();
        if ready.len() < PODS {
            return None;
        }
        assert_eq!(ports(&slice), [("otlp-grpc", 4317), ("otlp-http", 4318)].into());
        Some(ready)
    })
}

fn address(endpoint: &Value) -> String {
    endpoint["addresses"][0].as_str().unwrap().to_owned()
}

fn ports(slice: &Value) -> BTreeMap<&str, u64> {
    list(&slice["ports"])
        .iter()
        .map(|port| (port["name"].as_str().unwrap(), port["port"].as_u64().unwrap()))
        .collect()
}

//! The gateway of deploy/collector as pods: its Deployment, Service and ConfigMap on a real
//! cluster, between the agents and the backends. The image has the original's name and contains the
//! test bed's collector (`tests/cluster/collector-image`).

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
/// The Deployment's replicas.
const PODS: usize = 2;

/// The gateway's pods, and on the node the backends to which they forward. Ends with the test.
pub struct Gateway {
    /// Traces and alerts.
    pub backend: Telemetry,
    /// Metrics.
    pub prometheus: Prometheus,
    addresses: Vec<String>,
    _collector: Process,
}

impl Gateway {
    /// Deploys the gateway with the commands of docs/observability.md.
    pub fn deploy(deployment: &Deployment) -> Self {
        let (directory, node) = (workdir("gateway"), deployment.cluster.get("NODE_IP"));
        let collector = Collector::at(&directory, node, free_tcp_port(), free_tcp_port());
        let running = collector.start();
        let prometheus = Prometheus::start_at(&directory, node, &[]);
        let base = format!("http://{node}:{}", collector.http);
        copy_manifests(&directory, [&base, &base, &prometheus.remote_write()]);
        deployment.import(&archive(&mut script("collector-image")));
        apply(deployment, &directory);
        let addresses = endpoints(deployment);
        // The cluster has no kube-proxy, so the Service's name resolves to the pods, like the name
        // of a headless Service.
        deployment.add_dns_name(SERVICE, &addresses);
        Self { backend: collector.telemetry(), prometheus, addresses, _collector: running }
    }

    /// Sends an alert to each pod over OTLP/HTTP (the agents use gRPC). The pod answers when the
    /// backend has the alert.
    pub fn accepts_alerts(&self) {
        for address in &self.addresses {
            let records = json!([{"body": {"stringValue": address}}]);
            let alert = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]});
            let url = format!("http://{address}:4318/v1/logs");
            run(Command::new("curl").args([
                "-fsS",
                "--max-time",
                "10",
                "--json",
                &alert.to_string(),
                &url,
            ]));
            self.backend.wait_alert(&format!("the alert sent to {address}"), secs(30), |alert| {
                alert.body == *address
            });
        }
    }

    /// How many spans its pods have received, from their own metrics on the port that the
    /// Deployment opens for these.
    pub fn spans_received(&self) -> f64 {
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

/// Copies deploy/collector and replaces only the three addresses that users have to change.
fn copy_manifests(directory: &Path, backends: [&str; 3]) {
    let folder = directory.join("deploy/collector");
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    run(Command::new("cp").arg("-r").arg(repository().join("deploy/collector")).arg(&folder));
    let file = folder.join("kubernetes.yaml");
    let placeholders =
        ["http://tempo:4318", "http://loki:3100/otlp", "http://prometheus:9090/api/v1/write"];
    let manifests = placeholders.iter().zip(backends).fold(
        std::fs::read_to_string(&file).unwrap(),
        |manifests, (placeholder, backend)| {
            assert!(
                manifests.contains(&format!("\"{placeholder}\"")),
                "{placeholder} is not in {}",
                file.display()
            );
            manifests.replace(placeholder, backend)
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
    let warnings = deployment.pod_security_warnings(NAMESPACE, "restricted");
    assert!(
        !warnings.contains("violate"),
        "its namespace cannot enforce the strictest Pod Security level: {warnings}"
    );
}

/// The addresses to which kube-proxy would forward: each ready pod. Checks the ports' names too.
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

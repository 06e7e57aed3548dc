//! The gateway of deploy/collector in the real Collector. The configuration is unchanged; tests set
//! only its environment.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::bed::{free_tcp_port, repository};
use crate::process::{Process, run, text};
use crate::tools::{kube, otelcol};
use crate::wait::{secs, until};

/// Its ports, its environment and its configuration files.
pub struct Gateway {
    pub grpc: u16,
    pub http: u16,
    environment: BTreeMap<String, String>,
    files: Vec<&'static str>,
}

impl Gateway {
    /// A gateway on free ports, with three backends: two base addresses of OTLP/HTTP, and a
    /// remote-write address.
    pub fn planned(traces: &str, alerts: &str, metrics: &str) -> Self {
        let (grpc, http) = (free_tcp_port(), free_tcp_port());
        let this = Self { grpc, http, environment: BTreeMap::new(), files: vec!["config.yaml"] };
        let ports = [("GRPC_PORT", grpc), ("HTTP_PORT", http), ("METRICS_PORT", free_tcp_port())];
        let this =
            ports.into_iter().fold(this, |this, (name, port)| this.set(name, &port.to_string()));
        this.set("LISTEN", "127.0.0.1")
            .set("TRACES_ENDPOINT", traces)
            .set("ALERTS_ENDPOINT", alerts)
            .set("PROMETHEUS_REMOTE_WRITE", metrics)
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn with(mut self, file: &'static str) -> Self {
        self.files.push(file);
        self
    }

    pub fn start(&self, directory: &Path) -> Process {
        let process = Process::start(&mut self.command(&[]), &directory.join("gateway.log"));
        until("the gateway to listen", secs(60), || {
            std::net::TcpStream::connect(("127.0.0.1", self.grpc)).ok()
        });
        process
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(otelcol().unwrap());
        command.env_clear().envs(&self.environment).args(arguments);
        for file in &self.files {
            command.arg("--config").arg(repository().join("deploy/collector").join(file));
        }
        command
    }
}

#[test]
fn the_collector_accepts_the_configuration() {
    if otelcol().is_none() {
        return;
    }
    let planned = || {
        Gateway::planned(
            "http://traces.example:4318",
            "http://alerts.example:4318",
            "http://metrics.example/api/v1/write",
        )
    };
    run(&mut planned().command(&["validate"]));
    run(&mut planned()
        .set("ALERTS_HEADERS", r#"{authorization: "Bearer x"}"#)
        .command(&["validate"]));
    let tls = planned()
        .with("tls.yaml")
        .set("TLS_CERT_FILE", "/etc/tls/tls.crt")
        .set("TLS_KEY_FILE", "/etc/tls/tls.key");
    run(&mut tls.command(&["validate"]));
}

/// The manifests contain this same configuration, and set every variable that it requires.
#[test]
fn the_manifests_contain_the_configuration() {
    let Some(kube) = kube() else { return };
    let folder = repository().join("deploy/collector");
    let manifests =
        text(&run(Command::new(kube).args(["kubectl", "kustomize"]).arg(&folder)).stdout);
    let configuration = std::fs::read_to_string(folder.join("config.yaml")).unwrap();
    for line in configuration.lines() {
        assert!(manifests.contains(line), "not in the ConfigMap: {line}");
    }
    for variable in ["TRACES_ENDPOINT", "ALERTS_ENDPOINT", "PROMETHEUS_REMOTE_WRITE"] {
        assert!(manifests.contains(&format!("name: {variable}\n")), "{variable} is not set");
    }
}

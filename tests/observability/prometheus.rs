//! A real Prometheus that accepts remote writes, with the rules of deploy/prometheus.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::bed::{free_tcp_port, repository};
use crate::process::{Process, text};
use crate::tools::debian;
use crate::wait::{secs, until};

/// Ends with the test.
pub struct Prometheus {
    address: String,
    _process: Process,
}

/// The series that answer a query, or its error.
pub type Answer = Result<Vec<Value>, String>;

impl Prometheus {
    /// `scraped` are the ports of the agents that it scrapes.
    pub fn start(directory: &Path, scraped: &[u16]) -> Self {
        Self::start_at(directory, "127.0.0.1", scraped)
    }

    /// Listens on an address that pods can reach too.
    pub fn start_at(directory: &Path, address: &str, scraped: &[u16]) -> Self {
        let address = format!("{address}:{}", free_tcp_port());
        let configuration = directory.join("prometheus.yaml");
        std::fs::write(&configuration, configuration_for(scraped)).unwrap();
        let mut command = Command::new(debian("prometheus").unwrap());
        command
            .arg("--config.file")
            .arg(&configuration)
            .arg("--storage.tsdb.path")
            .arg(directory.join("prometheus"));
        command
            .arg(format!("--web.listen-address={address}"))
            .arg("--web.enable-remote-write-receiver");
        // A series ends 15 s after its last sample, not five minutes: a node that stops sending is
        // noticed in time.
        command.arg("--query.lookback-delta=15s");
        let this = Self {
            address,
            _process: Process::start(&mut command, &directory.join("prometheus.log")),
        };
        until("Prometheus to be ready", secs(60), || this.get("/-/ready", &[]).ok());
        this
    }

    pub fn remote_write(&self) -> String {
        format!("http://{}/api/v1/write", self.address)
    }

    /// The series that answer an instant query, or its error.
    pub fn query(&self, query: &str) -> Answer {
        self.api("/api/v1/query", &[("query", query)]).map(|data| list(&data["result"]))
    }

    /// The name and the node of each firing alert.
    pub fn firing(&self) -> Vec<(String, String)> {
        let alerts = self.api("/api/v1/alerts", &[]).unwrap_or_default();
        let named = |alert: &Value| {
            ["alertname", "k8s_node_name"]
                .map(|label| alert["labels"][label].as_str().unwrap_or_default().to_owned())
        };
        list(&alerts["alerts"])
            .iter()
            .filter(|alert| alert["state"] == "firing")
            .map(named)
            .map(|[name, node]| (name, node))
            .collect()
    }

    /// The values of a label on the series that match.
    pub fn label_values(&self, label: &str, series: &str) -> Vec<String> {
        let values = self
            .api(&format!("/api/v1/label/{label}/values"), &[("match[]", series)])
            .unwrap_or_default();
        list(&values).iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    }

    fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let answer: Value = serde_json::from_str(&self.get(path, parameters)?)
            .map_err(|error| error.to_string())?;
        if answer["status"] == "success" {
            Ok(answer["data"].clone())
        } else {
            Err(answer.to_string())
        }
    }

    fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<String, String> {
        let mut command = Command::new(debian("curl").unwrap());
        command
            .args(["--silent", "--show-error", "--max-time", "20", "--get"])
            .arg(format!("http://{}{path}", self.address));
        for (name, value) in parameters {
            command.arg("--data-urlencode").arg(format!("{name}={value}"));
        }
        let output = command.output().unwrap();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

/// Its configuration, with intervals of a second to keep the tests short; users have a minute.
fn configuration_for(scraped: &[u16]) -> String {
    let rules = repository().join("deploy/prometheus/tokenwatch.rules.yaml");
    let targets: Vec<String> = scraped.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    let labels = repository().join("deploy/prometheus/finding-labels.yaml");
    let labels = std::fs::read_to_string(labels).unwrap().replace('\n', "\n    ");
    format!(
        "global: {{evaluation_interval: 1s, scrape_interval: 1s}}\nrule_files: [{}]\n\
         scrape_configs:\n  - job_name: tokenwatch\n    \
         static_configs: [{{targets: [{}]}}]\n    {labels}\n",
        rules.display(),
        targets.join(", ")
    )
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

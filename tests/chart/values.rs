//! The values are documented, covered by the schema, and valid for the agent.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;
use tokenwatch::config::SETTINGS;

use crate::helm::{helm, kind, render, root, yaml};
use crate::{EVERYTHING, HOST_NETWORK};

/// Values with Kubernetes' own structure, which the schema does not describe in full.
const KUBERNETES_OWN: [&str; 5] =
    ["resources", "nodeSelector", "affinity", "seLinuxOptions", "updateStrategy"];

/// Not a value of this chart, but allowed: a parent chart switches its dependency with it.
const OF_UMBRELLAS: &str = "enabled";

/// The settings that the chart itself writes; `config` has the rest.
const SET_BY_THE_CHART: [&str; 33] = [
    "roots",
    "host_prefix",
    "node",
    "clock.servers",
    "copies.enabled",
    "readers.enabled",
    "readers.verifiers",
    "apiserver.journal",
    "apiserver.logs",
    "kubelet.journal",
    "kubelet.logs",
    "kubelet.metrics",
    "kubelet.metrics_address",
    "kubelet.metrics_ca",
    "kubelet.metrics_certificate",
    "kubernetes.enabled",
    "kubernetes.account_watch",
    "kubernetes.controller_lease",
    "kubernetes.events",
    "kubernetes.kubeconfig",
    "kubernetes.pod_events",
    "http.enabled",
    "http.address",
    "http.port",
    "state.dir",
    "log.level",
    "log.format",
    "otlp.endpoint",
    "otlp.protocol",
    "otlp.headers",
    "otlp.ca_file",
    "otlp.client_cert_file",
    "otlp.client_key_file",
];

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn schema() -> Value {
    serde_json::from_str(&read("deploy/chart/values.schema.json")).unwrap()
}

/// The paths of all values, as `http.port`.
fn values(of: &Value, at: &str, found: &mut BTreeSet<String>) {
    match of.as_object() {
        Some(section) if at.is_empty() || !section.is_empty() && !KUBERNETES_OWN.contains(&at) => {
            section.iter().for_each(|(name, value)| values(value, &joined(at, name), found));
        }
        _ => drop(found.insert(at.to_owned())),
    }
}

/// The same paths, from the schema. `config` has the agent's own settings, and is checked
/// separately.
fn properties(of: &Value, at: &str, found: &mut BTreeSet<String>) {
    let none = || {
        of["properties"].as_object().is_none()
            || ["config"].iter().chain(&KUBERNETES_OWN).any(|opaque| *opaque == at)
    };
    if !at.is_empty() && none() {
        found.insert(at.to_owned());
        return;
    }
    for (name, property) in of["properties"].as_object().unwrap() {
        properties(property, &joined(at, name), found);
    }
}

fn joined(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

fn defaults() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    values(&yaml(&read("deploy/chart/values.yaml")), "", &mut found);
    found
}

#[test]
fn every_value_is_in_the_schema_and_the_schema_has_no_others() {
    let mut known = BTreeSet::new();
    properties(&schema(), "", &mut known);
    assert!(known.remove(OF_UMBRELLAS));
    assert_eq!(defaults(), known);
}

#[test]
fn every_value_is_documented() {
    let page = read("docs/chart-values.md");
    for value in defaults() {
        assert!(
            page.contains(&format!("\n| `{value}` | ")),
            "{value} has no row in docs/chart-values.md"
        );
    }
}

/// `deploy/generate` refuses a value without a comment.
#[test]
fn a_value_without_a_comment_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.yaml");
    fs::write(&file, "# Explained.\nhere: 1\nthere: 2\n").unwrap();
    let output = Command::new("awk")
        .arg("-f")
        .arg(root().join("deploy/values.awk"))
        .arg(&file)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && errors.contains("there has no comment"), "{errors}");
}

/// A value that no test changes is not tested.
#[test]
fn every_value_is_changed_by_some_test() {
    let mut changed = BTreeSet::new();
    for file in [EVERYTHING, HOST_NETWORK] {
        values(&yaml(&read(file)), "", &mut changed);
    }
    // For Kubernetes' own values and for `config`, one changed member is enough.
    let covers = |value: &str| {
        changed.iter().any(|path| path == value || path.starts_with(&format!("{value}.")))
    };
    let untouched: Vec<String> = defaults().into_iter().filter(|value| !covers(value)).collect();
    assert!(untouched.is_empty(), "{untouched:?} are not in {EVERYTHING}");
}

/// Either the chart writes a setting or `config` has it: none is missing, and none can be set
/// twice.
#[test]
fn every_setting_of_the_agent_can_be_set() {
    let mut settable = BTreeSet::new();
    let config = &schema()["properties"]["config"];
    for (name, property) in config["properties"].as_object().unwrap() {
        properties(property, name, &mut settable);
    }
    let by_chart: BTreeSet<String> =
        SET_BY_THE_CHART.iter().map(|name| (*name).to_owned()).collect();
    assert!(settable.is_disjoint(&by_chart));
    let all: BTreeSet<String> = SETTINGS.iter().map(|setting| setting.name.to_owned()).collect();
    assert_eq!(settable.union(&by_chart).cloned().collect::<BTreeSet<_>>(), all);
}

/// Variables that kubelet sets in every container.
const IN_A_POD: [(&str, &str); 2] =
    [("KUBERNETES_SERVICE_HOST", "10.96.0.1"), ("KUBERNETES_SERVICE_PORT", "443")];

/// The agent itself reads the configuration that the chart writes.
#[test]
fn the_agent_accepts_the_configuration_of_the_chart() {
    let Some(helm) = helm() else { return };
    for arguments in [
        &[][..],
        &["--values", EVERYTHING],
        &["--values", HOST_NETWORK],
        &["--set", "http.enabled=false,state.enabled=false,kubernetes.enabled=false"],
        &[
            "--set",
            "privilege=hostPID,readers.verifiers={10.0.0.7,10.0.0.8:8200,[2001:db8::1]:443}",
        ],
        &["--set", "readers.enabled=false"],
    ] {
        let objects = render(helm, arguments).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokenwatch.yaml");
        fs::write(&file, kind(&objects, "ConfigMap")["data"]["tokenwatch.yaml"].as_str().unwrap())
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
        let output = command
            .args(["config", "--config"])
            .arg(&file)
            .env_clear()
            .envs(IN_A_POD)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {errors}");
    }
}

//! The kinds of the Prometheus operator, in an API server that has their definitions. The operator
//! itself does not run: these tests follow the selectors to the agents as it would.

use std::process::Command;

use serde_json::Value;

use crate::bed::repository;
use crate::deployment::{Deployment, NAMESPACE, built, list};
use crate::process::{run, text};
use crate::wait::{secs, until};

const GROUP: &str = "monitoring.coreos.com";
const ON: [&str; 4] = [
    "podMonitor.enabled=true",
    "serviceMonitor.enabled=true",
    "service.enabled=true",
    "prometheusRule.enabled=true",
];

/// Applies the operator's own definitions.
pub fn define_kinds(deployment: &Deployment) {
    deployment.shell(&format!("kubectl apply --server-side --filename {}", built("crds")));
    deployment.shell(
        "kubectl wait --for=condition=Established --timeout=60s customresourcedefinitions --all",
    );
    until("the API server to serve the operator's kinds", secs(30), || {
        let kinds =
            deployment.cluster.kubectl(&["api-resources", "--api-group", GROUP, "--output=name"]);
        (kinds.lines().count() == 3).then_some(())
    });
}

/// Switches monitoring on in an installed release, off, and on again, so that the uninstallation
/// has to remove it.
pub fn agents_are_monitored(deployment: &Deployment) {
    deployment.upgrade(&ON);
    assert_eq!(monitoring(deployment), ["podmonitor", "prometheusrule", "servicemonitor"]);
    the_pod_monitor_finds_the_agents(deployment);
    the_service_monitor_finds_the_agents(deployment);
    the_rules_are_whole(deployment);
    deployment.shell(&format!("helm rollback tokenwatch --namespace {NAMESPACE}"));
    assert!(monitoring(deployment).is_empty(), "{:?}", deployment.objects());
    deployment.upgrade(&ON);
}

/// The kinds of which the release has an object.
pub fn monitoring(deployment: &Deployment) -> Vec<String> {
    let objects = deployment.objects();
    let mut kinds: Vec<String> = objects
        .iter()
        .filter_map(|object| object.strip_suffix(&format!(".{GROUP}/tokenwatch")))
        .map(str::to_owned)
        .collect();
    kinds.sort();
    kinds
}

fn the_pod_monitor_finds_the_agents(deployment: &Deployment) {
    let monitor = deployment.get(&["podmonitor", "tokenwatch", "--namespace", NAMESPACE]);
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    let all = deployment.get(&["pods", "--namespace", NAMESPACE]);
    let found = selected(deployment, "pods", &monitor);
    assert!(
        !list(&found).is_empty() && names(&found) == names(&all["items"]),
        "{:?} of {:?}",
        names(&found),
        names(&all["items"])
    );
    for pod in list(&found) {
        let port = port(&pod["spec"]["containers"][0]["ports"], endpoint, "containerPort");
        scraped(&pod["status"]["podIP"], &port, endpoint);
    }
}

/// Prometheus scrapes the Service's endpoints.
fn the_service_monitor_finds_the_agents(deployment: &Deployment) {
    let monitor = deployment.get(&["servicemonitor", "tokenwatch", "--namespace", NAMESPACE]);
    let endpoint = &monitor["spec"]["endpoints"][0];
    let found = selected(deployment, "services", &monitor);
    assert_eq!(names(&found), ["tokenwatch"]);
    port(&found[0]["spec"]["ports"], endpoint, "port");
    let slices = [
        "endpointslices",
        "--namespace",
        NAMESPACE,
        "--selector",
        "kubernetes.io/service-name=tokenwatch",
    ];
    let slice = until("the Service to have an agent", secs(30), || {
        let slice = deployment.get(&slices)["items"][0].clone();
        slice["endpoints"][0]["addresses"][0].is_string().then_some(slice)
    });
    scraped(
        &slice["endpoints"][0]["addresses"][0],
        &port(&slice["ports"], endpoint, "port"),
        endpoint,
    );
}

/// The API server drops fields that are not in the definition, and refuses fields of another type.
/// A chart that is no release has no address of its runbooks.
fn the_rules_are_whole(deployment: &Deployment) {
    let there = deployment.get(&["prometheusrule", "tokenwatch", "--namespace", NAMESPACE]);
    let file =
        std::fs::read_to_string(repository().join("deploy/prometheus/tokenwatch.rules.yaml"))
            .unwrap();
    let file: String = file
        .lines()
        .filter(|line| !line.contains("runbook_url:"))
        .fold(String::new(), |file, line| file + line + "\n");
    let ours: Value = serde_saphyr::from_str(&file).unwrap();
    assert_eq!(there["spec"], ours);
}

/// What a monitor's labels select in its own namespace.
fn selected(deployment: &Deployment, kind: &str, monitor: &Value) -> Value {
    let labels = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap().iter();
    let selector: Vec<String> =
        labels.map(|(label, value)| format!("{label}={}", value.as_str().unwrap())).collect();
    assert!(!selector.is_empty(), "it would select everything: {monitor}");
    deployment.get(&[kind, "--namespace", NAMESPACE, "--selector", &selector.join(",")])["items"]
        .clone()
}

fn names(objects: &Value) -> Vec<&str> {
    list(objects).iter().filter_map(|object| object["metadata"]["name"].as_str()).collect()
}

/// The number of the port that a monitor's endpoint names.
fn port(ports: &Value, endpoint: &Value, number: &str) -> Value {
    let named = list(ports).iter().find(|port| port["name"] == endpoint["port"]);
    named.unwrap_or_else(|| panic!("no port is called {}: {ports}", endpoint["port"]))[number]
        .clone()
}

/// Scrapes an endpoint as Prometheus would.
fn scraped(address: &Value, port: &Value, endpoint: &Value) {
    let url = format!(
        "http://{}:{port}{}",
        address.as_str().unwrap(),
        endpoint["path"].as_str().unwrap()
    );
    let metrics = text(&run(Command::new("curl").args(["-fsS", "--max-time", "10", &url])).stdout);
    assert!(metrics.contains("tokenwatch_privilege"), "{url}: {metrics}");
}

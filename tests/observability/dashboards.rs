//! From agents through the gateway to the backends: the trace, the alert, the metric, Prometheus's
//! alert about it, and every query of the dashboards.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bed::{Collector, repository, workdir};
use crate::fleet::{ALL, CLOCK, Fleet, SILENT, TOKENS, WELL};
use crate::gateway::Gateway;
use crate::prometheus::Prometheus;
use crate::tools::all_there;
use crate::wait::{secs, until};

/// One backend for each signal, so that a test can see which backend received what.
struct Backends {
    traces: Collector,
    alerts: Collector,
    prometheus: Prometheus,
}

#[test]
fn all_telemetry_arrives_and_every_query_is_answered() {
    if !all_there() {
        return;
    }
    let directory = workdir("observability");
    let [traces, alerts] =
        ["traces", "alerts"].map(|name| Collector::planned(&directory.join(name)));
    let _running = [traces.start(), alerts.start()];
    let backends = Backends { traces, alerts, prometheus: Prometheus::start(&directory, &[]) };
    let base = |backend: &Collector| format!("http://127.0.0.1:{}", backend.http);
    let gateway = Gateway::planned(
        &base(&backends.traces),
        &base(&backends.alerts),
        &backends.prometheus.remote_write(),
    );
    let _gateway = gateway.start(&directory);
    let mut fleet = Fleet::start(&directory, &gateway);

    each_signal_arrives_at_its_backend(&backends, &fleet);
    prometheus_alerts_where_there_is_trouble(&backends.prometheus);
    fleet.silence();
    every_query_is_answered(&backends.prometheus);
    nodes_can_be_chosen(&backends.prometheus);
}

fn each_signal_arrives_at_its_backend(backends: &Backends, fleet: &Fleet) {
    let nodes = || backends.prometheus.label_values("k8s_node_name", "node:tokenwatch_tokens:max");
    until("metrics of every node", secs(60), || (nodes().len() == ALL.len()).then_some(()));
    for _ in 0..4 {
        fleet.rotate();
        std::thread::sleep(Duration::from_secs(3)); // so that Prometheus sees the count grow
    }
    let span = backends
        .traces
        .telemetry()
        .wait_span("the trace of a rotation", secs(60), |span| span.name == "token.refresh_wait");
    assert!(span.seconds() > 1.0, "{span:?}");
    let expired = |code: &str| code == "token.expired";
    let alert = backends
        .alerts
        .telemetry()
        .wait_alert("token.expired", secs(60), |alert| expired(&alert.code()));
    assert_eq!(alert.severity(), "critical");
    assert!(
        backends.traces.telemetry().alerts().is_empty()
            && backends.alerts.telemetry().spans().is_empty(),
        "a backend received the signal of another"
    );
}

/// With metrics from agents, not from `promtool`'s cases: names, labels and units are those on the
/// wire.
fn prometheus_alerts_where_there_is_trouble(prometheus: &Prometheus) {
    let wanted = [
        ("TokenwatchTokenExpired", TOKENS),
        ("TokenwatchRotationStalled", TOKENS),
        ("TokenwatchTokenNotYetValid", TOKENS),
        ("TokenwatchTokenMalformed", TOKENS),
        ("TokenwatchClockOffset", CLOCK),
    ];
    for (name, node) in wanted {
        until(&format!("{name} of {node}"), secs(90), || {
            prometheus.firing().contains(&(name.into(), node.into())).then_some(())
        });
    }
    let wrong: Vec<_> = prometheus
        .firing()
        .into_iter()
        .filter(|(_, node)| node == WELL || node == SILENT)
        .collect();
    assert!(wrong.is_empty(), "alerts about nodes without trouble: {wrong:?}");
}

fn every_query_is_answered(prometheus: &Prometheus) {
    let end = Instant::now() + secs(120);
    let mut open = queries();
    assert!(open.len() > 30, "{} queries", open.len());
    println!("[observability] {} queries of the dashboards", open.len());
    while !open.is_empty() {
        open.retain(|query| !is_answered(prometheus, query));
        assert!(Instant::now() < end, "no number in the answers to:\n{}", open.join("\n"));
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Every query of every panel, without the default value (`or vector(0)`), which would hide a
/// missing answer.
fn queries() -> Vec<String> {
    let panels = ["fleet", "node"].into_iter().flat_map(|name| {
        let text =
            std::fs::read_to_string(repository().join(format!("deploy/grafana/{name}.json")))
                .unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        dashboard["panels"].as_array().unwrap().clone()
    });
    let targets = panels.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    targets.map(|target| target["expr"].as_str().unwrap().replace(" or vector(0)", "")).collect()
}

/// Whether the answer has a number for some node. Panics if the query is an error.
fn is_answered(prometheus: &Prometheus, query: &str) -> bool {
    let answer = |node: &str| {
        let query = query.replace("$node", node);
        prometheus.query(&query).unwrap_or_else(|error| panic!("{query}: {error}"))
    };
    let is_number =
        |series: &Value| series["value"][1].as_str().is_some_and(|value| value != "NaN");
    ALL.iter().any(|node| answer(node).iter().any(is_number))
}

/// The list of nodes in the node dashboard.
fn nodes_can_be_chosen(prometheus: &Prometheus) {
    let dashboard = std::fs::read_to_string(repository().join("deploy/grafana/node.json")).unwrap();
    assert!(dashboard.contains("label_values(node:tokenwatch_sources_up:min, k8s_node_name)"));
    let mut nodes = prometheus.label_values("k8s_node_name", "node:tokenwatch_sources_up:min");
    nodes.sort();
    assert_eq!(nodes, [CLOCK, SILENT, TOKENS, WELL]);
}

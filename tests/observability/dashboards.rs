//! From agents through the gateway to the far ends: the trace, the alert, the metric, the alert
//! that Prometheus makes of it, and every query of the dashboards.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bed::{Collector, repository, workdir};
use crate::fleet::{ALL, CLOCK, Fleet, SILENT, TOKENS, WELL};
use crate::gateway::Gateway;
use crate::prometheus::Prometheus;
use crate::tools::all_there;
use crate::wait::{secs, until};

/// A trace is one of the ends, so that they can tell whose the others are.
struct Ends {
    traces: Collector,
    alerts: Collector,
    prometheus: Prometheus,
}

#[test]
fn what_agents_send_arrives_and_every_query_is_answered() {
    if !all_there() {
        return;
    }
    let directory = workdir("observability");
    let [traces, alerts] = ["traces", "alerts"].map(|end| Collector::planned(&directory.join(end)));
    let _running = [traces.start(), alerts.start()];
    let ends = Ends { traces, alerts, prometheus: Prometheus::start(&directory, &[]) };
    let base = |end: &Collector| format!("http://127.0.0.1:{}", end.http);
    let gateway =
        Gateway::planned(&base(&ends.traces), &base(&ends.alerts), &ends.prometheus.remote_write());
    let _gateway = gateway.start(&directory);
    let mut fleet = Fleet::start(&directory, &gateway);

    each_signal_arrives_at_its_end(&ends, &fleet);
    prometheus_alerts_where_there_is_trouble(&ends.prometheus);
    fleet.silence();
    every_query_is_answered(&ends.prometheus);
    nodes_can_be_chosen(&ends.prometheus);
}

fn each_signal_arrives_at_its_end(ends: &Ends, fleet: &Fleet) {
    let nodes = || ends.prometheus.label_values("k8s_node_name", "node:tokenwatch_tokens:max");
    until("metrics of every node", secs(60), || (nodes().len() == ALL.len()).then_some(()));
    for _ in 0..4 {
        fleet.rotate();
        std::thread::sleep(Duration::from_secs(3)); // so that Prometheus sees the count grow
    }
    let span = ends
        .traces
        .telemetry()
        .wait_span("the trace of a rotation", secs(60), |span| span.name == "token.refresh_wait");
    assert!(span.seconds() > 1.0, "{span:?}");
    let expired = |code: &str| code == "token.expired";
    let alert = ends
        .alerts
        .telemetry()
        .wait_alert("token.expired", secs(60), |alert| expired(&alert.code()));
    assert_eq!(alert.severity(), "critical");
    assert!(
        ends.traces.telemetry().alerts().is_empty() && ends.alerts.telemetry().spans().is_empty(),
        "an end has what is another's"
    );
}

/// With the word of the agents, not of `promtool`: the names, labels and units are those of the
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
    assert!(wrong.is_empty(), "these nodes have done nothing: {wrong:?}");
}

fn every_query_is_answered(prometheus: &Prometheus) {
    let end = Instant::now() + secs(120);
    let mut open = queries();
    assert!(open.len() > 30, "{} queries", open.len());
    println!("[observability] {} queries of the dashboards", open.len());
    while !open.is_empty() {
        open.retain(|query| !is_answered(prometheus, query));
        assert!(Instant::now() < end, "without a number for an answer:\n{}", open.join("\n"));
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Every query of every panel. What only stands in for an answer (`or vector(0)`) is taken off: the
/// answer itself is wanted.
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

/// On some node there is a number; an error is one at once.
fn is_answered(prometheus: &Prometheus, query: &str) -> bool {
    let ask = |node: &str| {
        let query = query.replace("$node", node);
        prometheus.query(&query).unwrap_or_else(|error| panic!("{query}: {error}"))
    };
    let is_number =
        |series: &Value| series["value"][1].as_str().is_some_and(|value| value != "NaN");
    ALL.iter().any(|node| ask(node).iter().any(is_number))
}

/// The list that the dashboard of one node offers.
fn nodes_can_be_chosen(prometheus: &Prometheus) {
    let dashboard = std::fs::read_to_string(repository().join("deploy/grafana/node.json")).unwrap();
    assert!(dashboard.contains("label_values(node:tokenwatch_sources_up:min, k8s_node_name)"));
    let mut nodes = prometheus.label_values("k8s_node_name", "node:tokenwatch_sources_up:min");
    nodes.sort();
    assert_eq!(nodes, [CLOCK, SILENT, TOKENS, WELL]);
}

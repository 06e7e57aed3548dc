//! `tokenwatch telemetry`: the schema of all exported telemetry, as Markdown or JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tokenwatch_core::base::schema::{
    ATTRIBUTES, EVENTS, Entry, METRIC_ATTRIBUTES, METRICS, Metric, SCHEMA_URL, SPANS,
};

use super::output::{MarkdownOrJson, print, print_json};

/// Prints the schema; the exit status.
pub(super) fn report(output: MarkdownOrJson) -> u8 {
    match output {
        MarkdownOrJson::Markdown => print(&markdown(), 0),
        MarkdownOrJson::Json => print_json(&schema(), 0),
    }
}

/// For scripts. Keys are only ever added.
fn schema() -> Value {
    let names = |entries: &[Entry]| -> Vec<Value> {
        entries.iter().map(|it| json!({"name": it.name, "meaning": it.meaning.trim()})).collect()
    };
    json!({
        "schema_url": SCHEMA_URL,
        "spans": names(SPANS),
        "events": names(EVENTS),
        "attributes": names(ATTRIBUTES),
        "metric_attributes": names(METRIC_ATTRIBUTES),
        "metrics": METRICS.iter().map(metric_json).collect::<Vec<_>>(),
    })
}

fn metric_json(metric: &Metric) -> Value {
    json!({
        "name": metric.name,
        "instrument": metric.instrument,
        "unit": metric.unit,
        "attributes": attribute_names(metric).collect::<Vec<_>>(),
        "meaning": metric.meaning.trim(),
    })
}

fn attribute_names(metric: &Metric) -> impl Iterator<Item = &'static str> {
    metric.attributes.split(", ").filter(|name| !name.is_empty())
}

fn markdown() -> String {
    let mut out = String::from(
        "# Telemetry\n\nAll telemetry that the agent sends over OTLP. Durations are in seconds, \
         sizes in bytes, and units in UCUM.\n",
    );
    names(&mut out, "Spans", SPANS);
    names(&mut out, "Log events", EVENTS);
    out.push_str(TIMES);
    names(&mut out, "Attributes", ATTRIBUTES);
    out.push_str(RESOURCE);
    metrics(&mut out);
    names(&mut out, "Attributes of metrics", METRIC_ATTRIBUTES);
    out.push_str(OLD_NAMES);
    out
}

fn names(out: &mut String, title: &str, entries: &[Entry]) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "\n## {title}\n\n| name | meaning |\n|---|---|");
    for entry in entries {
        let _ = writeln!(out, "| `{}` | {} |", entry.name, cell(entry.meaning));
    }
}

/// Lines end where those of a page of Markdown do.
const TIMES: &str = "
The time of a log record (`Timestamp`) is the node's own, like every time in its attributes. The
observed time (`ObservedTimestamp`) is when the agent queued the record. While the node's clock is
known to be off by more than `clock.offset_limit`, the observed time is true time: the node's time
plus the measured offset. Backends refuse records from the future, and some sort by the observed
time. Times of spans are always the node's own.
";

const RESOURCE: &str = "
## Resource

Each signal has the resource of the agent that sends it: `service.name`, `service.version`,
`service.instance.id`, `k8s.node.name`, and `host.name`, which is the name of the node, too. In a
cluster it also has the agent's own `k8s.namespace.name`, `k8s.pod.name`, `k8s.pod.uid` and
`k8s.container.name`, as far as the variables `POD_NAMESPACE`, `POD_NAME`, `POD_UID` and
`CONTAINER_NAME` are set; the chart sets them. `OTEL_RESOURCE_ATTRIBUTES` overrides each.

The same names on a span, a log record or a point of a metric are those of the watched pod. So a
collector must not copy attributes of the resource over them: `resource_to_telemetry_conversion` of
the collector's Prometheus exporters would, and every finding would then seem to be the agent's.
A record without them, such as a finding about the node's clock, is about no pod.
";

const OLD_NAMES: &str = "
For one release, each has its old name beside it, without `tokenwatch.`: `outcome`, `signal`,
`source` and `reason`. The next release drops the old names.
";

const METRICS_HEAD: &str = "\n## Metrics\n\n| name | instrument | unit | attributes | meaning \
                            |\n|---|---|---|---|---|\n";

fn metrics(out: &mut String) {
    out.push_str(METRICS_HEAD);
    for metric in METRICS {
        let Metric { name, instrument, unit, .. } = metric;
        let _ = writeln!(
            out,
            "| `{name}` | {instrument} | `{unit}` | {} | {} |",
            attributes(metric),
            cell(metric.meaning)
        );
    }
}

fn attributes(metric: &Metric) -> String {
    attribute_names(metric).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Escapes bars, which would end the cell.
fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|")
}

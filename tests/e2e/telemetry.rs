//! What the real collector wrote: OTLP JSON, one line per batch.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::wait::until;

/// The collector's files, one for each time it was started.
pub struct Telemetry {
    directory: PathBuf,
}

/// A span, flattened with its resource.
#[derive(Clone, Debug)]
pub struct Span {
    pub name: String,
    pub trace_id: String,
    pub id: String,
    pub parent: String,
    pub start: i128,
    pub end: i128,
    pub links: Vec<String>,
    pub resource: Value,
    attributes: Value,
}

/// A log record.
#[derive(Clone, Debug)]
pub struct Alert {
    pub event: String,
    pub body: String,
    pub at: i128,
    pub trace_id: String,
    attributes: Value,
}

impl Telemetry {
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Every complete line. The collector may still be writing the last one.
    fn batches(&self) -> Vec<Value> {
        let files = (0..)
            .map(|start| self.directory.join(format!("collector-{start}")))
            .take_while(|directory| directory.exists());
        let texts = files.map(|directory| {
            std::fs::read_to_string(directory.join("telemetry.json")).unwrap_or_default()
        });
        texts
            .flat_map(|text| {
                text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<_>>()
            })
            .collect()
    }

    pub fn spans(&self) -> Vec<Span> {
        let scopes = |batch: Value| nested(&batch, "resourceSpans", "scopeSpans", "spans");
        self.batches()
            .into_iter()
            .flat_map(scopes)
            .map(|(resource, span)| Span::of(resource, &span))
            .collect()
    }

    pub fn alerts(&self) -> Vec<Alert> {
        let scopes = |batch: Value| nested(&batch, "resourceLogs", "scopeLogs", "logRecords");
        self.batches().into_iter().flat_map(scopes).map(|(_, record)| Alert::of(&record)).collect()
    }

    pub fn metric_names(&self) -> Vec<String> {
        let scopes = |batch: Value| nested(&batch, "resourceMetrics", "scopeMetrics", "metrics");
        self.batches()
            .into_iter()
            .flat_map(scopes)
            .map(|(_, metric)| text(&metric["name"]))
            .collect()
    }

    /// Waits for an alert that fits, and returns it.
    pub fn wait_alert(&self, what: &str, within: Duration, fits: impl Fn(&Alert) -> bool) -> Alert {
        until(what, within, || self.alerts().into_iter().find(|alert| fits(alert)))
    }

    /// Waits for a span that fits, and returns it.
    pub fn wait_span(&self, what: &str, within: Duration, fits: impl Fn(&Span) -> bool) -> Span {
        until(what, within, || self.spans().into_iter().find(|span| fits(span)))
    }
}

impl Span {
    fn of(resource: Value, span: &Value) -> Self {
        Self {
            name: text(&span["name"]),
            trace_id: text(&span["traceId"]),
            id: text(&span["spanId"]),
            parent: text(&span["parentSpanId"]),
            start: nanos(&span["startTimeUnixNano"]),
            end: nanos(&span["endTimeUnixNano"]),
            links: span["links"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|link| text(&link["traceId"]))
                .collect(),
            attributes: span["attributes"].clone(),
            resource,
        }
    }

    pub fn attribute(&self, name: &str) -> String {
        attribute(&self.attributes, name)
    }

    pub fn seconds(&self) -> f64 {
        (self.end - self.start) as f64 / 1e9
    }
}

impl Alert {
    fn of(record: &Value) -> Self {
        let named = text(&record["eventName"]);
        Self {
            event: if named.is_empty() {
                attribute(&record["attributes"], "event.name")
            } else {
                named
            },
            body: text(&record["body"]["stringValue"]),
            at: nanos(&record["timeUnixNano"]),
            trace_id: text(&record["traceId"]),
            attributes: record["attributes"].clone(),
        }
    }

    pub fn attribute(&self, name: &str) -> String {
        attribute(&self.attributes, name)
    }

    pub fn code(&self) -> String {
        self.attribute("tokenwatch.finding.code")
    }

    pub fn severity(&self) -> String {
        self.attribute("tokenwatch.finding.severity")
    }

    pub fn is(&self, what: &str, code: &str) -> bool {
        self.event == format!("tokenwatch.finding.{what}") && self.code() == code
    }

    /// Whether it reports that the finding has this code now: it was raised with it, or it got
    /// worse.
    pub fn reports(&self, code: &str) -> bool {
        self.is("raised", code) || self.is("reminded", code)
    }
}

/// `resourceX[].scopeX[].x[]`, each with its resource's attributes.
fn nested(batch: &Value, resources: &str, scopes: &str, items: &str) -> Vec<(Value, Value)> {
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let resources = list(batch, resources).into_iter();
    resources
        .flat_map(|resource| {
            let attributes = resource["resource"]["attributes"].clone();
            let found =
                list(&resource, scopes).into_iter().flat_map(move |scope| list(&scope, items));
            found.map(move |item| (attributes.clone(), item)).collect::<Vec<_>>()
        })
        .collect()
}

/// The value of one attribute as text, whatever its type.
pub fn attribute(attributes: &Value, name: &str) -> String {
    let found = attributes.as_array().into_iter().flatten().find(|pair| pair["key"] == name);
    found
        .and_then(|pair| pair["value"].as_object()?.values().next().cloned())
        .map(|value| text(&value))
        .unwrap_or_default()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn nanos(value: &Value) -> i128 {
    text(value).parse().unwrap_or(0)
}

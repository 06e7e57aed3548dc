//! OTLP messages as plain values.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::{Span, Status, span::Link, status::StatusCode};
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::base::value::{Attributes, Value};

/// One thing that arrived.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// A finished span.
    Span(Box<SpanSeen>),
    /// A log record: an alert.
    Log(Box<LogSeen>),
    /// A batch of metrics.
    Metrics(MetricsSeen),
}

/// A span as it arrived.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanSeen {
    /// Its trace.
    pub trace_id: Vec<u8>,
    /// Its own id.
    pub span_id: Vec<u8>,
    /// Its parent; none for the root of a trace.
    pub parent: Option<Vec<u8>>,
    /// Its name.
    pub name: String,
    /// Start.
    pub start: Wall,
    /// End.
    pub end: Wall,
    /// Its status message, if its status is an error.
    pub error: Option<String>,
    /// Its attributes.
    pub attributes: Attributes,
    /// Attributes of the resource that sent it.
    pub resource: Attributes,
    /// The traces that it links to, with each link's attributes.
    pub links: Vec<(Vec<u8>, Attributes)>,
}

impl SpanSeen {
    /// How long it took.
    pub fn duration(&self) -> Delta {
        self.end - self.start
    }
}

/// A log record as it arrived.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogSeen {
    /// `event.name`.
    pub event: String,
    /// When it happened.
    pub at: Wall,
    /// OpenTelemetry's severity number.
    pub severity: i32,
    /// The body.
    pub body: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// Attributes of the resource that sent it.
    pub resource: Attributes,
    /// The trace that it refers to.
    pub trace_id: Vec<u8>,
}

/// The content of a batch of metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsSeen {
    /// Names of the metrics, each once.
    pub names: Vec<String>,
}

/// `name` among `attributes`, if it is text.
pub fn text<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    match attributes.get(name)? {
        Value::Text(text) => Some(text),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) => None,
    }
}

/// `name` among `attributes`, if it is a number.
pub fn number(attributes: &Attributes, name: &str) -> Option<f64> {
    match attributes.get(name)? {
        Value::Float(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        Value::Bool(_) | Value::Text(_) | Value::List(_) => None,
    }
}

/// The spans of a request.
pub(crate) fn spans(request: ExportTraceServiceRequest) -> impl Iterator<Item = SpanSeen> {
    request.resource_spans.into_iter().flat_map(|group| {
        let resource =
            attributes(group.resource.map(|resource| resource.attributes).unwrap_or_default());
        group
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans)
            .map(move |sent| span(sent, &resource))
    })
}

fn span(sent: Span, resource: &Attributes) -> SpanSeen {
    SpanSeen {
        trace_id: sent.trace_id,
        span_id: sent.span_id,
        parent: Some(sent.parent_span_id).filter(|parent| !parent.is_empty()),
        name: sent.name,
        start: wall(sent.start_time_unix_nano),
        end: wall(sent.end_time_unix_nano),
        error: sent.status.and_then(error),
        attributes: attributes(sent.attributes),
        resource: resource.clone(),
        links: sent.links.into_iter().map(link).collect(),
    }
}

/// The text of a status that is an error.
fn error(status: Status) -> Option<String> {
    (status.code == StatusCode::Error as i32).then_some(status.message)
}

fn link(link: Link) -> (Vec<u8>, Attributes) {
    (link.trace_id, attributes(link.attributes))
}

/// The log records of a request.
pub(crate) fn logs(request: ExportLogsServiceRequest) -> impl Iterator<Item = LogSeen> {
    request.resource_logs.into_iter().flat_map(|group| {
        let resource =
            attributes(group.resource.map(|resource| resource.attributes).unwrap_or_default());
        group
            .scope_logs
            .into_iter()
            .flat_map(|scope| scope.log_records)
            .map(move |sent| log(sent, &resource))
    })
}

fn log(sent: LogRecord, resource: &Attributes) -> LogSeen {
    LogSeen {
        event: sent.event_name,
        at: wall(sent.time_unix_nano),
        severity: sent.severity_number,
        body: sent.body.and_then(only_text).unwrap_or_default(),
        attributes: attributes(sent.attributes),
        resource: resource.clone(),
        trace_id: sent.trace_id,
    }
}

/// The content of a request with metrics.
pub(crate) fn metrics(request: &ExportMetricsServiceRequest) -> MetricsSeen {
    let scopes = request.resource_metrics.iter().flat_map(|group| &group.scope_metrics);
    MetricsSeen {
        names: scopes.flat_map(|scope| &scope.metrics).map(|metric| metric.name.clone()).collect(),
    }
}

fn wall(nanos: u64) -> Wall {
    Wall::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

fn attributes(sent: Vec<KeyValue>) -> Attributes {
    Attributes(
        sent.into_iter().filter_map(|pair| Some((pair.key.into(), value(pair.value?)?))).collect(),
    )
}

/// Nothing for what tokenwatch does not send: maps, bytes, indices into a table of strings, and
/// list items that are not text.
fn value(sent: AnyValue) -> Option<Value> {
    match sent.value? {
        any_value::Value::StringValue(text) => Some(text.into()),
        any_value::Value::BoolValue(value) => Some(value.into()),
        any_value::Value::IntValue(number) => Some(number.into()),
        any_value::Value::DoubleValue(number) => Some(number.into()),
        any_value::Value::ArrayValue(list) => {
            Some(Value::List(list.values.into_iter().filter_map(only_text).collect()))
        }
        _ => None,
    }
}

fn only_text(sent: AnyValue) -> Option<String> {
    match value(sent)? {
        Value::Text(text) => Some(text),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) => None,
    }
}

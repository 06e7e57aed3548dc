//! Core values as OpenTelemetry's: alerts as log records (protobuf), spans as the SDK's span data.

use std::time::{Duration, SystemTime};

use opentelemetry::trace as api;
use opentelemetry::{Array, InstrumentationScope, Key, KeyValue, StringValue};
use opentelemetry_proto::tonic::common::v1 as proto;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tokenwatch_core::base::ids::TraceContext;
use tokenwatch_core::base::schema;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::base::value::{Attributes, Value};
use tokenwatch_core::findings::{Finding, Severity, Subject};
use tokenwatch_core::ledger::{Alert, AlertEvent};
use tokenwatch_core::traces::{Span, SpanEvent, SpanKind, SpanLink};
use tokenwatch_core::world::cluster::PodRef;

/// The instrumentation scope of everything.
pub(super) const SCOPE: &str = "tokenwatch";

/// W3C trace flags: sampled. Everything the agent says is recorded.
const SAMPLED: u32 = 1;

/// An alert as a log record.
pub(super) fn log_record(alert: &Alert, observed: Wall) -> LogRecord {
    let severity = severity(alert);
    let trace = alert.finding.trace;
    LogRecord {
        time_unix_nano: unix_nanos(alert.at),
        observed_time_unix_nano: unix_nanos(observed),
        severity_number: severity as i32,
        severity_text: severity_text(severity).to_owned(),
        body: Some(any(&Value::from(alert.finding.summary.as_str()))),
        attributes: alert_attributes(alert)
            .iter()
            .map(|(name, value)| key_value(name, value))
            .collect(),
        dropped_attributes_count: 0,
        flags: if trace.is_some() { SAMPLED } else { 0 },
        trace_id: trace.map(|trace| trace.trace_id.0.to_vec()).unwrap_or_default(),
        span_id: trace.map(|trace| trace.span_id.0.to_vec()).unwrap_or_default(),
        event_name: alert.event.name().to_owned(),
    }
}

fn severity(alert: &Alert) -> SeverityNumber {
    match (alert.event, alert.finding.severity) {
        (AlertEvent::Cleared, _) | (_, Severity::Info) => SeverityNumber::Info,
        (_, Severity::Warning) => SeverityNumber::Warn,
        (_, Severity::Critical) => SeverityNumber::Error,
    }
}

fn severity_text(severity: SeverityNumber) -> &'static str {
    match severity {
        SeverityNumber::Error => "ERROR",
        SeverityNumber::Warn => "WARN",
        _ => "INFO",
    }
}

fn alert_attributes(alert: &Alert) -> Attributes {
    let finding = &alert.finding;
    let remedy = (alert.event != AlertEvent::Cleared).then_some(&finding.remedy); // there is nothing left to do
    let mut attributes = Attributes::new()
        .with(schema::FINDING_ID, alert.id.0.as_str())
        .with(schema::FINDING_CODE, finding.code.as_str())
        .with(schema::FINDING_SEVERITY, finding.severity.name())
        .with(schema::FINDING_RAISED_AT, alert.raised_at)
        .with_some(schema::FINDING_DEADLINE, finding.deadline)
        .with_some(schema::FINDING_REMEDY, remedy.map(|remedy| remedy.text.as_str()))
        .with_some(schema::FINDING_COMMAND, remedy.and_then(|remedy| remedy.command.as_ref()));
    attributes.0.extend(subject(&finding.subject).0);
    attributes.0.extend(evidence(finding));
    attributes
}

fn subject(subject: &Subject) -> Attributes {
    match subject {
        Subject::Token { pod, volume, path } => {
            self::pod(pod).with(schema::K8S_VOLUME, volume).with(schema::TOKEN_PATH, path)
        }
        Subject::Node { node } => Attributes::new().with(schema::K8S_NODE_NAME, node),
        Subject::Server { server } => Attributes::new().with(schema::SERVER_ADDRESS, server),
    }
}

fn pod(pod: &PodRef) -> Attributes {
    Attributes::new()
        .with_some(schema::K8S_NAMESPACE, pod.namespace.as_ref())
        .with_some(schema::K8S_POD_NAME, pod.name.as_ref())
        .with(schema::K8S_POD_UID, &pod.uid)
        .with_owner(pod.owner.as_ref())
}

fn evidence(finding: &Finding) -> impl Iterator<Item = (std::borrow::Cow<'static, str>, Value)> {
    finding
        .evidence
        .iter()
        .map(|(name, value)| (format!("{}.{name}", schema::FINDING_EVIDENCE).into(), value.clone()))
}

/// A time before the epoch is no time here.
fn unix_nanos(wall: Wall) -> u64 {
    u64::try_from(wall.as_nanos()).unwrap_or(0)
}

/// A name and its value as protobuf.
pub(super) fn key_value(name: &str, value: &Value) -> proto::KeyValue {
    proto::KeyValue { key: name.to_owned(), value: Some(any(value)), ..proto::KeyValue::default() }
}

fn any(value: &Value) -> proto::AnyValue {
    let value = match value {
        Value::Bool(value) => any_value::Value::BoolValue(*value),
        Value::Int(value) => any_value::Value::IntValue(*value),
        Value::Float(value) => any_value::Value::DoubleValue(*value),
        Value::Text(value) => any_value::Value::StringValue(value.clone()),
        Value::List(values) => any_value::Value::ArrayValue(proto::ArrayValue {
            values: values.iter().map(|text| any(&Value::Text(text.clone()))).collect(),
        }),
    };
    proto::AnyValue { value: Some(value) }
}

/// A finished span as the SDK's exporters take it.
pub(super) fn span_data(span: &Span) -> SpanData {
    let context = TraceContext { trace_id: span.trace_id, span_id: span.span_id };
    SpanData {
        span_context: span_context(context),
        parent_span_id: span
            .parent
            .map_or(api::SpanId::INVALID, |parent| api::SpanId::from_bytes(parent.0)),
        parent_span_is_remote: false,
        span_kind: kind(span.kind),
        name: span.name.into(),
        start_time: system_time(span.start),
        end_time: system_time(span.end.max(span.start)),
        attributes: sdk_attributes(&span.attributes),
        dropped_attributes_count: 0,
        events: events(&span.events),
        links: links(&span.links),
        status: status(span.error.as_deref()),
        instrumentation_scope: scope(),
    }
}

/// Name and version of what made this.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(SCOPE)
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(schema::SCHEMA_URL)
        .build()
}

fn span_context(context: TraceContext) -> api::SpanContext {
    let trace_id = api::TraceId::from_bytes(context.trace_id.0);
    api::SpanContext::new(
        trace_id,
        api::SpanId::from_bytes(context.span_id.0),
        api::TraceFlags::SAMPLED,
        false,
        api::TraceState::NONE,
    )
}

fn kind(kind: SpanKind) -> api::SpanKind {
    match kind {
        SpanKind::Internal => api::SpanKind::Internal,
        SpanKind::Client => api::SpanKind::Client,
    }
}

fn status(error: Option<&str>) -> api::Status {
    error.map_or(api::Status::Unset, |text| {
        api::Status::error(tokenwatch_core::base::text::shown(text).into_owned())
    })
}

fn events(events: &[SpanEvent]) -> SpanEvents {
    let mut out = SpanEvents::default();
    out.events = events
        .iter()
        .map(|event| {
            api::Event::new(event.name, system_time(event.at), sdk_attributes(&event.attributes), 0)
        })
        .collect();
    out
}

fn links(links: &[SpanLink]) -> SpanLinks {
    let mut out = SpanLinks::default();
    out.links = links
        .iter()
        .map(|link| api::Link::new(span_context(link.to), sdk_attributes(&link.attributes), 0))
        .collect();
    out
}

fn sdk_attributes(attributes: &Attributes) -> Vec<KeyValue> {
    attributes
        .0
        .iter()
        .map(|(name, value)| KeyValue::new(Key::new(name.clone()), sdk_value(value)))
        .collect()
}

fn sdk_value(value: &Value) -> opentelemetry::Value {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Text(value) => value.clone().into(),
        Value::List(values) => opentelemetry::Value::Array(Array::String(
            values.iter().cloned().map(StringValue::from).collect(),
        )),
    }
}

fn system_time(wall: Wall) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_nanos(wall))
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;

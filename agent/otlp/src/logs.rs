//! Alerts as OTLP log records.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use prost::Message as _;
use tokenwatch_core::base::schema;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::base::value::{Attributes, Value};
use tokenwatch_core::findings::{CauseId, Finding, Severity, Subject};
use tokenwatch_core::ledger::{Alert, AlertEvent};

use crate::value::{SAMPLED, any_value, attributes, unix_nanos};

/// The alert's protobuf, ready for an [`Envelope`](crate::Envelope).
pub fn encode(alert: &Alert, observed: Wall) -> Vec<u8> {
    record(alert, observed).encode_to_vec()
}

/// The alert as a message. `observed` is when the agent queued it; by true time, where the node's
/// clock is known to be off: many backends refuse records from the future.
pub fn record(alert: &Alert, observed: Wall) -> LogRecord {
    let severity = severity(alert);
    let trace = alert.finding.trace;
    LogRecord {
        time_unix_nano: unix_nanos(alert.at),
        observed_time_unix_nano: unix_nanos(observed),
        severity_number: severity.number as i32,
        severity_text: severity.text.to_owned(),
        body: Some(any_value(&Value::sentence(&alert.finding.summary))),
        attributes: attributes(&alert_attributes(alert)),
        dropped_attributes_count: 0,
        flags: if trace.is_some() { SAMPLED } else { 0 },
        trace_id: trace.map(|trace| trace.trace_id.0.to_vec()).unwrap_or_default(),
        span_id: trace.map(|trace| trace.span_id.0.to_vec()).unwrap_or_default(),
        event_name: alert.event.name().to_owned(),
    }
}

/// The sentence of an encoded alert; nothing if these bytes are no log record with a text.
pub fn sentence(record: &[u8]) -> Option<String> {
    match LogRecord::decode(record).ok()?.body?.value? {
        any_value::Value::StringValue(text) => Some(text),
        any_value::Value::BoolValue(_)
        | any_value::Value::IntValue(_)
        | any_value::Value::DoubleValue(_)
        | any_value::Value::ArrayValue(_)
        | any_value::Value::KvlistValue(_)
        | any_value::Value::BytesValue(_)
        | any_value::Value::StringValueStrindex(_) => None,
    }
}

/// OTLP's number and the text beside it.
struct LogSeverity {
    number: SeverityNumber,
    text: &'static str,
}

/// That of the finding; INFO once it is resolved.
fn severity(alert: &Alert) -> LogSeverity {
    let (number, text) = match (alert.event, alert.finding.severity) {
        (AlertEvent::Cleared, _) | (_, Severity::Info) => (SeverityNumber::Info, "INFO"),
        (_, Severity::Warning) => (SeverityNumber::Warn, "WARN"),
        (_, Severity::Critical) => (SeverityNumber::Error, "ERROR"),
    };
    LogSeverity { number, text }
}

/// A resolved finding carries no remedy: nothing is left to do.
fn alert_attributes(alert: &Alert) -> Attributes {
    let finding = &alert.finding;
    let remedy = (alert.event != AlertEvent::Cleared).then_some(&finding.remedy);
    let command = remedy.and_then(|remedy| remedy.command.as_ref());
    let mut attributes = Attributes::new()
        .with(schema::FINDING_ID, alert.id.0.as_str())
        .with(schema::FINDING_CODE, finding.code.as_str())
        .with(schema::FINDING_SEVERITY, finding.severity.name())
        .with(schema::FINDING_RAISED_AT, alert.raised_at)
        .with_some(schema::CAUSE_ID, finding.cause().as_ref().map(CauseId::as_str))
        .with_some(schema::FINDING_DEADLINE, finding.deadline)
        .with_some(schema::FINDING_REMEDY, remedy.map(|remedy| Value::sentence(&remedy.text)))
        .with_some(schema::FINDING_COMMAND, command.map(|command| Value::sentence(command)));
    attributes.0.extend(subject(&finding.subject).0.into_iter().chain(evidence(finding)));
    attributes
}

fn subject(subject: &Subject) -> Attributes {
    match subject {
        Subject::Token { pod, volume, path } => {
            pod.attributes().with(schema::K8S_VOLUME, volume).with(schema::TOKEN_PATH, path)
        }
        Subject::Node { node } => Attributes::new().with(schema::K8S_NODE_NAME, node),
        Subject::Server { server } => Attributes::new().with(schema::SERVER_ADDRESS, server),
        Subject::File { node, path } => {
            Attributes::new().with(schema::K8S_NODE_NAME, node).with(schema::FILE_PATH, path)
        }
    }
}

fn evidence(finding: &Finding) -> impl Iterator<Item = (Cow<'static, str>, Value)> {
    let named = |name: &str| format!("{}.{name}", schema::FINDING_EVIDENCE);
    finding.evidence.iter().map(move |(name, value)| (named(name).into(), value.clone()))
}

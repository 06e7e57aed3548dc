//! The request written by hand, read by the generated types.

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message as _;
use tokenwatch_core::base::schema::{SCHEMA_URL, SPAN_FRESH};
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::base::value::Value;
use tokenwatch_core::findings::Severity;
use tokenwatch_core::ledger::AlertEvent;

use super::sample::{alert, span};
use crate::value::key_value;
use crate::{Envelope, NotOtlp, PartialSuccess, Resource, logs, spans};

fn resource() -> Resource {
    let mut resource = Resource::default();
    resource.set("service.name", "tokenwatch".into());
    resource.set("host.name", "node\n1".into());
    resource.set("service.name", "agent".into());
    resource
}

/// As it is, whatever it holds.
fn resource_message() -> ProtoResource {
    let pairs = [("service.name", "agent"), ("host.name", "node\n1")];
    let attributes =
        pairs.iter().map(|(name, value)| key_value(name, &Value::Text((*value).into())));
    ProtoResource { attributes: attributes.collect(), ..ProtoResource::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "tokenwatch".into(),
        version: "1.2.3".into(),
        ..InstrumentationScope::default()
    }
}

fn sealed(records: &[Vec<u8>]) -> Vec<u8> {
    let request = Envelope::new(&resource(), "1.2.3").request(records.iter().map(Vec::as_slice));
    assert_eq!(request.capacity(), request.len(), "one buffer of the right size");
    request
}

/// Lengths of one, two and three bytes.
const COUNTS: [usize; 4] = [0, 1, 40, 512];

#[test]
fn a_request_for_logs_is_the_message_of_the_protocol() {
    let at = Wall::from_secs(1_700_000_001);
    let alert = alert("a", AlertEvent::Raised, Severity::Critical);
    for count in COUNTS {
        let scope_logs = ScopeLogs {
            scope: Some(scope()),
            log_records: vec![logs::record(&alert, at); count],
            schema_url: SCHEMA_URL.into(),
        };
        let expected = ResourceLogs {
            resource: Some(resource_message()),
            scope_logs: vec![scope_logs],
            schema_url: SCHEMA_URL.into(),
        };
        let expected = ExportLogsServiceRequest { resource_logs: vec![expected] };
        assert_eq!(sealed(&vec![logs::encode(&alert, at); count]), expected.encode_to_vec());
    }
}

#[test]
fn a_request_for_spans_is_the_message_of_the_protocol() {
    let span = span(SPAN_FRESH);
    for count in COUNTS {
        let scope_spans = ScopeSpans {
            scope: Some(scope()),
            spans: vec![spans::record(&span); count],
            schema_url: SCHEMA_URL.into(),
        };
        let expected = ResourceSpans {
            resource: Some(resource_message()),
            scope_spans: vec![scope_spans],
            schema_url: SCHEMA_URL.into(),
        };
        let expected = ExportTraceServiceRequest { resource_spans: vec![expected] };
        assert_eq!(sealed(&vec![spans::encode(&span); count]), expected.encode_to_vec());
    }
}

#[test]
fn partial_success_is_read_from_the_answers_of_both_services() {
    let logs = ExportLogsServiceResponse {
        partial_success: Some(ExportLogsPartialSuccess {
            rejected_log_records: 3,
            error_message: "too old".into(),
        }),
    };
    let traces = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: "too old".into(),
        }),
    };
    let expected = Ok(PartialSuccess { rejected: 3, message: "too old".into() });
    assert_eq!(PartialSuccess::decode(&logs.encode_to_vec()), expected);
    assert_eq!(PartialSuccess::decode(&traces.encode_to_vec()), expected);
}

#[test]
fn an_empty_answer_is_success_and_html_is_none() {
    assert_eq!(PartialSuccess::decode(b""), Ok(PartialSuccess::default()));
    assert_eq!(PartialSuccess::decode(b"<html>hi</html>"), Err(NotOtlp));
}

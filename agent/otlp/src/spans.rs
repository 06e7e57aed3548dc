//! Finished spans as OTLP spans.

use opentelemetry_proto::tonic::trace::v1 as proto;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use tokenwatch_core::base::text::shown;
use tokenwatch_core::traces::{Span, SpanEvent, SpanKind, SpanLink};

use crate::value::{SAMPLED, attributes, unix_nanos};

/// Sampled, and it is known whether the parent (or the linked span) is of another process: it is
/// not.
const FLAGS: u32 = SAMPLED | proto::SpanFlags::ContextHasIsRemoteMask as u32;

/// The span's protobuf, ready for an [`Envelope`](crate::Envelope).
pub fn encode(span: &Span) -> Vec<u8> {
    record(span).encode_to_vec()
}

/// The span as a message. A span that ends before it starts (the clock was set back in between)
/// ends when it starts.
pub fn record(span: &Span) -> proto::Span {
    proto::Span {
        trace_id: span.context.trace_id.0.to_vec(),
        span_id: span.context.span_id.0.to_vec(),
        parent_span_id: span.parent.map(|parent| parent.0.to_vec()).unwrap_or_default(),
        flags: FLAGS,
        name: span.name.to_owned(),
        kind: kind(span.kind) as i32,
        start_time_unix_nano: unix_nanos(span.start),
        end_time_unix_nano: unix_nanos(span.end.max(span.start)),
        attributes: attributes(&span.attributes),
        events: span.events.iter().map(event).collect(),
        links: span.links.iter().map(link).collect(),
        status: Some(status(span.error.as_deref())),
        ..proto::Span::default()
    }
}

fn kind(kind: SpanKind) -> proto::span::SpanKind {
    match kind {
        SpanKind::Internal => proto::span::SpanKind::Internal,
        SpanKind::Client => proto::span::SpanKind::Client,
    }
}

fn status(error: Option<&str>) -> proto::Status {
    match error {
        None => proto::Status::default(),
        Some(text) => {
            proto::Status { code: StatusCode::Error as i32, message: shown(text).into_owned() }
        }
    }
}

fn event(event: &SpanEvent) -> Event {
    Event {
        time_unix_nano: unix_nanos(event.at),
        name: event.name.to_owned(),
        attributes: attributes(&event.attributes),
        dropped_attributes_count: 0,
    }
}

fn link(link: &SpanLink) -> Link {
    Link {
        trace_id: link.to.trace_id.0.to_vec(),
        span_id: link.to.span_id.0.to_vec(),
        attributes: attributes(&link.attributes),
        flags: FLAGS,
        ..Link::default()
    }
}

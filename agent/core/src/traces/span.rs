//! A finished span as a value: explicit times, no exporter behind it.

use serde::Serialize;

use crate::base::ids::{SpanId, TraceContext};
use crate::base::time::Wall;
use crate::base::value::Attributes;

/// A finished span with explicit times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Span {
    /// The trace, and the span in it.
    pub context: TraceContext,
    /// Its parent in the same trace.
    pub parent: Option<SpanId>,
    /// One of [`crate::base::schema::SPANS`].
    pub name: &'static str,
    /// CLIENT for an NTP exchange, INTERNAL else.
    pub kind: SpanKind,
    /// Start, on the node's clock.
    pub start: Wall,
    /// End, on the node's clock.
    pub end: Wall,
    /// Set when the span ended in an error.
    pub error: Option<String>,
    /// Attributes.
    pub attributes: Attributes,
    /// Events within it.
    pub events: Vec<SpanEvent>,
    /// The spans it is linked to, each with what the link means.
    pub links: Vec<SpanLink>,
}

/// OpenTelemetry's span kinds that occur here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SpanKind {
    /// Within the node.
    Internal,
    /// A request to a server.
    Client,
}

/// Something that happened within a span.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpanEvent {
    /// Its name.
    pub name: &'static str,
    /// When.
    pub at: Wall,
    /// Attributes.
    pub attributes: Attributes,
}

/// A link to another span.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpanLink {
    /// To where.
    pub to: TraceContext,
    /// Attributes.
    pub attributes: Attributes,
}

//! Finished spans as values with explicit times. They are independent of any exporter.

use serde::Serialize;

use crate::base::ids::{SpanId, TraceContext};
use crate::base::time::Wall;
use crate::base::value::Attributes;

/// A finished span. All times are on the node's clock.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Span {
    /// Its trace id and span id.
    pub context: TraceContext,
    /// The id of its parent in the same trace; nothing for a root.
    pub parent: Option<SpanId>,
    /// Its name: one of [`crate::base::schema::SPANS`].
    pub name: &'static str,
    /// CLIENT for an NTP exchange, else INTERNAL.
    pub kind: SpanKind,
    /// Its start.
    pub start: Wall,
    /// Its end, not before the start.
    pub end: Wall,
    /// The error, if the span ended with one.
    pub error: Option<String>,
    /// Its attributes.
    pub attributes: Attributes,
    /// Its events.
    pub events: Vec<SpanEvent>,
    /// Its links to other spans.
    pub links: Vec<SpanLink>,
}

/// The span kinds of OpenTelemetry that the agent uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SpanKind {
    /// An operation within the node.
    Internal,
    /// A request to a server.
    Client,
}

/// An event of a span.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpanEvent {
    /// Its name.
    pub name: &'static str,
    /// Its time.
    pub at: Wall,
    /// Its attributes.
    pub attributes: Attributes,
}

/// A link to another span.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpanLink {
    /// The linked span.
    pub to: TraceContext,
    /// Its attributes.
    pub attributes: Attributes,
}

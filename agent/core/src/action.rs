//! What the engine asks of the outside. Only values: whoever drives the engine acts on them.

use serde::{Deserialize, Serialize};

use crate::cluster::AccountName;
use crate::findings::{Finding, FindingId};
use crate::ids::{SpanId, TraceContext, TraceId};
use crate::time::{Delta, Wall};
use crate::value::Attributes;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Ship a finished span.
    Span(Box<Span>),
    /// Deliver an alert, at least once.
    Alert(Box<Alert>),
    /// Count one rotation, `delay` after it was due (negative: kubelet's jitter, or a restart, made
    /// it early).
    Rotation {
        /// Due to replaced.
        delay: Delta,
    },
    /// Ask the API server for this service account: its token should have been replaced, and it may
    /// be why it was not. Nothing is lost if nobody answers.
    Ask(AccountName),
}

/// A finished span with explicit times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Span {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Its parent in the same trace.
    pub parent: Option<SpanId>,
    /// One of [`crate::schema::SPANS`].
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

/// What happened to a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertEvent {
    /// It is new.
    Raised,
    /// It is still there, or got worse.
    Reminded,
    /// It is gone.
    Cleared,
}

impl AlertEvent {
    /// The `event.name` of the log record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raised => "tokenwatch.finding.raised",
            Self::Reminded => "tokenwatch.finding.reminded",
            Self::Cleared => "tokenwatch.finding.cleared",
        }
    }
}

/// A finding with what happened to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alert {
    /// What happened.
    pub event: AlertEvent,
    /// The finding's id.
    pub id: FindingId,
    /// When, on the node's clock.
    pub at: Wall,
    /// When the finding was first raised.
    pub raised_at: Wall,
    /// The finding as it is now; when cleared, as it last was, with a summary that says so.
    pub finding: Finding,
}

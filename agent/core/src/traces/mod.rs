//! Traces: one per generation of a token, one per clock measurement.

pub mod clock;
mod exported;
pub mod generation;
mod span;

pub use exported::Exported;
pub use span::{Span, SpanEvent, SpanKind, SpanLink};

//! Traces as values: one per generation of a token, and one per measurement of the clock.

pub mod clock;
mod exported;
pub mod generation;
mod measured;
mod readers;
mod span;

pub use exported::Exported;
pub use readers::ReaderLag;
pub use span::{Span, SpanEvent, SpanKind, SpanLink};

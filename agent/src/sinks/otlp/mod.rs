//! OTLP: spans, alerts and metrics to a collector.

mod endpoint;
mod resource;
mod settings;
mod variables;

pub use resource::{Identity, Resource};
pub use settings::{Compression, OwnOtlp, Protocol, Settings, Signal, Target, Temporality, TlsFiles};

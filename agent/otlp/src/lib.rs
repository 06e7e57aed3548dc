//! Alerts and spans as OTLP messages. Pure: no I/O, no async, no clock, no environment.
//!
//! [`logs`] and [`spans`] turn values of the core into protobuf records; [`value`] is the one
//! conversion of attributes that both use. An [`Envelope`] puts the resource and the scope around
//! encoded records, and [`PartialSuccess`] is what a collector answers.
//!
//! Metrics have no module here: the OpenTelemetry SDK aggregates them and `opentelemetry-otlp`
//! encodes what it aggregated. They share the [`Resource`] and the words of [`protocol`].

pub mod logs;
pub mod protocol;
pub mod spans;
pub mod value;

mod answer;
mod envelope;
mod resource;
#[cfg(test)]
mod tests;

pub use answer::{NotOtlp, PartialSuccess};
pub use envelope::{Envelope, SCOPE};
pub use resource::Resource;

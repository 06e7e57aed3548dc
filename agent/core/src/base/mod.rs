//! Basic values without knowledge of Kubernetes: time, ids, text, attributes, what looks like a
//! secret, and the telemetry schema.

pub mod ids;
pub(crate) mod schedule;
pub mod schema;
pub mod secrecy;
#[cfg(test)]
mod secrecy_tests;
pub mod shares;
pub mod text;
pub mod time;
pub mod value;

//! Basic values without knowledge of Kubernetes: time, ids, text, attributes, and the telemetry
//! schema.

pub mod ids;
pub mod schema;
pub mod text;
pub mod time;
pub mod value;

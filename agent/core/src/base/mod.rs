//! Values that know nothing of the cluster: time, ids, text, attributes, the telemetry schema.

pub mod ids;
pub mod schema;
pub mod text;
pub mod time;
pub mod value;

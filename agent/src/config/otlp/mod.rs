//! Where telemetry goes and how: the operator's own settings first, the standard `OTEL_*` variables
//! second, then the specification's defaults.
//!
//! Sources: OpenTelemetry specification, "OTLP Exporter Configuration" (`protocol/exporter.md`) and
//! "Environment Variable Specification". Three additions of ours: an endpoint on port 4317 without
//! a protocol means gRPC (that is the registered port of OTLP/gRPC, and HTTP never works there);
//! alerts without an endpoint are a mistake, not a default of `localhost`; and so is an endpoint
//! without a scheme, unless `OTEL_EXPORTER_OTLP_INSECURE` says which one is meant.

mod doubts;
mod endpoint;
mod hidden;
mod mistake;
mod resolve;
mod resource;
mod target;
#[cfg(test)]
pub(crate) mod tests;
mod variables;

pub use endpoint::shown_endpoint;
pub use hidden::hidden_parts;
pub use mistake::{Mistake, Source};
pub use resource::{Identity, resource};
pub use target::{ALERT_MEMORY, OwnOtlp, Settings, Target, TlsFiles};

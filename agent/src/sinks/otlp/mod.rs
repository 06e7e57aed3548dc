//! OpenTelemetry Protocol.

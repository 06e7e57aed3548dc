//! Metrics to a collector: the exporter, and the reader that hands it the figures.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{MetricExporter, RetryPolicy, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{self as sdk, PeriodicReader};
use tokenwatch_core::base::schema::SCHEMA_URL;
use tokenwatch_otlp::protocol::Temporality;
use tokenwatch_otlp::{Resource, SCOPE};
use tokio::sync::watch;

use super::StartError;
use super::client::{Client, EXPORTER_TIMEOUT};
use super::transport::Transport;
use crate::sinks::SnapshotSource;
use crate::sinks::metrics::{Counters, Origin};

/// How often, and counting from what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) interval: Duration,
    pub(super) temporality: Temporality,
}

/// What the instruments read, and who reports it.
pub(in crate::sinks) fn origin<'a>(
    resource: &Resource,
    counters: &'a Arc<Counters>,
    snapshot: &'a SnapshotSource,
) -> Origin<'a> {
    Origin { resource: sdk_resource(resource), scope: scope(), counters, snapshot }
}

fn sdk_resource(resource: &Resource) -> opentelemetry_sdk::Resource {
    let attributes =
        resource.0.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    opentelemetry_sdk::Resource::builder_empty().with_schema_url(attributes, SCHEMA_URL).build()
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(SCOPE)
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}

/// Reads the instruments at each interval, and sends.
pub(super) fn reader(
    transport: Transport,
    pace: Pace,
    counters: &Arc<Counters>,
    closing: watch::Receiver<bool>,
) -> Result<PeriodicReader<Counting>, StartError> {
    let exporter = Counting {
        inner: exporter(transport, pace.temporality, closing)?,
        counters: Arc::clone(counters),
    };
    Ok(PeriodicReader::builder(exporter).with_interval(pace.interval).build())
}

fn exporter(
    transport: Transport,
    temporality: Temporality,
    closing: watch::Receiver<bool>,
) -> Result<MetricExporter, StartError> {
    let endpoint = transport.target().endpoint.to_string();
    let builder = MetricExporter::builder()
        .with_http()
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(EXPORTER_TIMEOUT)
        .with_retry_policy(RetryPolicy::disabled())
        .with_temporality(sdk_temporality(temporality));
    let exporter =
        builder.with_shared_http_client(Arc::new(Client::start(transport, closing))).build();
    exporter.map_err(StartError::Metrics)
}

fn sdk_temporality(temporality: Temporality) -> sdk::Temporality {
    match temporality {
        Temporality::Cumulative => sdk::Temporality::Cumulative,
        Temporality::Delta => sdk::Temporality::Delta,
        Temporality::LowMemory => sdk::Temporality::LowMemory,
    }
}

/// Counts the exports that failed. The client has logged why.
pub(super) struct Counting {
    inner: MetricExporter,
    counters: Arc<Counters>,
}

impl PushMetricExporter for Counting {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let sent = self.inner.export(metrics).await;
        if let Err(error) = &sent {
            self.counters.metrics_dropped.add(1);
            tracing::debug!(%error, "the agent drops an export of metrics");
        }
        sent
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> sdk::Temporality {
        self.inner.temporality()
    }
}

//! Metrics to a collector: the exporter, and the reader that takes the figures to it.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_otlp::{MetricExporter, RetryPolicy, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{self as sdk, PeriodicReader};
use tokio::sync::watch;

use super::client::{Client, EXPORTER_TIMEOUT};
use super::settings::{Target, Temporality};
use crate::sinks::metrics::Counters;

/// How often, and counting from what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) interval: Duration,
    pub(super) temporality: Temporality,
}

/// Reads by itself and sends.
pub(super) fn reader(
    target: Target,
    pace: Pace,
    counters: &Arc<Counters>,
    closing: watch::Receiver<bool>,
) -> Result<PeriodicReader<Counting>, String> {
    let exporter = Counting {
        inner: exporter(target, pace.temporality, closing)?,
        counters: Arc::clone(counters),
    };
    Ok(PeriodicReader::builder(exporter).with_interval(pace.interval).build())
}

fn exporter(
    target: Target,
    temporality: Temporality,
    closing: watch::Receiver<bool>,
) -> Result<MetricExporter, String> {
    let endpoint = target.endpoint.to_string();
    let builder = MetricExporter::builder()
        .with_http()
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_endpoint(endpoint);
    let builder = builder
        .with_timeout(EXPORTER_TIMEOUT)
        .with_retry_policy(RetryPolicy::disabled())
        .with_temporality(sdk_temporality(temporality));
    let exporter = builder.with_shared_http_client(Arc::new(Client::new(target, closing))).build();
    exporter.map_err(|why| format!("metrics cannot be sent: {why}"))
}

fn sdk_temporality(temporality: Temporality) -> sdk::Temporality {
    match temporality {
        Temporality::Cumulative => sdk::Temporality::Cumulative,
        Temporality::Delta => sdk::Temporality::Delta,
        Temporality::LowMemory => sdk::Temporality::LowMemory,
    }
}

/// Counts the exports that failed.
pub(super) struct Counting {
    inner: MetricExporter,
    counters: Arc<Counters>,
}

impl PushMetricExporter for Counting {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let sent = self.inner.export(metrics).await;
        if let Err(why) = &sent {
            self.counters.metrics_dropped.add(1);
            tracing::warn!("metrics were not delivered: {why}");
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

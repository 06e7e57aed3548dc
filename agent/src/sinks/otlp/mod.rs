//! OTLP: spans, alerts and metrics to a collector.
//!
//! One [`transport::Transport`] per signal (gRPC or HTTP/protobuf, gzip, TLS with files that are
//! read again) serves all three. Alerts are sent by [`alerts`] from raw protobuf messages, because
//! only the collector's own answer tells what it accepted; spans and metrics go through
//! opentelemetry-otlp's exporters on top of the same transport ([`client`]), best effort, with what
//! is dropped counted.

mod alerts;
mod backoff;
mod client;
mod convert;
mod endpoint;
mod failure;
mod metrics;
mod queue;
mod resource;
mod settings;
mod spans;
mod tls;
mod transport;
mod variables;

#[cfg(test)]
pub(crate) mod tests;

pub use resource::{Identity, Resource};
pub use settings::{
    ALERT_MEMORY, Compression, Mistake, OwnOtlp, Protocol, SaidBy, Settings, Signal, Target,
    Temporality, TlsFiles,
};

use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::engine::Report;
use tokenwatch_core::world::observation::DeliveryState;
use tokio::sync::watch;
use tokio::time::timeout_at;

use super::metrics::{Counters, Metrics, Pull};
use super::{ShutdownReport, SnapshotSource};
use crate::clocks;

/// The sink to a collector. A signal without a target is not sent.
#[derive(Debug)]
pub struct Otlp {
    alerts: Option<alerts::Alerts>,
    spans: Option<spans::Spans>,
    metrics: Option<Metrics>,
    delivery: watch::Receiver<DeliveryState>,
    closing: watch::Sender<bool>,
}

impl Otlp {
    /// Starts one task per signal on the runtime it is called in. Nothing is connected yet: a
    /// collector that is not there is no error. What is measured can be had through `pull` as
    /// well.
    pub fn start(
        settings: Settings,
        resource: &Resource,
        snapshot: &SnapshotSource,
        pull: Option<Pull>,
    ) -> Result<Self, String> {
        let counters = Arc::new(Counters::default());
        let (closing, closed) = watch::channel(false);
        let (state, delivery) = watch::channel(DeliveryState::default());
        let pace = metrics::Pace {
            interval: settings.metrics_interval,
            temporality: settings.temporality,
        };
        let spans = settings
            .traces
            .map(|target| spans::Spans::start(target, resource, &counters, closed.clone()))
            .transpose()?;
        let push = settings
            .metrics
            .map(|target| metrics::reader(target, pace, &counters, closed.clone()))
            .transpose()?;
        let metrics = (push.is_some() || pull.is_some())
            .then(|| Metrics::start(resource.origin(&counters, snapshot), push, pull));
        let alerts = settings.logs.map(|target| {
            alerts::Alerts::start(target, settings.alert_memory, resource, &counters, state, closed)
        });
        Ok(Self { alerts, spans, metrics, delivery, closing })
    }

    /// Queues what there is to say.
    pub fn take(&self, actions: Vec<Report>) {
        for action in actions {
            match action {
                Report::Alert(alert) => self.alerts.iter().for_each(|alerts| alerts.push(&alert)),
                Report::Span(span) => {
                    if let Some(spans) = &self.spans {
                        spans.push(span);
                    }
                }
                Report::Rotation { delay } => {
                    self.metrics.iter().for_each(|metrics| metrics.rotation(delay))
                }
            }
        }
    }

    /// How alerts get out.
    pub fn delivery(&self) -> watch::Receiver<DeliveryState> {
        self.delivery.clone()
    }

    /// How many alerts wait to be accepted; none ever, where alerts are not sent.
    pub fn undelivered(&self) -> watch::Receiver<u64> {
        self.alerts.as_ref().map_or_else(|| watch::channel(0).1, alerts::Alerts::undelivered)
    }

    /// Flushes all three at once, within `bound`. Alerts go on being retried until then.
    pub async fn shutdown(self, bound: Duration) -> ShutdownReport {
        let end = clocks::timer() + bound;
        self.closing.send_replace(true);
        let metrics = async {
            timeout_at(end, async { flushed(self.metrics, Metrics::finish).await })
                .await
                .unwrap_or(false)
        };
        let alerts = async { flushed_count(self.alerts, |alerts| alerts.finish(end)).await };
        let spans = async { flushed_count(self.spans, |spans| spans.finish(end)).await };
        let (metrics_sent, alerts_left, spans_left) = tokio::join!(metrics, alerts, spans);
        ShutdownReport { alerts_left, spans_left, unfinished: !metrics_sent }
    }
}

/// A signal that is not sent has nothing left.
async fn flushed<T, F: Future<Output = bool>>(
    part: Option<T>,
    finish: impl FnOnce(T) -> F,
) -> bool {
    match part {
        Some(part) => finish(part).await,
        None => true,
    }
}

async fn flushed_count<T, F: Future<Output = u64>>(
    part: Option<T>,
    finish: impl FnOnce(T) -> F,
) -> u64 {
    match part {
        Some(part) => finish(part).await,
        None => 0,
    }
}

//! Delivery of alerts, spans and metrics to a collector, over OTLP.
//!
//! Alerts and spans go the same way: the engine's values are encoded (crate `tokenwatch-otlp`),
//! wait in a bounded [`queue`], and a [`courier`] sends them until the collector has answered for
//! them. Each signal has an [`outbox`] of its own, with its own memory, task and connection: spans
//! neither delay alerts nor take their memory. Metrics go through opentelemetry-otlp's exporter,
//! best effort ([`metrics`]). One kind of [`transport`] (gRPC or HTTP/protobuf, gzip, TLS whose
//! files are read again) serves all three.

mod advice;
mod backoff;
mod cargo;
mod cause;
mod client;
mod courier;
mod dialer;
mod entry;
mod exchange;
mod failure;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod grpc_only;
mod losses;
mod metrics;
mod news;
mod outbox;
mod pool;
mod queue;
mod reason;
mod rpc;
mod secrets;
mod shared;
mod speaks;
mod tls;
mod transport;

#[cfg(test)]
pub(crate) mod tests;

pub(in crate::sinks) use metrics::origin;

use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::engine::Report;
use tokenwatch_core::ledger::Alert;
use tokenwatch_core::traces::Span;
use tokenwatch_core::world::observation::DeliveryState;
use tokenwatch_otlp::{Envelope, Resource, logs, spans};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::metrics::{Counters, Metrics, Pull};
use super::{ShutdownReport, SnapshotSource};
use crate::clocks;
use crate::config::otlp::{Settings, Target};
use crate::state_file::{OwedSource, nothing_owed};
use cargo::{Cargo, SPAN_MEMORY};
use entry::{About, Class};
use outbox::{Outbox, Plan};

use transport::Transport;

/// Why delivery could not start. A collector that cannot be reached is no reason: nothing is
/// connected yet.
#[derive(Debug)]
pub enum StartError {
    /// The exporter of metrics could not be built.
    Metrics(opentelemetry_otlp::ExporterBuildError),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Metrics(why) => write!(f, "the exporter of metrics cannot be built: {why}"),
        }
    }
}

impl std::error::Error for StartError {}

/// Delivery to a collector. A signal without a target is not sent.
#[derive(Debug)]
pub struct Delivery {
    alerts: Option<Outbox>,
    spans: Option<Outbox>,
    metrics: Option<Metrics>,
    closing: watch::Sender<bool>,
}

impl Delivery {
    /// Starts one task per signal on the runtime it is called in. The metrics can be read through
    /// `pull` as well.
    pub fn start(
        settings: Settings,
        resource: &Resource,
        snapshot: &SnapshotSource,
        pull: Option<Pull>,
    ) -> Result<Self, StartError> {
        let (closing, closed) = watch::channel(false);
        let common = Common { resource, counters: Arc::default(), snapshot, closed };
        let pace = metrics::Pace {
            interval: settings.metrics_interval,
            temporality: settings.temporality,
        };
        Ok(Self {
            metrics: common.metrics(settings.metrics, pace, pull)?,
            alerts: common.outbox(Cargo::Alerts, settings.logs, settings.alert_memory),
            spans: common.outbox(Cargo::Spans, settings.traces, SPAN_MEMORY),
            closing,
        })
    }

    /// Queues these reports. Never blocks, never grows without bound.
    pub fn take(&self, reports: Vec<Report>) {
        for report in reports {
            match report {
                Report::Alert(alert) => self.push_alert(&alert),
                Report::Span(span) => self.push_span(&span),
                Report::Rotation { delay } => {
                    self.metrics.iter().for_each(|metrics| metrics.rotation(delay));
                }
            }
        }
    }

    fn push_alert(&self, alert: &Alert) {
        if let Some(outbox) = &self.alerts {
            let observed = alert.true_time.unwrap_or_else(|| clocks::now().wall);
            outbox.push_alert(Class::of(alert), logs::encode(alert, observed), About::of(alert));
        }
    }

    fn push_span(&self, span: &Span) {
        if let Some(outbox) = &self.spans {
            outbox.push(Class::Ordinary, spans::encode(span));
        }
    }

    /// The engine has answered this round of [`DeliveryState::again`], and [`Self::take`] has
    /// queued its alerts.
    pub fn answered(&self, round: u64) {
        self.alerts.iter().for_each(|outbox| outbox.answered(round));
    }

    /// How delivery of alerts goes. It never changes where alerts are not sent.
    pub fn state(&self) -> watch::Receiver<DeliveryState> {
        let none = || watch::channel(DeliveryState::default()).1;
        self.alerts.as_ref().map_or_else(none, Outbox::state)
    }

    /// How many alerts no collector has accepted yet; always 0 where alerts are not sent.
    pub fn undelivered(&self) -> watch::Receiver<u64> {
        self.alerts.as_ref().map_or_else(|| watch::channel(0).1, Outbox::undelivered)
    }

    /// The findings whose last alert no collector has accepted; none where alerts are not sent.
    pub fn owed(&self) -> OwedSource {
        self.alerts.as_ref().map_or_else(nothing_owed, Outbox::owed)
    }

    /// Flushes all three signals at the same time, within `bound`. The couriers keep trying until
    /// then.
    pub async fn shutdown(self, bound: Duration) -> ShutdownReport {
        let end = clocks::timer() + bound;
        self.closing.send_replace(true);
        let (metrics_sent, alerts_left, spans_left) = tokio::join!(
            last_metrics(self.metrics, end),
            left(self.alerts, end),
            left(self.spans, end)
        );
        let unfinished = !metrics_sent;
        ShutdownReport { alerts_left, spans_left, unfinished, ..ShutdownReport::default() }
    }
}

/// What the three signals have in common.
struct Common<'a> {
    resource: &'a Resource,
    counters: Arc<Counters>,
    snapshot: &'a SnapshotSource,
    closed: watch::Receiver<bool>,
}

impl Common<'_> {
    fn outbox(&self, cargo: Cargo, target: Option<Target>, memory: usize) -> Option<Outbox> {
        let plan = Plan {
            cargo,
            target: target?,
            memory,
            envelope: Envelope::new(self.resource, env!("CARGO_PKG_VERSION")),
            counters: &self.counters,
            clock: self.snapshot,
            closing: self.closed.clone(),
        };
        Some(Outbox::start(plan))
    }

    /// Nothing where nobody takes metrics.
    fn metrics(
        &self,
        target: Option<Target>,
        pace: metrics::Pace,
        pull: Option<Pull>,
    ) -> Result<Option<Metrics>, StartError> {
        let reader = |target| {
            let transport = Transport::new(target).with_clock(self.snapshot);
            metrics::reader(transport, pace, &self.counters, self.closed.clone())
        };
        let push = target.map(reader).transpose()?;
        let origin = origin(self.resource, &self.counters, self.snapshot);
        Ok((push.is_some() || pull.is_some()).then(|| Metrics::start(&origin, push, pull)))
    }
}

/// Whether the last metrics were sent by `end`; true where metrics are not sent.
async fn last_metrics(metrics: Option<Metrics>, end: Instant) -> bool {
    match metrics {
        Some(metrics) => timeout_at(end, metrics.finish()).await.unwrap_or(false),
        None => true,
    }
}

/// How many records are left at `end`; none where the signal is not sent.
async fn left(outbox: Option<Outbox>, end: Instant) -> u64 {
    match outbox {
        Some(outbox) => outbox.finish(end).await,
        None => 0,
    }
}

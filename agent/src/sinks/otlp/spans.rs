//! Ships spans, best effort: a bounded queue, batches, drops counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::trace::SpanExporter as _;
use tokenwatch_core::action::Span;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::client::{Client, EXPORTER_TIMEOUT};
use super::convert;
use super::counters::Counters;
use super::resource::Resource;
use super::settings::Target;
use crate::{clocks, sys};

/// Every generation of a node with 1,000 tokens ending at once, three spans each, and room.
const QUEUE: usize = 4_096;
/// The specification's default batch (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`).
const MOST_PER_REQUEST: usize = 512;
/// The specification's default wait for a batch to fill (`OTEL_BSP_SCHEDULE_DELAY`).
const GATHER: Duration = Duration::from_secs(5);

/// The queue of spans and the task that empties it.
#[derive(Debug)]
pub(super) struct Spans {
    queue: mpsc::Sender<Box<Span>>,
    worker: JoinHandle<()>,
    left: Arc<AtomicU64>,
    counters: Arc<Counters>,
}

impl Spans {
    pub(super) fn start(
        target: Target,
        resource: &Resource,
        counters: &Arc<Counters>,
        closing: watch::Receiver<bool>,
    ) -> Result<Self, String> {
        let (queue, spans) = mpsc::channel(QUEUE);
        let left = Arc::new(AtomicU64::new(0));
        let exporter = exporter(target, resource, closing.clone())?;
        let shipper = Shipper { spans, exporter, closing, left: Arc::clone(&left), counters: Arc::clone(counters) };
        Ok(Self { queue, worker: tokio::spawn(shipper.run()), left, counters: Arc::clone(counters) })
    }

    /// Queues a span; one that does not fit is counted.
    pub(super) fn push(&self, span: Box<Span>) {
        self.left.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(span).is_err() {
            self.left.fetch_sub(1, Ordering::Relaxed);
            self.counters.spans_dropped.add(1);
        }
    }

    /// Sends what is queued until `end`; says how many spans are left.
    pub(super) async fn finish(self, end: Instant) -> u64 {
        drop(self.queue);
        let mut worker = self.worker;
        if timeout_at(end, &mut worker).await.is_err() {
            worker.abort();
        }
        self.left.load(Ordering::Relaxed)
    }
}

fn exporter(target: Target, resource: &Resource, closing: watch::Receiver<bool>) -> Result<SpanExporter, String> {
    let endpoint = target.endpoint.to_string();
    let builder = SpanExporter::builder().with_http().with_protocol(opentelemetry_otlp::Protocol::HttpBinary).with_endpoint(endpoint);
    let builder = builder.with_timeout(EXPORTER_TIMEOUT).with_retry_policy(RetryPolicy::disabled());
    let exporter = builder.with_shared_http_client(Arc::new(Client::new(target, closing))).build();
    let mut exporter = exporter.map_err(|why| format!("spans cannot be sent: {why}"))?;
    exporter.set_resource(&resource.sdk());
    Ok(exporter)
}

/// The task that sends.
struct Shipper {
    spans: mpsc::Receiver<Box<Span>>,
    exporter: SpanExporter,
    closing: watch::Receiver<bool>,
    left: Arc<AtomicU64>,
    counters: Arc<Counters>,
}

impl Shipper {
    async fn run(mut self) {
        loop {
            let batch = self.batch().await;
            if batch.is_empty() {
                return;
            }
            self.ship(&batch).await;
            drop(batch);
            sys::give_memory_back(); // a batch is in memory three times over while it is sent, and the next may be far away
        }
    }

    /// What comes within [`GATHER`] of the first span; empty when there is nothing more to come.
    async fn batch(&mut self) -> Vec<Box<Span>> {
        let mut batch = Vec::new();
        if self.spans.recv_many(&mut batch, MOST_PER_REQUEST).await == 0 {
            return batch;
        }
        let end = clocks::timer() + GATHER;
        while batch.len() < MOST_PER_REQUEST && !*self.closing.borrow() {
            let room = MOST_PER_REQUEST - batch.len();
            tokio::select! {
                received = self.spans.recv_many(&mut batch, room) => if received == 0 { break },
                () = tokio::time::sleep_until(end) => break,
                _ = self.closing.wait_for(|closing| *closing) => break,
            }
        }
        batch
    }

    async fn ship(&self, batch: &[Box<Span>]) {
        let count = batch.len() as u64;
        let sent = self.exporter.export(batch.iter().map(|span| convert::span_data(span)).collect()).await;
        self.left.fetch_sub(count, Ordering::Relaxed);
        if let Err(why) = sent {
            self.counters.spans_dropped.add(count);
            tracing::warn!(count, "spans were dropped: {why}");
        }
    }
}

//! Ships spans, best effort: a bounded queue, batches, drops counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::trace::SpanExporter as _;
use tokenwatch_core::base::value::{Attributes, Value};
use tokenwatch_core::traces::Span;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::client::{Client, EXPORTER_TIMEOUT};
use super::convert;
use super::resource::Resource;
use super::settings::Target;
use crate::clocks;
use crate::sinks::metrics::Counters;
use crate::sys;

/// Every generation of a node with 1,000 tokens ending at once, three spans each, and room.
const QUEUE: usize = 4_096;
/// Claims may be long, and anybody can write a file that looks like a token: spans that wait take
/// no more than this, by [`bytes`].
const QUEUE_BYTES: usize = 4 << 20;
/// One request holds no more: gRPC servers take 4 MiB by default.
const LARGEST_REQUEST: usize = 1 << 20;
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
    held: Arc<AtomicUsize>,
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
        let (left, held) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        let exporter = exporter(target, resource, closing.clone())?;
        let shipper = Shipper {
            spans,
            exporter,
            closing,
            left: Arc::clone(&left),
            held: Arc::clone(&held),
            counters: Arc::clone(counters),
        };
        Ok(Self {
            queue,
            worker: tokio::spawn(shipper.run()),
            left,
            held,
            counters: Arc::clone(counters),
        })
    }

    /// Queues a span; one that does not fit is counted.
    pub(super) fn push(&self, span: Box<Span>) {
        let bytes = bytes(&span);
        self.left.fetch_add(1, Ordering::Relaxed);
        let fits = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes <= QUEUE_BYTES;
        if !fits || self.queue.try_send(span).is_err() {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
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

fn exporter(
    target: Target,
    resource: &Resource,
    closing: watch::Receiver<bool>,
) -> Result<SpanExporter, String> {
    let endpoint = target.endpoint.to_string();
    let builder = SpanExporter::builder()
        .with_http()
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_endpoint(endpoint);
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
    held: Arc<AtomicUsize>,
    counters: Arc<Counters>,
}

impl Shipper {
    async fn run(mut self) {
        loop {
            let batch = self.batch().await;
            if batch.is_empty() {
                return;
            }
            for part in parts(&batch) {
                self.ship(part).await;
            }
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
        let sent =
            self.exporter.export(batch.iter().map(|span| convert::span_data(span)).collect()).await;
        self.left.fetch_sub(count, Ordering::Relaxed);
        self.held.fetch_sub(batch.iter().map(|span| bytes(span)).sum(), Ordering::Relaxed);
        if let Err(why) = sent {
            self.counters.spans_dropped.add(count);
            tracing::warn!(count, "spans were dropped: {why}");
        }
    }
}

/// The batch in as many requests as its size wants.
fn parts(batch: &[Box<Span>]) -> Vec<&[Box<Span>]> {
    let (mut parts, mut rest) = (Vec::new(), batch);
    while !rest.is_empty() {
        let mut sum = 0;
        let fits = rest.iter().take_while(|span| {
            sum += bytes(span);
            sum <= LARGEST_REQUEST
        });
        let (part, more) = rest.split_at(fits.count().max(1));
        parts.push(part);
        rest = more;
    }
    parts
}

/// About what a span weighs, here and on the wire: ids, times, names, and its texts.
fn bytes(span: &Span) -> usize {
    let own = size_of::<Span>() + weight(&span.attributes);
    let events: usize =
        span.events.iter().map(|event| size_of_val(event) + weight(&event.attributes)).sum();
    let links: usize =
        span.links.iter().map(|link| size_of_val(link) + weight(&link.attributes)).sum();
    own + events + links
}

fn weight(attributes: &Attributes) -> usize {
    let texts = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::List(texts) => texts.iter().map(|text| size_of::<String>() + text.len()).sum(),
        _ => 0,
    };
    attributes.iter().map(|(name, value)| size_of::<Value>() + name.len() + texts(value)).sum()
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample::span;
    use super::*;

    /// As large as the longest token lets it be.
    fn large() -> Box<Span> {
        let audiences: Vec<String> = (0..100).map(|_| "x".repeat(500)).collect();
        let attributes = Attributes(vec![("token.audiences".into(), Value::List(audiences))]);
        Box::new(Span { attributes, ..span("token.generation") })
    }

    #[test]
    fn a_batch_is_cut_into_requests_that_servers_take() {
        let batch: Vec<_> = (0..512).map(|_| large()).collect();
        let parts = parts(&batch);
        assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), 512);
        assert!(
            parts
                .iter()
                .all(|part| part.iter().map(|span| bytes(span)).sum::<usize>() <= LARGEST_REQUEST)
        );
        assert!(parts.len() < 40, "{} requests", parts.len());
    }

    #[tokio::test]
    async fn spans_that_wait_take_bounded_memory() {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let counters = Arc::new(Counters::default());
        let worker = tokio::spawn(async move {
            let _held = waiting;
            std::future::pending::<()>().await;
        });
        let spans = Spans {
            queue,
            worker,
            left: Arc::default(),
            held: Arc::default(),
            counters: Arc::clone(&counters),
        };
        for _ in 0..1_000 {
            spans.push(large());
        }
        let held = spans.held.load(Ordering::Relaxed);
        assert!(held <= QUEUE_BYTES && held > QUEUE_BYTES / 2, "{held} bytes");
        assert_eq!(counters.spans_dropped.get() + spans.left.load(Ordering::Relaxed), 1_000);
        assert!(counters.spans_dropped.get() > 900);
    }
}

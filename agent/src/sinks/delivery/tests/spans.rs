//! Spans go by the same courier as alerts, best effort, and never at the cost of alerts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokenwatch_core::base::schema;
use tokenwatch_core::base::value::{Attributes, Value};
use tokenwatch_core::engine::Report;
use tokenwatch_core::traces::Span;
use tokenwatch_otlp::protocol::{Protocol, Signal};
use tokenwatch_otlp::{Envelope, Resource, spans};
use tokio::sync::watch;

use super::super::cargo::{Cargo, SPAN_MEMORY};
use super::super::entry::Class;
use super::super::outbox::{Outbox, Plan};
use super::collector::{Answer, Collector};
use super::delivery::{alerts, own, start};
use super::sample::{snapshot, span};
use crate::config::otlp::OwnOtlp;
use crate::config::otlp::tests::resolved;
use crate::sinks::SnapshotSource;
use crate::sinks::metrics::Counters;

const BOTH: [Protocol; 2] = Protocol::ALL;

fn numbered(number: usize) -> Span {
    let attributes = Attributes::new().with("number", format!("<{number}>"));
    Span { attributes, ..span(schema::SPAN_FRESH) }
}

fn spans(count: usize) -> Vec<Report> {
    (0..count).map(|number| Report::Span(Box::new(numbered(number)))).collect()
}

/// An outbox of spans, with what it counts; it stops when the sender sends.
struct Bench {
    outbox: Outbox,
    counters: Arc<Counters>,
    closing: watch::Sender<bool>,
}

impl Bench {
    fn start(address: SocketAddr, protocol: Protocol) -> Self {
        let counters = Arc::new(Counters::default());
        let (closing, closed) = watch::channel(false);
        let clock: SnapshotSource = Arc::new(snapshot);
        let outbox = Outbox::start(Plan {
            cargo: Cargo::Spans,
            target: resolved(&own(address, protocol), &[]).traces.unwrap(),
            memory: SPAN_MEMORY,
            envelope: Envelope::new(&Resource::default(), "1"),
            counters: &counters,
            clock: &clock,
            closing: closed,
        });
        Self { outbox, counters, closing }
    }

    fn push(&self, count: usize) {
        for number in 0..count {
            self.outbox.push(Class::Ordinary, spans::encode(&numbered(number)));
        }
    }

    /// How many spans are left, and how many were dropped.
    async fn finish(self, bound: Duration) -> (u64, u64) {
        self.closing.send_replace(true);
        let left = self.outbox.finish(tokio::time::Instant::now() + bound).await;
        (left, self.counters.spans_dropped.get())
    }
}

/// Every span arrives, none twice, none is dropped.
async fn delivered(script: &[Answer], count: usize) {
    for protocol in BOTH {
        let collector = Collector::scripted(protocol, Signal::Traces, script.iter().copied());
        let bench = Bench::start(collector.serve().await, protocol);
        bench.push(count);
        assert_eq!(bench.finish(Duration::from_secs(8)).await, (0, 0), "{protocol:?}");
        assert_eq!(collector.seen.lock().unwrap().accepted.len(), count, "{protocol:?}");
    }
}

#[tokio::test]
async fn spans_of_one_moment_arrive_in_one_request() {
    for protocol in BOTH {
        let collector = Collector::new(protocol, []);
        let bench = Bench::start(collector.serve().await, protocol);
        for _ in 0..3 {
            bench.push(1);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(bench.finish(Duration::from_secs(5)).await, (0, 0));
        assert_eq!(collector.seen.lock().unwrap().traces.len(), 1);
    }
}

#[tokio::test]
async fn the_standard_variables_of_traces_are_honoured() {
    for (protocol, path, encoding) in [
        (Protocol::Grpc, "", "grpc-encoding"),
        (Protocol::HttpProtobuf, "/v1/traces", "content-encoding"),
    ] {
        let collector = Collector::new(protocol, []);
        let endpoint = format!("http://{}{path}", collector.serve().await);
        let sink = start(
            &OwnOtlp::default(),
            &[
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint),
                ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", protocol.name()),
                ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-tenant=a%20b"),
                ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
                ("OTEL_LOGS_EXPORTER", "none"),
            ],
        );
        sink.take(spans(1));
        assert!(sink.shutdown(Duration::from_secs(5)).await.is_clean());
        let seen = collector.seen.lock().unwrap();
        assert_eq!(seen.traces.len(), 1);
        assert_eq!(seen.headers[encoding], "gzip");
        assert_eq!(seen.headers["x-tenant"], "a b");
    }
}

#[tokio::test]
async fn a_busy_collector_is_tried_again() {
    delivered(&[Answer::Later, Answer::Later], 3).await;
}

#[tokio::test]
async fn a_collector_that_hangs_is_tried_again_after_the_timeout() {
    delivered(&[Answer::Hang], 2).await;
}

#[tokio::test]
async fn a_connection_that_is_reset_costs_no_span() {
    delivered(&[Answer::Reset], 2).await;
}

#[tokio::test]
async fn batches_that_are_too_large_are_halved() {
    delivered(&[Answer::TooMany(2), Answer::TooMany(2)], 4).await;
}

#[tokio::test]
async fn a_collector_that_comes_up_late_gets_the_spans() {
    for protocol in BOTH {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let bench = Bench::start(free, protocol);
        let mut state = bench.outbox.state();
        bench.push(512); // a full request: it does not wait for more
        state.wait_for(|state| state.last_error.is_some()).await.unwrap();
        let collector = Collector::new(protocol, []);
        collector.serve_at(free, None).await;
        collector.until(|seen| seen.accepted.len() == 512).await;
        assert_eq!(bench.counters.spans_dropped.get(), 0);
    }
}

#[tokio::test]
async fn rejected_spans_are_dropped_and_counted_and_not_sent_again() {
    for protocol in BOTH {
        let collector = Collector::scripted(protocol, Signal::Traces, [Answer::Reject(2)]);
        let bench = Bench::start(collector.serve().await, protocol);
        let state = bench.outbox.state();
        bench.push(3);
        assert_eq!(bench.finish(Duration::from_secs(5)).await, (0, 2), "{protocol:?}");
        let error = state.borrow().last_error.clone().unwrap();
        assert!(error.ends_with("2 spans rejected for good: too old"), "{error}");
        assert_eq!(collector.seen.lock().unwrap().requests, 1);
    }
}

#[tokio::test]
async fn a_refusing_collector_gets_each_batch_a_single_time() {
    for protocol in BOTH {
        let collector = Collector::scripted(protocol, Signal::Traces, [Answer::Refuse]);
        let bench = Bench::start(collector.serve().await, protocol);
        bench.push(600); // a request of 512, and one of the rest
        assert_eq!(bench.finish(Duration::from_secs(5)).await, (0, 512), "{protocol:?}");
        let seen = collector.seen.lock().unwrap();
        assert_eq!((seen.requests, seen.accepted.len()), (2, 88));
    }
}

#[tokio::test]
async fn a_span_that_is_refused_alone_is_dropped_and_the_others_arrive() {
    for protocol in BOTH {
        let poison = std::iter::repeat_n(Answer::Poison("<2>"), 20);
        let collector = Collector::scripted(protocol, Signal::Traces, poison);
        let bench = Bench::start(collector.serve().await, protocol);
        bench.push(4);
        assert_eq!(bench.finish(Duration::from_secs(8)).await, (0, 1), "{protocol:?}");
        assert_eq!(collector.seen.lock().unwrap().accepted.len(), 3);
    }
}

/// As large as the longest token lets it be: some 50 kB.
fn large() -> Span {
    let audiences = (0..100).map(|_| "x".repeat(500)).collect();
    let attributes = Attributes(vec![("token.audiences".into(), Value::List(audiences))]);
    Span { attributes, ..span(schema::SPAN_GENERATION) }
}

#[tokio::test]
async fn waiting_spans_take_bounded_memory_and_every_loss_is_counted() {
    let collector = Collector::scripted(Protocol::Grpc, Signal::Traces, [Answer::Hang; 50]);
    let bench = Bench::start(collector.serve().await, Protocol::Grpc);
    let encoded = spans::encode(&large());
    for _ in 0..1_000 {
        bench.outbox.push(Class::Ordinary, encoded.clone());
    }
    let undelivered = *bench.outbox.undelivered().borrow();
    let most = (SPAN_MEMORY / encoded.len()) as u64;
    assert!(undelivered <= most && undelivered > most / 2, "{undelivered} of {most}");
    let (left, dropped) = bench.finish(Duration::from_millis(200)).await;
    assert_eq!(left + dropped, 1_000);
}

#[tokio::test]
async fn requests_of_large_spans_stay_far_below_the_limit_of_servers() {
    let collector = Collector::new(Protocol::HttpProtobuf, []);
    let bench = Bench::start(collector.serve().await, Protocol::HttpProtobuf);
    let encoded = spans::encode(&large());
    for _ in 0..35 {
        bench.outbox.push(Class::Ordinary, encoded.clone());
    }
    assert_eq!(bench.finish(Duration::from_secs(5)).await, (0, 0));
    let seen = collector.seen.lock().unwrap();
    let sizes: Vec<usize> = seen.traces.iter().map(prost::Message::encoded_len).collect();
    assert!(sizes.len() > 1 && sizes.iter().all(|size| *size < 2 << 20), "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_collector_stopping_ends_in_time_and_the_spans_left_are_counted() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sink = start(&own(free, Protocol::Grpc), &[]);
    for _ in 0..10 {
        sink.take((0..1_000).map(|_| Report::Span(Box::new(span(schema::SPAN_FRESH)))).collect());
    }
    let before = Instant::now();
    let report = sink.shutdown(Duration::from_millis(500)).await;
    assert!(before.elapsed() < Duration::from_secs(2));
    let most = SPAN_MEMORY / spans::encode(&span(schema::SPAN_FRESH)).len();
    assert!((1..=most as u64).contains(&report.spans_left), "{report}");
}

/// The collector never answers for spans: alerts arrive all the same, at once, and none is lost to
/// a flood of spans.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_that_cannot_be_delivered_neither_delay_alerts_nor_push_them_out() {
    for protocol in BOTH {
        let hanging = [Answer::Hang; 50];
        let collector = Collector::scripted(protocol, Signal::Traces, hanging);
        let sink =
            start(&own(collector.serve().await, protocol), &[("OTEL_METRICS_EXPORTER", "none")]);
        sink.take(spans(20_000));
        collector.until(|seen| !seen.traces.is_empty()).await;
        sink.take(alerts(1_500));
        let before = Instant::now();
        collector.until(|seen| seen.accepted.len() == 1_500).await;
        assert!(before.elapsed() < Duration::from_secs(3), "{:?}", before.elapsed());
        let mut delivery = sink.delivery();
        let state = delivery.wait_for(|state| state.waiting == 0).await.unwrap().clone();
        assert_eq!((state.given_up, state.rejected, state.last_error), (0, 0, None));
        let report = sink.shutdown(Duration::from_millis(300)).await;
        assert!(report.alerts_left == 0 && report.spans_left > 0, "{report}");
    }
}

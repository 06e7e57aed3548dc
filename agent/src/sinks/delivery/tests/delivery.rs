use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokenwatch_core::engine::Report;
use tokenwatch_core::findings::Severity;
use tokenwatch_core::ledger::AlertEvent;

use tokenwatch_otlp::protocol::{Compression, Protocol};

use super::collector::{Answer, Collector};
use super::sample::{alert, snapshot};
use crate::config::otlp::tests::{resolved, resource_of_node_1};
use crate::config::otlp::{ALERT_MEMORY, OwnOtlp};
use crate::sinks::{ShutdownReport, Sink, SnapshotSource};

const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::HttpProtobuf];

pub(super) fn own(address: SocketAddr, protocol: Protocol) -> OwnOtlp {
    OwnOtlp {
        endpoint: Some(format!("http://{address}")),
        protocol: Some(protocol),
        timeout: Some(Duration::from_millis(400)),
        ..OwnOtlp::default()
    }
}

/// Alerts only.
pub(super) fn sink(own: &OwnOtlp) -> Sink {
    start(own, &[("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "none")])
}

pub(super) fn start(own: &OwnOtlp, vars: &[(&str, &str)]) -> Sink {
    let snapshot: SnapshotSource = Arc::new(snapshot);
    Sink::otlp(resolved(own, vars), &resource_of_node_1(), &snapshot, None).unwrap()
}

pub(super) fn alerts(count: usize) -> Vec<Report> {
    (0..count)
        .map(|number| {
            Report::Alert(Box::new(alert(
                &format!("{number}"),
                AlertEvent::Raised,
                Severity::Warning,
            )))
        })
        .collect()
}

async fn delivered(script: &[Answer], count: usize) {
    for protocol in BOTH {
        let collector = Collector::new(protocol, script.iter().copied());
        let sink = sink(&own(collector.serve().await, protocol));
        sink.take(alerts(count));
        collector.until(|seen| seen.accepted.len() == count).await;
        assert!(sink.shutdown(Duration::from_secs(2)).await.is_clean(), "{protocol:?}");
        assert_eq!(
            collector.seen.lock().unwrap().accepted.len(),
            count,
            "{protocol:?}: sent again though accepted"
        );
    }
}

#[tokio::test]
async fn alerts_arrive() {
    delivered(&[], 3).await;
}

/// Whatever arises while a request was made just before leaves with the next one.
#[tokio::test]
async fn alerts_that_arise_together_leave_together() {
    for protocol in BOTH {
        let collector = Collector::new(protocol, []);
        let sink = sink(&own(collector.serve().await, protocol));
        sink.take(alerts(1));
        collector.until(|seen| seen.accepted.len() == 1).await;
        for _ in 0..20 {
            sink.take(alerts(1));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        collector.until(|seen| seen.accepted.len() == 21).await;
        let requests = collector.seen.lock().unwrap().requests;
        // A machine that stops for a while may make a request more; one for each would be 21.
        assert!((2..=4).contains(&requests), "{protocol:?}: {requests} requests");
        assert!(sink.shutdown(Duration::from_secs(2)).await.is_clean());
    }
}

#[tokio::test]
async fn a_busy_collector_is_tried_again() {
    delivered(&[Answer::Later], 3).await;
}

#[tokio::test]
async fn a_collector_that_hangs_is_tried_again_after_the_timeout() {
    delivered(&[Answer::Hang], 2).await;
}

#[tokio::test]
async fn a_connection_that_is_reset_costs_no_alert() {
    delivered(&[Answer::Reset], 2).await;
}

#[tokio::test]
async fn batches_that_are_too_large_are_halved() {
    delivered(&[Answer::TooMany(2), Answer::TooMany(2)], 4).await;
}

#[tokio::test]
async fn rejected_records_are_counted_and_reported_and_not_sent_again() {
    for protocol in BOTH {
        let collector = Collector::new(protocol, [Answer::Reject(1)]);
        let sink = sink(&own(collector.serve().await, protocol));
        let mut delivery = sink.delivery();
        sink.take(alerts(3));
        let state = delivery.wait_for(|state| state.last_error.is_some()).await.unwrap().clone();
        assert_eq!((state.waiting, state.given_up, state.rejected), (0, 0, 1));
        assert_eq!(sink.owed()().len(), 3, "the next agent raises them again");
        assert!(state.last_error.unwrap().ends_with("1 alerts rejected for good: too old"));
        assert!(sink.shutdown(Duration::from_secs(1)).await.is_clean());
        assert_eq!(collector.seen.lock().unwrap().requests, 1);
    }
}

#[tokio::test]
async fn a_refusing_collector_costs_no_alert_and_is_reported() {
    for protocol in BOTH {
        let collector = Collector::new(protocol, [Answer::Refuse; 50]);
        let sink = sink(&own(collector.serve().await, protocol));
        let mut delivery = sink.delivery();
        sink.take(alerts(2));
        let state = delivery.wait_for(|state| state.last_error.is_some()).await.unwrap().clone();
        assert_eq!((state.waiting, state.given_up, state.waiting_since.is_some()), (2, 0, true));
        let report = sink.shutdown(Duration::from_millis(300)).await;
        assert_eq!(report, ShutdownReport { alerts_left: 2, ..ShutdownReport::default() });
    }
}

#[tokio::test]
async fn a_collector_that_comes_up_late_gets_everything() {
    for protocol in BOTH {
        let address = Collector::new(protocol, []).serve().await; // a port that is free in a moment
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_ne!(address, free);
        let sink = sink(&own(free, protocol));
        let mut delivery = sink.delivery();
        sink.take(alerts(3));
        delivery.wait_for(|state| state.waiting == 3).await.unwrap();
        let collector = Collector::new(protocol, []);
        collector.serve_at(free, None).await;
        collector.until(|seen| seen.accepted.len() == 3).await;
        delivery.wait_for(|state| state.waiting == 0 && state.last_error.is_none()).await.unwrap();
    }
}

#[tokio::test]
async fn gzip_and_headers_reach_the_collector() {
    for (protocol, header) in
        [(Protocol::Grpc, "grpc-encoding"), (Protocol::HttpProtobuf, "content-encoding")]
    {
        let collector = Collector::new(protocol, []);
        let own = own(collector.serve().await, protocol);
        let own = OwnOtlp {
            compression: Some(Compression::Gzip),
            headers: vec![("x-tenant".into(), "a b".into())],
            ..own
        };
        let sink = sink(&own);
        sink.take(alerts(1));
        collector.until(|seen| seen.accepted.len() == 1).await;
        let headers = collector.seen.lock().unwrap().headers.clone();
        assert_eq!(
            (headers[header].to_str().unwrap(), headers["x-tenant"].to_str().unwrap()),
            ("gzip", "a b")
        );
    }
}

#[tokio::test]
async fn taking_never_waits_and_stopping_ends_in_time_while_the_collector_hangs() {
    let collector = Collector::new(Protocol::Grpc, [Answer::Hang; 50]);
    let own = OwnOtlp {
        timeout: Some(Duration::from_mins(1)),
        ..own(collector.serve().await, Protocol::Grpc)
    };
    let sink = sink(&own);
    for _ in 0..10 {
        sink.take(alerts(1_000));
    }
    collector.until(|seen| seen.requests == 1).await;
    let before = Instant::now();
    let report = sink.shutdown(Duration::from_millis(300)).await;
    assert!(before.elapsed() < Duration::from_secs(1));
    assert!((1..=ALERT_MEMORY as u64 / 512).contains(&report.alerts_left), "{report}");
}

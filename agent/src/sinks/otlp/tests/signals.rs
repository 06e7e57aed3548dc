use std::time::Duration;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use tokenwatch_core::action::Action;
use tokenwatch_core::findings::{Code, Severity};
use tokenwatch_core::schema;
use tokenwatch_core::time::Delta;

use super::collector::Collector;
use super::delivery::{own, start};
use super::sample::span;
use crate::sinks::otlp::Protocol;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_and_metrics_arrive_when_the_agent_stops() {
    let collector = Collector::new(Protocol::HttpProtobuf, []);
    let sink = start(&own(collector.serve().await, Protocol::HttpProtobuf), &[]);
    let spans = [schema::SPAN_GENERATION, schema::SPAN_FRESH].map(|name| Action::Span(Box::new(span(name))));
    sink.take(spans.into());
    sink.take(vec![Action::Rotation { delay: Delta::from_secs(-4) }, Action::Rotation { delay: Delta::from_secs(40) }]);
    let report = sink.shutdown(Duration::from_secs(5)).await;
    assert!(report.is_clean(), "{report}");
    let seen = collector.seen.lock().unwrap();
    let spans: Vec<_> = seen.traces.iter().flat_map(|request| &request.resource_spans).flat_map(|spans| &spans.scope_spans).collect();
    assert_eq!(spans.iter().map(|scope| scope.spans.len()).sum::<usize>(), 2);
    let metrics: Vec<_> = seen
        .metrics
        .iter()
        .flat_map(|request| &request.resource_metrics)
        .flat_map(|part| &part.scope_metrics)
        .flat_map(|scope| &scope.metrics)
        .collect();
    let named = |name: &str| metrics.iter().find(|metric| metric.name == name);
    for name in [
        schema::METRIC_TOKENS,
        schema::METRIC_CLOCK_STATE,
        schema::METRIC_ALERTS,
        schema::METRIC_DROPPED,
        schema::METRIC_CPU,
        schema::METRIC_MEMORY,
    ] {
        assert!(named(name).is_some(), "{name} is missing");
    }
    // The sample's clock is assumed: no figure is told that nobody measured.
    assert!(named(schema::METRIC_CLOCK_OFFSET).is_none() && named(schema::METRIC_CLOCK_ERROR_BOUND).is_none());
    let Some(Data::Gauge(findings)) = &named(schema::METRIC_FINDINGS).unwrap().data else { panic!("no gauge") };
    let coded = findings.data_points.iter().filter(|point| point.attributes.iter().any(|attribute| attribute.key == schema::FINDING_CODE));
    assert_eq!(coded.count(), Code::ALL.len() * Severity::ALL.len(), "none is merged into `otel.metric.overflow`");
    let Some(Data::Histogram(delays)) = &named(schema::METRIC_ROTATION_DELAY).unwrap().data else { panic!("no histogram") };
    assert_eq!((delays.data_points[0].count, delays.data_points[0].sum), (2, Some(40.0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nobody_there_spans_are_dropped_and_stopping_ends_in_time() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sink = start(&own(free, Protocol::Grpc), &[]);
    for _ in 0..10 {
        sink.take((0..1_000).map(|_| Action::Span(Box::new(span(schema::SPAN_FRESH)))).collect());
    }
    let before = std::time::Instant::now();
    let report = sink.shutdown(Duration::from_millis(500)).await;
    assert!(before.elapsed() < Duration::from_secs(2) && report.spans_left <= 4_096, "{report}");
}

use std::collections::BTreeSet;
use std::time::Duration;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, NumberDataPoint};
use tokenwatch_core::base::schema;
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::engine::Report;
use tokenwatch_core::findings::{Code, Severity};
use tokenwatch_core::ledger::AlertEvent;

use tokenwatch_otlp::protocol::{Protocol, Temporality};

use super::collector::{Collector, Seen};
use super::delivery::{own, start};
use super::sample::{alert, span};
use crate::config::otlp::OwnOtlp;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_and_metrics_arrive_when_the_agent_stops() {
    let collector = Collector::new(Protocol::HttpProtobuf, []);
    let sink = start(&own(collector.serve().await, Protocol::HttpProtobuf), &[]);
    let spans = [schema::SPAN_GENERATION, schema::SPAN_FRESH]
        .map(|name| Report::Span(Box::new(span(name))));
    sink.take(spans.into());
    sink.take(vec![
        Report::Rotation { delay: Delta::from_secs(-4) },
        Report::Rotation { delay: Delta::from_secs(40) },
    ]);
    let report = sink.shutdown(Duration::from_secs(5)).await;
    assert!(report.is_clean(), "{report}");
    let seen = collector.seen.lock().unwrap();
    let spans: Vec<_> = seen
        .traces
        .iter()
        .flat_map(|request| &request.resource_spans)
        .flat_map(|spans| &spans.scope_spans)
        .collect();
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
    // The sample's clock is assumed: figures that nobody measured are absent.
    assert!(
        named(schema::METRIC_CLOCK_OFFSET).is_none()
            && named(schema::METRIC_CLOCK_ERROR_BOUND).is_none()
    );
    let Some(Data::Gauge(findings)) = &named(schema::METRIC_FINDINGS).unwrap().data else {
        panic!("no gauge")
    };
    let coded = findings.data_points.iter().filter(|point| {
        point.attributes.iter().any(|attribute| attribute.key == schema::FINDING_CODE)
    });
    assert_eq!(
        coded.count(),
        Code::ALL.len() * Severity::ALL.len(),
        "none is merged into `otel.metric.overflow`"
    );
    let Some(Data::Histogram(delays)) = &named(schema::METRIC_ROTATION_DELAY).unwrap().data else {
        panic!("no histogram")
    };
    assert_eq!((delays.data_points[0].count, delays.data_points[0].sum), (2, Some(40.0)));
}

/// What is exported in a few intervals in which two rotations happen and one alert is accepted, one
/// after the other.
async fn exported(temporality: Option<Temporality>, vars: &[(&str, &str)]) -> Vec<Metric> {
    let collector = Collector::new(Protocol::HttpProtobuf, []);
    let own = own(collector.serve().await, Protocol::HttpProtobuf);
    let sink = start(
        &OwnOtlp { temporality, metrics_interval: Some(Duration::from_millis(100)), ..own },
        vars,
    );
    let rotation = || vec![Report::Rotation { delay: Delta::from_secs(40) }];
    sink.take(rotation());
    sink.take(vec![Report::Alert(Box::new(alert("a", AlertEvent::Raised, Severity::Info)))]);
    collector
        .until(|seen| {
            seen.accepted.len() == 1 && named(seen, schema::METRIC_ROTATION_DELAY).len() == 1
        })
        .await;
    sink.take(rotation());
    let before = collector.seen.lock().unwrap().metrics.len();
    // The second rotation is in one of them, and one comes after it.
    collector.until(|seen| seen.metrics.len() >= before + 3).await;
    assert!(sink.shutdown(Duration::from_secs(5)).await.is_clean());
    let seen = collector.seen.lock().unwrap();
    all(&seen)
}

fn all(seen: &Seen) -> Vec<Metric> {
    let parts = seen
        .metrics
        .iter()
        .flat_map(|request| &request.resource_metrics)
        .flat_map(|part| &part.scope_metrics);
    parts.flat_map(|scope| &scope.metrics).cloned().collect()
}

fn named(seen: &Seen, name: &str) -> Vec<Metric> {
    all(seen).into_iter().filter(|metric| metric.name == name).collect()
}

/// The temporalities of each metric that has one, as the protocol numbers them.
fn temporalities(metrics: &[Metric], name: &str) -> BTreeSet<i32> {
    let of = |metric: &Metric| match metric.data.as_ref()? {
        Data::Sum(sum) => Some(sum.aggregation_temporality),
        Data::Histogram(histogram) => Some(histogram.aggregation_temporality),
        _ => None,
    };
    metrics.iter().filter(|metric| metric.name == name).filter_map(of).collect()
}

/// How many rotations each export holds.
fn rotations(metrics: &[Metric]) -> Vec<u64> {
    let counts = metrics
        .iter()
        .filter(|metric| metric.name == schema::METRIC_ROTATION_DELAY)
        .filter_map(|metric| match &metric.data {
            Some(Data::Histogram(histogram)) => {
                Some(histogram.data_points.iter().map(|point| point.count).sum())
            }
            _ => None,
        });
    counts.collect()
}

/// The figure of accepted alerts in each export.
fn accepted(metrics: &[Metric]) -> Vec<i64> {
    let is_accepted =
        |point: &NumberDataPoint| format!("{:?}", point.attributes).contains("accepted");
    let points =
        metrics.iter().filter(|metric| metric.name == schema::METRIC_ALERTS).filter_map(|metric| {
            match &metric.data {
                Some(Data::Sum(sum)) => {
                    sum.data_points.iter().find(|point| is_accepted(point)).cloned()
                }
                _ => None,
            }
        });
    let figure = |point: NumberDataPoint| match point.value {
        Some(Value::AsInt(value)) => value,
        other => panic!("{other:?}"),
    };
    points.map(figure).collect()
}

const PREFERENCE: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;
const DELTA: i32 = AggregationTemporality::Delta as i32;

/// Temporality of the histogram, of (observable) counters and of the up-down counter.
fn kinds(metrics: &[Metric]) -> [Vec<i32>; 4] {
    [
        schema::METRIC_ROTATION_DELAY,
        schema::METRIC_ALERTS,
        schema::METRIC_CPU,
        schema::METRIC_MEMORY,
    ]
    .map(|name| temporalities(metrics, name).into_iter().collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_cumulative_by_default() {
    let metrics = exported(None, &[]).await;
    assert_eq!(kinds(&metrics), [[CUMULATIVE], [CUMULATIVE], [CUMULATIVE], [CUMULATIVE]]);
    assert_eq!((rotations(&metrics).first(), rotations(&metrics).last()), (Some(&1), Some(&2)));
    assert_eq!(accepted(&metrics).last(), Some(&1));
    assert!(accepted(&metrics).is_sorted());
    let is_monotonic = |name: &str| match metrics
        .iter()
        .find(|metric| metric.name == name)
        .and_then(|metric| metric.data.clone())
    {
        Some(Data::Sum(sum)) => sum.is_monotonic,
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(
        [schema::METRIC_ALERTS, schema::METRIC_CPU, schema::METRIC_MEMORY].map(is_monotonic),
        [true, true, false]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_delta_each_event_is_in_one_export() {
    let by_setting = exported(Some(Temporality::Delta), &[(PREFERENCE, "cumulative")]).await;
    let by_variable = exported(None, &[(PREFERENCE, "DeLTa")]).await;
    for metrics in [by_setting, by_variable] {
        assert_eq!(kinds(&metrics), [[DELTA], [DELTA], [DELTA], [CUMULATIVE]]);
        assert_eq!(rotations(&metrics), [1, 1]);
        assert_eq!(accepted(&metrics).iter().sum::<i64>(), 1, "{:?}", accepted(&metrics));
    }
}

/// The specification's mix: delta for what is counted as it happens, cumulative for what is
/// observed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lowmemory_is_delta_where_that_costs_none() {
    let metrics = exported(None, &[(PREFERENCE, "LowMemory")]).await;
    assert_eq!(kinds(&metrics), [[DELTA], [CUMULATIVE], [CUMULATIVE], [CUMULATIVE]]);
    assert_eq!(rotations(&metrics), [1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_signal_carries_resource_scope_and_schema() {
    let collector = Collector::new(Protocol::HttpProtobuf, []);
    let sink = start(&own(collector.serve().await, Protocol::HttpProtobuf), &[]);
    sink.take(vec![
        Report::Span(Box::new(span(schema::SPAN_FRESH))),
        Report::Alert(Box::new(alert("a", AlertEvent::Raised, Severity::Info))),
    ]);
    assert!(sink.shutdown(Duration::from_secs(5)).await.is_clean());
    let seen = collector.seen.lock().unwrap();
    let (trace, metric, log) = (
        &seen.traces[0].resource_spans[0],
        &seen.metrics[0].resource_metrics[0],
        &seen.logs[0].resource_logs[0],
    );
    let scopes =
        [&trace.scope_spans[0].scope, &metric.scope_metrics[0].scope, &log.scope_logs[0].scope];
    for scope in scopes {
        let scope = scope.as_ref().unwrap();
        assert_eq!(
            (scope.name.as_str(), scope.version.as_str()),
            ("tokenwatch", env!("CARGO_PKG_VERSION"))
        );
    }
    let urls = [
        &trace.schema_url,
        &trace.scope_spans[0].schema_url,
        &metric.schema_url,
        &metric.scope_metrics[0].schema_url,
        &log.schema_url,
        &log.scope_logs[0].schema_url,
    ];
    assert_eq!(urls, [schema::SCHEMA_URL; 6]);
    for resource in [&trace.resource, &metric.resource, &log.resource] {
        let mut names: Vec<_> =
            resource.as_ref().unwrap().attributes.iter().map(|pair| pair.key.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "host.name",
                "k8s.node.name",
                "service.instance.id",
                "service.name",
                "service.version"
            ]
        );
    }
}

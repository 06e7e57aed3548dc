use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokenwatch_core::base::schema::METRICS;
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::engine::{
    ClusterFigures, FindingCounts, NamedFinding, NamedFindings, NamedPod, Report, Snapshot,
};
use tokenwatch_core::findings::{CauseId, Code, Severity};
use tokenwatch_core::world::privileges::Level;
use tokenwatch_core::world::refusals::{RefusalFigures, RefusalReason};
use tokenwatch_otlp::Resource;

use super::*;
use crate::sinks::metrics::{Metrics, Pull};
use crate::sinks::{SnapshotSource, delivery};

fn counts(by_code: impl IntoIterator<Item = ((Code, Severity), u64)>) -> FindingCounts {
    FindingCounts { by_code: by_code.into_iter().collect(), ..FindingCounts::default() }
}

fn named(cause: &CauseId, is_proven: bool) -> NamedFinding {
    NamedFinding {
        code: Code::Expired,
        severity: Severity::Critical,
        cause: Some(cause.clone()),
        pod: Some(NamedPod {
            namespace: Some("shop".to_owned()),
            name: Some("cart-0".to_owned()),
            uid: "u-1".to_owned(),
            is_proven,
        }),
    }
}

/// Every metric of the schema.
fn all_metrics(format: Format) -> String {
    let cause = CauseId::new("workload", &["shop", "Deployment", "cart"]);
    let mut snapshot = Snapshot {
        findings: FindingCounts {
            by_code: BTreeMap::from([((Code::Expired, Severity::Critical), 2)]),
            by_cause: BTreeMap::from([((cause.clone(), Code::Expired, Severity::Critical), 2)]),
            named: NamedFindings {
                all: [true, false].map(|is_proven| named(&cause, is_proven)).into(),
                left_out: BTreeMap::from([((Code::Expired, Severity::Info), 9)]),
            },
        },
        nearest_deadline: Some(Delta::from_millis(1_500)),
        sources: BTreeMap::from([("a \"quoted\"\\\n source".to_owned(), true)]),
        rung: Some(Level::Files),
        cluster: Some(ClusterFigures { pods: 7, age: Delta::from_secs(3) }),
        refusals: Some(RefusalFigures {
            by_reason: BTreeMap::from([(RefusalReason::Expired, 4)]),
            missed: 1,
        }),
        ..Snapshot::default()
    };
    snapshot.clock.assumed = false;
    let snapshot: SnapshotSource = Arc::new(move || snapshot.clone());
    let resource = Resource(vec![
        ("service.name".into(), "tokenwatch".into()),
        ("k8s.node.name".into(), "node-1".into()),
    ]);
    let pull = Pull::default();
    let metrics = Metrics::start(
        &delivery::origin(&resource, &Arc::default(), &snapshot),
        None::<Pull>,
        Some(pull.clone()),
    );
    metrics.take(&[40, -5].map(|secs| Report::Rotation { delay: Delta::from_secs(secs) }));
    write(&pull.read().unwrap(), format)
}

#[test]
fn every_metric_of_the_schema_is_exposed_under_its_name() {
    let text = all_metrics(Format::OpenMetrics);
    for metric in METRICS {
        let name = metric.name.replace('.', "_");
        let unit = match metric.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            thing => {
                assert!(
                    thing.starts_with('{'),
                    "{}: Prometheus calls a gauge of unit 1 a ratio",
                    metric.name
                );
                ""
            }
        };
        let kind = if metric.instrument == "updowncounter" { "gauge" } else { metric.instrument };
        assert!(text.contains(&format!("# TYPE {name}{unit} {kind}\n")), "{}: {text}", metric.name);
        assert!(
            text.contains(&format!("# HELP {name}{unit} {}", escaped(metric.meaning, true))),
            "{}",
            metric.name
        );
    }
}

#[test]
fn both_formats_follow_their_specifications() {
    let (open, text) = (all_metrics(Format::OpenMetrics), all_metrics(Format::Text));
    for (line, in_open, in_text) in [
        ("# EOF", true, false),
        ("# TYPE target info", true, false),
        ("# TYPE target_info gauge", false, true),
        ("target_info{k8s_node_name=\"node-1\",service_name=\"tokenwatch\"} 1", true, true),
        ("# TYPE tokenwatch_alerts counter", true, false),
        ("# TYPE tokenwatch_alerts_total counter", false, true),
        (
            "tokenwatch_alerts_total{outcome=\"accepted\",tokenwatch_outcome=\"accepted\"} 0",
            true,
            true,
        ),
        ("# UNIT tokenwatch_rotation_delay_seconds seconds", true, false),
        ("tokenwatch_rotation_delay_seconds_bucket{le=\"0.0\"} 1", true, true),
        ("tokenwatch_rotation_delay_seconds_bucket{le=\"+Inf\"} 2", true, true),
        ("tokenwatch_rotation_delay_seconds_sum 40", true, true),
        ("tokenwatch_rotation_delay_seconds_count 2", true, true),
        ("tokenwatch_deadline_min_seconds 1.5", true, true),
        ("tokenwatch_privilege{tokenwatch_privilege_rung=\"files\"} 1", true, true),
        (
            "tokenwatch_findings{tokenwatch_finding_code=\"token.expired\",\
             tokenwatch_finding_severity=\"critical\"} 2",
            true,
            true,
        ),
        (
            "tokenwatch_finding_info{k8s_namespace_name=\"shop\",k8s_pod_name=\"cart-0\",\
             tokenwatch_cause_id=\"workload:shop/Deployment/cart\",\
             tokenwatch_finding_code=\"token.expired\",\
             tokenwatch_finding_severity=\"critical\"} 1",
            true,
            true,
        ),
        (
            "tokenwatch_finding_info{k8s_namespace_name=\"shop\",k8s_pod_name=\"cart-0\",\
             k8s_pod_uid=\"u-1\",tokenwatch_cause_id=\"workload:shop/Deployment/cart\",\
             tokenwatch_finding_code=\"token.expired\",\
             tokenwatch_finding_severity=\"critical\"} 1",
            true,
            true,
        ),
        (
            "tokenwatch_finding_left_out{tokenwatch_finding_code=\"token.expired\",\
             tokenwatch_finding_severity=\"info\"} 9",
            true,
            true,
        ),
        (
            "tokenwatch_sources_up{source=\"a \\\"quoted\\\"\\\\\\n source\",\
             tokenwatch_source=\"a \\\"quoted\\\"\\\\\\n source\"} 1",
            true,
            true,
        ),
    ] {
        assert_eq!(
            (open.lines().any(|one| one == line), text.lines().any(|one| one == line)),
            (in_open, in_text),
            "{line}\n{open}"
        );
    }
    assert!(open.ends_with("# EOF\n"));
}

/// The SDK would let what one reader observed reach the other one, after it ended.
#[test]
fn a_finding_that_is_resolved_is_in_no_scrape() {
    let finding = ((Code::Expired, Severity::Critical), 1);
    let findings = Arc::new(Mutex::new(BTreeMap::from([finding])));
    let now = Arc::clone(&findings);
    let snapshot: SnapshotSource = Arc::new(move || Snapshot {
        findings: counts(now.lock().unwrap().clone()),
        ..Snapshot::default()
    });
    let (push, pull) = (Pull::default(), Pull::default());
    let (resource, counters) = (Resource(Vec::new()), Arc::default());
    let origin = delivery::origin(&resource, &counters, &snapshot);
    let metrics = Metrics::start(&origin, Some(push.clone()), Some(pull.clone()));
    metrics.take(&[Report::Rotation { delay: Delta::from_secs(40) }]);
    let shows = |reader: &Pull| {
        let text = write(&reader.read().unwrap(), Format::Text);
        assert!(text.contains("tokenwatch_rotation_delay_seconds_count 1"), "{text}");
        text.contains("tokenwatch_finding_code=\"token.expired\"")
    };
    assert!(shows(&push), "an export while it is active");
    findings.lock().unwrap().clear();
    assert!(!shows(&pull), "the first scrape after it was resolved");
    findings.lock().unwrap().extend([finding]);
    assert!(shows(&pull));
    findings.lock().unwrap().clear();
    assert!(!shows(&push), "the first export after it was resolved");
}

#[test]
fn the_format_follows_the_accept_header() {
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
    for (accept, format) in [
        (Some(prometheus), Format::OpenMetrics),
        (Some("application/openmetrics-text"), Format::OpenMetrics),
        (Some("application/openmetrics-text;q=0, text/plain"), Format::Text),
        (Some("text/html"), Format::Text),
        (None, Format::Text),
    ] {
        assert_eq!(Format::accepted(accept), format, "{accept:?}");
    }
}

#[test]
fn labels_that_become_the_same_name_are_written_once() {
    let labels =
        sorted(vec![label("a.b", &"1".into()), label("a_b", &"2".into()), label("0", &"x".into())]);
    assert_eq!(braced(&labels), "{_0=\"x\",a_b=\"1\"}");
}

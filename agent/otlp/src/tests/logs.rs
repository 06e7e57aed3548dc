use opentelemetry_proto::tonic::common::v1 as proto;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::findings::Severity;
use tokenwatch_core::ledger::AlertEvent;

use super::sample::alert;
use crate::logs::{encode, record, sentence};

/// `name = value`, one per line.
fn listed(record: &LogRecord) -> String {
    let value =
        |value: &Option<proto::AnyValue>| match value.as_ref().and_then(|any| any.value.as_ref()) {
            Some(any_value::Value::StringValue(text)) => text.clone(),
            Some(any_value::Value::DoubleValue(number)) => number.to_string(),
            other => format!("{other:?}"),
        };
    let attributes =
        record.attributes.iter().map(|pair| format!("{} = {}", pair.key, value(&pair.value)));
    let head = format!(
        "{} {} {} | {}",
        record.event_name,
        record.severity_number,
        record.severity_text,
        value(&record.body)
    );
    std::iter::once(head).chain(attributes).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_alert_becomes_the_log_record_of_the_contract() {
    let record = record(
        &alert("f00d", AlertEvent::Raised, Severity::Critical),
        Wall::from_secs(1_700_000_001),
    );
    insta::assert_snapshot!(listed(&record), @r"
    tokenwatch.finding.raised 17 ERROR | the token of shop/cart-0 has expired
    tokenwatch.finding.id = f00d
    tokenwatch.finding.code = token.expired
    tokenwatch.finding.severity = critical
    tokenwatch.finding.raised_at = 2023-11-14T22:13:20Z
    tokenwatch.finding.deadline = 2023-11-14T22:14:20Z
    tokenwatch.finding.remedy = delete the pod
    tokenwatch.finding.command = kubectl delete pod -n shop cart-0
    k8s.namespace.name = shop
    k8s.pod.name = cart-0
    k8s.pod.uid = uid-1
    k8s.volume.name = kube-api-access
    token.path = token
    tokenwatch.finding.evidence.late_by = 12.5
    ");
    assert_eq!(
        (record.time_unix_nano, record.observed_time_unix_nano),
        (1_700_000_000_000_000_000, 1_700_000_001_000_000_000)
    );
    assert_eq!((record.trace_id.len(), record.span_id.len(), record.flags), (16, 8, 1));
}

/// The cause, and the object of a command, stand at the end. Each part of a sentence is bounded.
#[test]
fn no_sentence_and_no_command_is_cut() {
    for length in [0, 1, 511, 512, 513, 2_000] {
        let text = format!("{} and its end: ä", "ab ".repeat(length / 3));
        let mut alert = alert("f00d", AlertEvent::Raised, Severity::Warning);
        let finding = std::sync::Arc::make_mut(&mut alert.finding);
        finding.summary.clone_from(&text);
        finding.remedy.text.clone_from(&text);
        finding.remedy.command = Some(text.clone());
        let record = record(&alert, Wall::default());
        let all = listed(&record);
        assert_eq!(all.matches(&text).count(), 3, "{all}");
        assert_eq!(sentence(&encode(&alert, Wall::default())).as_deref(), Some(&*text));
    }
}

#[test]
fn a_sentence_has_no_token_and_no_control_character() {
    let mut alert = alert("f00d", AlertEvent::Raised, Severity::Warning);
    let finding = std::sync::Arc::make_mut(&mut alert.finding);
    finding.summary = "a\u{1b}[2J eyJhbGciOiJSUzI1NiJ9.e30.c2ln".into();
    finding.remedy.command = Some("cat 'a\nb'".into());
    let all = listed(&record(&alert, Wall::default()));
    assert!(all.contains("| a\\u{1b}[2J [redacted: looks like a token]\n"), "{all}");
    assert!(all.contains("command = cat 'a\\u{a}b'"), "{all}");
}

#[test]
fn a_cleared_alert_carries_no_remedy() {
    let cleared = listed(&record(
        &alert("f00d", AlertEvent::Cleared, Severity::Critical),
        Wall::from_secs(1_700_000_001),
    ));
    assert!(cleared.starts_with("tokenwatch.finding.cleared 9 INFO"), "{cleared}");
    assert!(!cleared.contains("remedy") && !cleared.contains("command"), "{cleared}");
}

#[test]
fn severities_follow_the_finding_and_cleared_is_info() {
    let cases = [
        (AlertEvent::Raised, Severity::Info, 9, "INFO"),
        (AlertEvent::Raised, Severity::Warning, 13, "WARN"),
        (AlertEvent::Reminded, Severity::Critical, 17, "ERROR"),
        (AlertEvent::Cleared, Severity::Critical, 9, "INFO"),
    ];
    for (event, severity, number, text) in cases {
        let record = record(&alert("a", event, severity), Wall::default());
        assert_eq!((record.severity_number, record.severity_text.as_str()), (number, text));
    }
}

#[test]
fn the_sentence_of_an_encoded_alert_can_be_read_back() {
    let encoded =
        encode(&alert("a", AlertEvent::Raised, Severity::Critical), Wall::from_secs(1_700_000_001));
    assert_eq!(sentence(&encoded).as_deref(), Some("the token of shop/cart-0 has expired"));
    assert_eq!(sentence(&encoded[1..]), None);
}

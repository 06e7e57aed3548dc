use tokenwatch_core::base::ids::hex;
use tokenwatch_core::base::schema;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::base::value::{Attributes, Value};
use tokenwatch_core::traces::{Span, SpanKind};

use super::sample::span;
use crate::spans::{encode, record};
use crate::value::attributes;

/// The bytes that opentelemetry-otlp 0.33 sent for the same span, recorded when it sent the spans.
#[test]
fn a_span_becomes_the_bytes_that_the_sdks_exporter_sent() {
    let encoded = encode(&span(schema::SPAN_FRESH));
    let lines: Vec<String> = encoded.chunks(40).map(hex).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    0a1094ab3fcd6818f60547e2d5b977bb449b1208f9e0607c4f3785422208155f63025c1231cd2a0b
    746f6b656e2e667265736830013900002a36fe9c9717410058712e0c9d97174a160a0b746f6b656e
    2e737461746512070a0566726573685a0f0900002a36fe9c971712047365656e6a3b0a1094ab3fcd
    6818f60547e2d5b977bb449b1208155f63025c1231cd22180a0a746f6b656e2e6c696e6b120a0a08
    70726576696f757335010100007a0d12096974206661696c65641802850101010000
    ");
}

#[test]
fn a_root_without_error_has_no_parent_and_no_status_code() {
    let root = Span { parent: None, error: None, ..span(schema::SPAN_GENERATION) };
    let record = record(&root);
    assert!(record.parent_span_id.is_empty());
    assert_eq!(record.status.unwrap().code, 0);
}

#[test]
fn kinds_are_those_of_the_protocol() {
    let kind = |kind| record(&Span { kind, ..span(schema::SPAN_NTP) }).kind;
    assert_eq!((kind(SpanKind::Internal), kind(SpanKind::Client)), (1, 3));
}

#[test]
fn a_span_never_ends_before_it_starts_and_times_before_the_epoch_are_unknown() {
    let start = Wall::from_secs(1_700_000_000);
    let turned = record(&Span { start, end: start - Delta::from_secs(5), ..span("x") });
    assert_eq!(turned.start_time_unix_nano, turned.end_time_unix_nano);
    let ancient = record(&Span { start: Wall::from_secs(-5), ..span("x") });
    assert_eq!(ancient.start_time_unix_nano, 0);
}

#[test]
fn an_error_cannot_reach_a_terminal_raw() {
    let record = record(&Span { error: Some("bad\x1b[31m".into()), ..span("x") });
    assert_eq!(record.status.unwrap().message, "bad\\u{1b}[31m");
}

#[test]
fn every_type_of_value_has_its_own_in_the_protocol() {
    let all = Attributes(vec![
        ("bool".into(), Value::Bool(true)),
        ("int".into(), Value::Int(-3)),
        ("float".into(), Value::Float(0.5)),
        ("text".into(), Value::Text("x".into())),
        ("list".into(), Value::List(vec!["y".into()])),
    ]);
    let shown: Vec<String> = attributes(&all)
        .into_iter()
        .map(|pair| format!("{}: {:?}", pair.key, pair.value.unwrap().value.unwrap()))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    bool: BoolValue(true)
    int: IntValue(-3)
    float: DoubleValue(0.5)
    text: StringValue("x")
    list: ArrayValue(ArrayValue { values: [AnyValue { value: Some(StringValue("y")) }] })
    "#);
}

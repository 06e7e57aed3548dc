//! Whatever secret stands in settings that can hold one, and whatever slip of syntax is beside it,
//! no output repeats it.

use proptest::prelude::*;

use super::*;
use crate::environment::Environment;

/// Files with a secret in place of `S`.
const FILES: [&str; 38] = [
    "otlp:\n  headers: {authorization:S}",
    "otlp:\n  headers: {authorization: S}",
    "otlp:\n  headers: {authorization: Bearer, S}",
    "otlp:\n  headers: {S}",
    "otlp:\n  headers: {S: authorization}",
    "otlp:\n  headers: {'a S': x}",
    "otlp:\n  headers: [authorization: S]",
    "otlp:\n  headers: authorization=S",
    "otlp:\n  headers: {authorization: [S]}",
    "otlp:\n  headers: {authorization: {S: }}",
    "otlp:\n  headers:\n    authorization: S: x",
    "otlp:\n  headers:\n    authorization:S",
    "otlp:\n  headers:\n  authorization: S",
    "otlp:\n  headers:\n  S:",
    "otlp:\n  authorization:S",
    "otlp:\n  authorization:S: x",
    "otlp: {headers: {a: *S}}",
    "otlp: {headers: {a: &S}}",
    "otlp: {headers: {a: !S x}}",
    "otlp: {headers: {a: !<S> x}}",
    "otlp: {headers: {a: \"S}}",
    "otlp: {headers: {a: 'S}}",
    "otlp: {headers: {a: \"\\q S\"}}",
    "otlp: {headers: {a: \"S\\u00\"}}",
    "otlp: {headers: {a: S",
    "otlp: {headers: {a: %S, b: @S, c: `S}}",
    "otlp:\n  headers: |S\n   a",
    "otlp:\n\theaders: S",
    "otlp: S",
    "authorization:S",
    "S: x\nS: y",
    "otlp: {S: x, S: y}",
    "otlp: {endpoint: 'http://user:S@c:4318'}",
    "otlp: {endpoint: 'user:S@c:4318'}",
    "otlp: {endpoint: 'http//user:S@c'}",
    "otlp: {endpoint: 'http://c:4318/S'}",
    "otlp: {endpoint: 'http://c:4318?key=S'}",
    "%S\n---\nx: 1",
];

/// Variables with a secret in place of `S`.
const VARIABLES: [(&str, &str); 24] = [
    ("TOKENWATCH_OTLP_HEADERS", "authorization:S"),
    ("TOKENWATCH_OTLP_HEADERS", "authorization=Bearer S,S"),
    ("TOKENWATCH_OTLP_HEADERS", "S="),
    ("TOKENWATCH_OTLP_HEADERS", "a b S=x"),
    ("TOKENWATCH_OTLP_HEADERS", "a=S\u{7f}"),
    ("TOKENWATCH_OTLP_ENDPOINT", "user:S@c"),
    ("TOKENWATCH_OTLP_ENDPOINT", "http://user:S@c"),
    ("TOKENWATCH_OTLP_ENDPOINT", "http://c/S/v1/logs"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "authorization:S"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "S=x"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "a S=x"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20S,S=%zz"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "a=S\u{7f}"),
    ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "a=b,S"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:S@c"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:S @c"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "user:S"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "S://c"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c/S"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c?S"),
    ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c/receiver/S/v1/logs?key=S"),
    ("OTEL_RESOURCE_ATTRIBUTES", "a=b,S=%zz"),
    ("HTTP_PROXY", "http://user:S@proxy:x"),
    ("HTTP_PROXY", "socks5://user:S@proxy"),
];

/// Everything that is printed or logged of these settings, in lower case.
fn outputs(file: &str, environment: &Environment, flags: Vec<Flag>) -> String {
    super::fuzzed::outputs(file, environment, flags).to_lowercase()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn no_output_has_a_secret(secret in "[A-Za-z][0-9][A-Za-z0-9]{4,12}[0-9]") {
        let lower = secret.to_lowercase();
        let with = |text: &str| text.replace('S', &secret);
        for file in FILES {
            let out = outputs(&with(file), &Environment::default(), Vec::new());
            prop_assert!(!out.contains(&lower), "{}\n{}", file, out);
        }
        for (name, value) in VARIABLES {
            let value = with(value);
            let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c");
            let environment = Environment::of([base, (name, &*value)]);
            let out = outputs("", &environment, Vec::new());
            prop_assert!(!out.contains(&lower), "{}={}\n{}", name, value, out);
            let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == name) else {
                continue;
            };
            let flag = Flag { setting, name: setting.flag, texts: vec![value] };
            let out = outputs("", &Environment::default(), vec![flag]);
            prop_assert!(!out.contains(&lower), "--{}\n{}", setting.flag, out);
        }
    }
}

#[test]
fn what_is_hidden_is_still_a_mistake_with_its_place() {
    let of = |file| outputs(file, &Environment::default(), Vec::new());
    assert!(
        of("otlp:\n  headers: {authorization:S}").contains("tw.yaml:2:13: otlp.headers: a name")
    );
    assert!(of("otlp: {headers: {a: *S}}").starts_with("tw.yaml:1:"));
    let shown = of("otlp: {headers: {authorization: S, s3cr3t: x}}");
    assert!(shown.contains("{authorization: \"***\", ***: \"***\"}") || shown.contains("\"***\""));
    assert!(shown.contains("authorization"), "{shown}");
}

/// A variable that cannot be read is not one that is not set.
#[test]
fn a_variable_that_is_not_utf_8_is_a_mistake() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    let os = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let table: [(&[u8], &[u8], bool); 5] = [
        (b"TOKENWATCH_NODE", b"n\xff", true),
        (b"OTEL_EXPORTER_OTLP_HEADERS", b"a=\xff", true),
        (b"TOKENWATCH_N\xffDE", b"n", true),
        (b"https_proxy", b"\xff", true),
        (b"LS_COLORS", b"\xff", false),
    ];
    for (name, value, is_mistake) in table {
        let environment = Environment::of_os([(os(name), os(value))]);
        let (_, mistakes) = read(&Given { file: None, environment: &environment, flags: vec![] });
        assert_eq!(mistakes.0.len(), usize::from(is_mistake), "{mistakes}");
        assert!(mistakes.0.iter().all(|one| one.message.contains("not UTF-8")), "{mistakes}");
    }
}

use std::time::Duration;

use tokenwatch_otlp::protocol::{Compression, Protocol};

use super::*;
use crate::environment::Environment;

fn resolve(vars: &[(&str, &str)]) -> Result<Option<Settings>, Vec<String>> {
    let resolved = Settings::resolve(&OwnOtlp::default(), &Environment::of(vars.iter().copied()));
    resolved.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

fn settings(vars: &[(&str, &str)]) -> Settings {
    resolve(vars).unwrap().unwrap()
}

fn logs(vars: &[(&str, &str)]) -> Target {
    settings(vars).logs.unwrap()
}

/// For the tests of senders.
pub(crate) fn resolved(own: &OwnOtlp, vars: &[(&str, &str)]) -> Settings {
    Settings::resolve(own, &Environment::of(vars.iter().copied())).unwrap().unwrap()
}

/// That of an agent on node-1, whose host is host-1.
pub(crate) fn resource_of_node_1() -> tokenwatch_otlp::Resource {
    let identity = Identity { node: Some("node-1".into()), host: Some("host-1".into()) };
    resource(&Environment::default(), &identity).unwrap()
}

const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

#[test]
fn without_an_endpoint_or_when_disabled_nothing_is_sent() {
    assert!(resolve(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap().is_none());
    assert!(resolve(&[(BASE, "http://c:4318"), ("OTEL_SDK_DISABLED", "TRUE")]).unwrap().is_none());
}

#[test]
fn endpoints_follow_the_specification() {
    let cases = [
        (BASE, "http://c:4318", "http/protobuf", "http://c:4318/v1/logs"),
        (BASE, "https://c/sub/", "http/protobuf", "https://c/sub/v1/logs"),
        (
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
            "http://c:4318/in",
            "http/protobuf",
            "http://c:4318/in",
        ),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c:4318", "http/protobuf", "http://c:4318/"),
        (BASE, "http://c:4317/ignored", "grpc", "http://c:4317/"),
        (BASE, "c:4317", "grpc", "https://c:4317/"),
    ];
    for (name, text, protocol, url) in cases {
        let target = logs(&[(name, text), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]);
        assert_eq!(target.endpoint.to_string(), url, "{name}={text}");
    }
}

#[test]
fn a_grpc_endpoint_without_scheme_is_plain_text_only_on_request() {
    let target = logs(&[(BASE, "c:4317"), ("OTEL_EXPORTER_OTLP_INSECURE", "true")]);
    assert_eq!(
        (target.protocol, target.endpoint.to_string().as_str()),
        (Protocol::Grpc, "http://c:4317/")
    );
    assert_eq!(logs(&[(BASE, "http://c:4318")]).protocol, Protocol::HttpProtobuf);
}

#[test]
fn a_signals_own_variable_overrides_the_general_one_and_own_settings_override_both() {
    let vars = [
        (BASE, "http://c:4318"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-env=a%20b, authorization=Bearer%20s"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://other:4318/x"),
    ];
    let target = logs(&vars);
    assert_eq!(
        (target.timeout, target.compression),
        (Duration::from_millis(500), Compression::Gzip)
    );
    assert_eq!(target.headers["x-env"], "a b");
    assert!(!format!("{target:?}").contains("Bearer"));
    let own = OwnOtlp {
        endpoint: Some("http://own:4318".into()),
        headers: vec![("X-Env".into(), "own".into())],
        timeout: Some(Duration::from_secs(3)),
        ..OwnOtlp::default()
    };
    let target = Settings::resolve(&own, &Environment::of(vars)).unwrap().unwrap().logs.unwrap();
    assert_eq!(target.endpoint.to_string(), "http://own:4318/v1/logs");
    assert_eq!(
        (target.headers["x-env"].to_str().unwrap(), target.timeout),
        ("own", Duration::from_secs(3))
    );
    assert_eq!(target.headers["authorization"], "Bearer s");
}

#[test]
fn all_mistakes_are_reported_together_and_none_twice() {
    let mistakes = resolve(&[
        (BASE, "ftp://c"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sometimes"),
    ])
    .unwrap_err();
    let expected = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "unknown value `http/json`: use grpc or http/protobuf"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "unsupported scheme `ftp`: use http:// or https://"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "an entry has no `=`: write name=value,name=value and percent-encode commas in \
             values (%2C)",
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "`10s` is not a duration: give whole milliseconds above 0, like 10000",
        ),
        (
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
            "a client key without its certificate: give both files (mTLS) or none",
        ),
        (
            "OTEL_METRIC_EXPORT_INTERVAL",
            "`0` is not a duration: give whole milliseconds above 0, like 10000",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "unknown value `sometimes`: use cumulative or delta or lowmemory",
        ),
    ];
    let expected = expected.map(|(name, why)| format!("environment variable {name}: {why}"));
    assert_eq!(mistakes, expected);
}

#[test]
fn alerts_without_endpoint_are_a_mistake_unless_they_are_switched_off() {
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/v1/traces");
    assert!(
        resolve(&[traces]).unwrap_err()[0].contains("TRACES_ENDPOINT: alerts have no endpoint")
    );
    let settings = settings(&[traces, ("OTEL_LOGS_EXPORTER", "none")]);
    assert!(settings.traces.is_some() && settings.metrics.is_none() && settings.logs.is_none());
}

#[test]
fn a_password_in_a_url_is_a_mistake_and_is_not_repeated() {
    let mistakes = resolve(&[(BASE, "http://user:hunter2@c:4318")]).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert!(!mistakes[0].contains("hunter2"));
}

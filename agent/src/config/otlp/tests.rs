use std::time::Duration;

use tokenwatch_otlp::protocol::{Compression, Protocol};

use super::*;
use crate::environment::Environment;

type Variables<'a> = &'a [(&'a str, &'a str)];

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

#[test]
fn the_resource_names_the_node_and_the_agents_own_pod() {
    let identity =
        Identity { node: Some("worker-1".into()), host: Some("tokenwatch-x2k4q".into()) };
    let of = |variables: &[(&str, &str)]| {
        resource(&Environment::of(variables.iter().copied()), &identity).unwrap()
    };
    let own = [
        ("k8s.namespace.name", "POD_NAMESPACE", "tokenwatch"),
        ("k8s.pod.name", "POD_NAME", "tokenwatch-x2k4q"),
        ("k8s.pod.uid", "POD_UID", "u-1"),
        ("k8s.container.name", "CONTAINER_NAME", "agent"),
    ];
    let in_a_pod = ("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    let given = own.map(|(_, variable, value)| (variable, value));
    // A shell on a node may have a variable of such a name.
    let [none, all] = [of(&given), of(&[&given[..], &[in_a_pod]].concat())];
    for (name, _, value) in own {
        assert_eq!((none.get(name), all.get(name)), (None, Some(value)));
    }
    for resource in [&none, &all] {
        let names = ["host.name", "k8s.node.name"].map(|name| resource.get(name));
        assert_eq!(names, [Some("worker-1"); 2], "the host's own name is only the pod's");
    }
    let given = of(&[in_a_pod, ("POD_NAME", "a"), ("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=b")]);
    assert_eq!(given.get("k8s.pod.name"), Some("b"));
}

/// Agents of two clusters on nodes of the same name are two instances.
#[test]
fn an_instance_is_a_node_and_a_host() {
    let id = |node: &str, host: &str| {
        let identity = Identity { node: Some(node.into()), host: Some(host.into()) };
        let resource = resource(&Environment::default(), &identity).unwrap();
        resource.get("service.instance.id").unwrap().to_owned()
    };
    assert_eq!(id("n1", "pod-a"), id("n1", "pod-a"));
    assert_ne!(id("n1", "pod-a"), id("n1", "pod-b"));
    assert_ne!(id("n1", "pod-a"), id("n2", "pod-a"));
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
        (BASE, "https://c:4317", "grpc", "https://c:4317/"),
    ];
    for (name, text, protocol, url) in cases {
        let target = logs(&[(name, text), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]);
        assert_eq!(target.endpoint.to_string(), url, "{name}={text}");
    }
}

#[test]
fn a_grpc_endpoint_may_lack_its_scheme_if_a_variable_says_which() {
    for (insecure, url) in [("true", "http://c:4317/"), ("false", "https://c:4317/")] {
        let target = logs(&[(BASE, "c:4317"), ("OTEL_EXPORTER_OTLP_INSECURE", insecure)]);
        let shown = target.endpoint.to_string();
        assert_eq!((target.protocol, shown.as_str()), (Protocol::Grpc, url));
    }
    assert_eq!(logs(&[(BASE, "http://c:4318")]).protocol, Protocol::HttpProtobuf);
}

#[test]
fn an_endpoint_without_a_scheme_is_one_mistake_whatever_else_is_set() {
    let texts = [
        "c:4317",
        "c:4318",
        "c",
        "c:4318/v1/logs",
        "c/otlp",
        "10.0.0.1:4317",
        "[fd00::1]:4317",
        "//c:4317",
        "http:c:4317",
        "http:/c:4317",
    ];
    for text in texts {
        for protocol in ["", "grpc", "http/protobuf"] {
            for name in [BASE, "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"] {
                let vars = [(name, text), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)];
                let mistakes = resolve(&vars).unwrap_err();
                let expected = format!(
                    "environment variable {name}: it has no scheme: write http:// (or \
                     https:// for TLS) before it"
                );
                assert_eq!(mistakes, [expected], "{protocol}");
            }
            let own = OwnOtlp { endpoint: Some(text.into()), ..OwnOtlp::default() };
            let vars = [("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)];
            let mistakes = Settings::resolve(&own, &Environment::of(vars)).unwrap_err();
            assert!(
                mistakes[0].to_string().starts_with("otlp.endpoint: it has no"),
                "{mistakes:?}"
            );
        }
    }
    let secret = resolve(&[(BASE, "user:hunter2@c:4317")]).unwrap_err();
    assert!(secret[0].contains("user and password") && !secret[0].contains("hunter2"));
}

/// Without a protocol, only the registered port of gRPC means gRPC.
#[test]
fn the_protocol_follows_from_the_port_or_from_the_specification() {
    let table = [
        ("http://c:4317", Protocol::Grpc),
        ("https://c:4317", Protocol::Grpc),
        ("http://c:4318", Protocol::HttpProtobuf),
        ("http://c:14317", Protocol::HttpProtobuf),
        ("http://c", Protocol::HttpProtobuf),
    ];
    for (endpoint, protocol) in table {
        assert_eq!(logs(&[(BASE, endpoint)]).protocol, protocol, "{endpoint}");
    }
}

#[test]
fn what_is_probably_not_meant_is_a_doubt_and_no_mistake() {
    let logs_endpoint = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
    let protocol = "OTEL_EXPORTER_OTLP_PROTOCOL";
    let table: [(Variables<'_>, &str); 7] = [
        (&[(BASE, "http://c:4318"), (protocol, "grpc")], "usual one of http/protobuf"),
        (&[(BASE, "http://c:4317"), (protocol, "http/protobuf")], "usual one of grpc"),
        (&[(BASE, "http://c:4318/v1/traces")], "the endpoint holds /v1/traces already"),
        (&[(BASE, "http://c:4318/otlp/v1/logs/")], "the endpoint holds /v1/logs already"),
        (&[(logs_endpoint, "http://c:4318")], "usually ends in /v1/logs"),
        (&[(BASE, "https://c:4318"), ("HTTPS_PROXY", "socks5://p:1")], "cannot use the proxy"),
        (&[(BASE, "http://c:4318/otlp")], ""),
    ];
    for (vars, expected) in table {
        let doubts = settings(vars).doubts();
        let all = doubts.join("\n");
        assert!(all.contains(expected), "{vars:?}: {doubts:?}");
        assert_eq!(doubts.is_empty(), expected.is_empty(), "{vars:?}: {doubts:?}");
    }
}

#[test]
fn each_signal_can_be_switched_off() {
    let named = |signal: &str| (format!("OTEL_{signal}_EXPORTER"), "none".to_owned());
    for off in ["LOGS", "TRACES", "METRICS"] {
        let (name, none) = named(off);
        let settings = settings(&[(BASE, "http://c:4318"), (&name, &none)]);
        let left: Vec<_> = settings.targets().map(|target| target.signal.name()).collect();
        assert_eq!(left.len(), 2, "{off}");
        assert!(!left.contains(&off.to_ascii_lowercase().as_str()), "{off}: {left:?}");
    }
}

#[test]
fn the_proxy_of_the_environment_is_part_of_the_target() {
    let vars = [(BASE, "https://c.example:4317"), ("HTTPS_PROXY", "http://u:secret@p:3128")];
    let target = logs(&vars);
    let shown = target.to_string();
    assert_eq!(
        shown,
        "https://c.example:4317/ (grpc) through the proxy http://p:3128 (HTTPS_PROXY)"
    );
    assert!(!format!("{target:?}").contains("secret"));
    let excepted = settings(&[vars[0], vars[1], ("NO_PROXY", ".example")]);
    assert!(excepted.logs.as_ref().unwrap().route.proxy().is_none());
    let why = ["NO_PROXY excepts c.example from the proxy of HTTPS_PROXY".to_owned()];
    assert_eq!((excepted.exceptions(), excepted.proxies()), (why.to_vec(), vec![]));
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
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "unsupported scheme: use http:// or https://"),
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

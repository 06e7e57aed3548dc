use bytes::Bytes;
use prost::Message as _;
use tokenwatch_core::base::time::Delta;
use tokenwatch_otlp::PartialSuccess;
use tokenwatch_otlp::protocol::Protocol::{Grpc, HttpProtobuf};

use super::super::news::warning;
use super::super::rpc::{Any, ProtoDuration, RetryInfo};
use super::*;
use crate::config::otlp::OwnOtlp;
use crate::config::otlp::tests::resolved;
use crate::network::{Certificate, Trouble};

const NOW: Time = Time { now: Wall::from_secs(1_700_000_000), offset: None };

/// The target of alerts.
fn target(endpoint: &str, vars: &[(&str, &str)]) -> Target {
    let own = OwnOtlp { endpoint: Some(endpoint.into()), ..OwnOtlp::default() };
    resolved(&own, vars).logs.unwrap()
}

fn collector() -> Target {
    target("http://c:4318", &[])
}

fn head(status: u16, headers: &[(&'static str, &str)]) -> Parts {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap().into_parts().0
}

#[test]
fn codes_follow_the_specification() {
    let cases = [
        (Code::Unavailable, Kind::Transient),
        (Code::DeadlineExceeded, Kind::Transient),
        (Code::DataLoss, Kind::Transient),
        (Code::ResourceExhausted, Kind::Data),
        (Code::InvalidArgument, Kind::Data),
        (Code::Unauthenticated, Kind::Refused),
        (Code::Unimplemented, Kind::Refused),
    ];
    for (code, kind) in cases {
        let failure = Failure::grpc(&Status::new(code, "x"), &collector());
        assert_eq!((failure.kind, failure.cause), (kind, Cause::Grpc(code)));
    }
    for (status, kind) in [
        (429, Kind::Transient),
        (503, Kind::Transient),
        (400, Kind::Data),
        (413, Kind::Data),
        (500, Kind::Refused),
        (401, Kind::Refused),
    ] {
        assert_eq!(http_kind(StatusCode::from_u16(status).unwrap()), kind, "{status}");
    }
}

#[test]
fn retry_info_turns_resource_exhausted_into_later() {
    let info = RetryInfo { retry_delay: Some(ProtoDuration { seconds: 3, nanos: 500_000_000 }) };
    let any = Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
        value: info.encode_to_vec(),
    };
    let details = RpcStatus { code: 8, message: String::new(), details: vec![any] }.encode_to_vec();
    let status = Status::with_details(Code::ResourceExhausted, "slow down", details.into());
    let failure = Failure::grpc(&status, &collector());
    assert_eq!(
        (failure.kind, failure.retry_after),
        (Kind::Transient, Some(Duration::from_millis(3_500)))
    );
}

#[test]
fn retry_after_is_seconds_or_a_date_and_nonsense_is_nothing() {
    let wait = |text: &str| {
        let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, text.parse().unwrap())]);
        retry_after(&headers, Wall::from_secs(784_111_770))
    };
    assert_eq!(wait("120"), Some(Duration::from_mins(2)));
    assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(7)));
    assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
    assert_eq!(wait("soon"), None);
}

#[test]
fn a_servers_message_cannot_reach_a_terminal_raw() {
    let body = RpcStatus { code: 3, message: "bad\x1b[31m".into(), details: vec![] };
    let failure = Failure::http(&head(400, &[]), &body.encode_to_vec(), &collector(), NOW.now);
    assert_eq!(failure.text, "HTTP 400 Bad Request: bad\\u{1b}[31m");
    let failure = Failure::grpc(&Status::unavailable("bad\x1b[31m"), &collector());
    assert_eq!(failure.text, "gRPC Unavailable: bad\\u{1b}[31m");
}

#[test]
fn a_grpc_reason_may_be_in_the_details_alone() {
    let details = RpcStatus { code: 3, message: "why".into(), details: vec![] }.encode_to_vec();
    let status = Status::with_details(Code::InvalidArgument, "", Bytes::from(details));
    assert_eq!(Failure::grpc(&status, &collector()).text, "gRPC InvalidArgument: why");
}

/// What a failure is explained by.
fn explained(cause: Cause, target: &Target) -> String {
    Failure::new(Kind::Refused, cause, "it failed").explained(target, NOW).text
}

#[test]
fn each_mistake_is_named_with_its_setting() {
    let (http, grpc) = (target("http://c:4318", &[]), target("http://c:4317", &[]));
    let tls = target("https://c:4317", &[]);
    let spoken = |tls, protocol| Cause::Speaks(Spoken { tls, protocol });
    let table: [(Cause, &Target, &[&str]); 21] = [
        (spoken(false, HttpProtobuf), &grpc, &["set the protocol http/protobuf", "4317"]),
        (spoken(false, Grpc), &http, &["set the protocol grpc", "otlp.protocol", "4318"]),
        (spoken(true, Grpc), &grpc, &["with TLS: write https://", "otlp.endpoint"]),
        (spoken(false, Grpc), &tls, &["without TLS: write http://"]),
        (spoken(true, Grpc), &http, &["write https://", "set the protocol grpc"]),
        (Cause::Connection(Trouble::NoTls), &tls, &["there is no TLS: write http://"]),
        (Cause::Http(401), &http, &["otlp.headers", "OTEL_EXPORTER_OTLP_HEADERS", "headersSecret"]),
        (Cause::Http(403), &http, &["check the credentials"]),
        (Cause::Grpc(Code::Unauthenticated), &grpc, &["check the credentials"]),
        (Cause::Grpc(Code::PermissionDenied), &grpc, &["check the credentials"]),
        (Cause::NotGrpc(403), &grpc, &["check the credentials"]),
        (Cause::NotGrpc(404), &grpc, &["not a gRPC one"]),
        (Cause::NotGrpc(200), &grpc, &["not a gRPC one"]),
        (Cause::Http(404), &http, &["service.pipelines.logs", "OTEL_LOGS_EXPORTER=none"]),
        (Cause::Grpc(Code::Unimplemented), &grpc, &["service.pipelines.logs", "receiver otlp"]),
        (Cause::Http(413), &http, &["sends less at once"]),
        (Cause::Http(429), &http, &["limits the rate"]),
        (Cause::Http(503), &http, &["tries again"]),
        (Cause::Http(307), &http, &["follows no redirection"]),
        (Cause::Http(415), &http, &["OTLP port", "otlp.protocol"]),
        (Cause::Proxy(Some(407)), &http, &["the proxy wants a login"]),
    ];
    for (cause, target, words) in table {
        let text = explained(cause, target);
        assert!(words.iter().all(|word| text.contains(word)), "{cause:?}: {text}");
        assert!(text.contains(&target.to_string()), "{text}");
    }
}

#[test]
fn a_wrong_path_is_distinguished_from_a_missing_pipeline() {
    let doubled = target("http://c:4318/v1/traces", &[]);
    let text = explained(Cause::Http(404), &doubled);
    assert!(text.contains("the path holds /v1/traces already"), "{text}");
    let vars = [("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c:4318")];
    let bare = resolved(&OwnOtlp::default(), &vars).logs.unwrap();
    let text = explained(Cause::Http(404), &bare);
    assert!(text.contains("its path usually ends in /v1/logs"), "{text}");
}

#[test]
fn an_endpoint_without_a_port_is_noticed() {
    let text = explained(Cause::Connection(Trouble::Closed), &target("http://c", &[]));
    assert!(text.contains("names no port, which means 80"), "{text}");
    let text = explained(Cause::Connection(Trouble::Late), &collector());
    assert!(text.contains("check that the collector runs"), "{text}");
}

#[test]
fn a_certificates_time_is_explained_by_a_clock_that_is_wrong() {
    let text = |certificate, offset: Option<i64>| {
        let time = Time { offset: offset.map(Delta::from_secs), ..NOW };
        let cause = Cause::Connection(Trouble::Certificate(certificate));
        let target = target("https://c:4318", &[]);
        Failure::new(Kind::Connection, cause, "bad").explained(&target, time).text
    };
    let soon = Some(1_700_000_600);
    let early = text(Certificate::NotYet(soon), Some(7_200));
    assert!(
        early.contains("this node's clock is 2h 00m behind true time; by true time"),
        "{early}"
    );
    let long_over = text(Certificate::Expired(Some(1_600_000_000)), Some(-7_200));
    assert!(long_over.contains("2h 00m ahead") && long_over.contains("not valid either"));
    let unknown = text(Certificate::NotYet(soon), None);
    assert!(unknown.contains("renew the collector's certificate, or correct"), "{unknown}");
}

#[test]
fn plain_http_at_a_tls_port_is_recognised_by_the_answer() {
    for body in [
        "Client sent an HTTP request to an HTTPS server.\n",
        "<html><h1>400 Bad Request</h1>The plain HTTP request was sent to HTTPS port</html>",
    ] {
        let failure = Failure::http(&head(400, &[]), body.as_bytes(), &collector(), NOW.now);
        assert_eq!(failure.kind, Kind::Refused, "no batch is halved for it");
        let text = failure.explained(&collector(), NOW).text;
        assert!(text.contains("write https://"), "{text}");
    }
}

#[test]
fn a_redirection_is_shown_with_its_target() {
    let head = head(308, &[("location", "https://c:4318/v1/logs")]);
    let failure = Failure::http(&head, b"", &collector(), NOW.now);
    assert_eq!(failure.text, "HTTP 308 Permanent Redirect to https://c:4318/v1/logs");
}

/// Whatever the collector repeats of it, and wherever.
#[test]
fn a_key_in_the_endpoint_is_not_shown() {
    let vars = [("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c/v1/logs?api-key=s3cret22chars")];
    let in_query = resolved(&OwnOtlp::default(), &vars).logs.unwrap();
    for target in [in_query, target("https://c/s3cret22chars", &[])] {
        let sent = target.endpoint.to_string();
        let partial = PartialSuccess { rejected: 1, message: sent.clone() };
        let redirected = head(308, &[("location", sent.as_str())]);
        let texts = [
            Failure::http(&redirected, b"", &target, NOW.now).text,
            Failure::http(&head(404, &[]), sent.as_bytes(), &target, NOW.now).text,
            Failure::not_grpc(&redirected, sent.as_bytes(), &target, NOW.now).text,
            Failure::grpc(&Status::unavailable(sent), &target).text,
            warning(&partial, "alerts", &target).unwrap().1,
        ];
        for text in texts {
            assert!(!text.contains("s3cret"), "{text}");
            assert!(text.contains("//c"), "the host is shown: {text}");
        }
    }
}

#[test]
fn a_failed_connection_names_the_proxy_that_was_not_used() {
    let excepted = target("http://c:4318", &[("HTTP_PROXY", "http://p:1"), ("NO_PROXY", "c")]);
    let unusable = target("http://c:4318", &[("HTTP_PROXY", "socks5://p:1")]);
    for (target, words) in [(excepted, "NO_PROXY excepts c"), (unusable, "cannot use the proxy")] {
        let failure = Failure::new(Kind::Connection, Cause::Connection(Trouble::Closed), "refused");
        let text = failure.explained(&target, NOW).text;
        assert!(text.contains(words), "{text}");
    }
}

//! What to do about a failed request, in words.

use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_otlp::protocol::{Protocol, Signal};
use tonic::Code;

use super::cause::{Cause, Spoken};
use crate::config::otlp::Target;
use crate::network::{Certificate, Trouble};

const ENDPOINT: &str = "otlp.endpoint, OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "otlp.protocol, OTEL_EXPORTER_OTLP_PROTOCOL";
const CREDENTIALS: &str = "check the credentials in the headers (otlp.headers, \
                           OTEL_EXPORTER_OTLP_HEADERS; in the chart otlp.headersSecret)";
const TOO_LARGE: &str = "the agent sends less at once; raise the collector's limit of a request \
                         (max_request_body_size, max_recv_msg_size_mib)";
const BUSY: &str = "the collector is busy, starts, or limits the rate: the agent tries again";
const NOT_OTLP: &str = "check that the endpoint is the collector's OTLP port";
const CA: &str = "name the authority that issued it (otlp.ca_file, \
                  OTEL_EXPORTER_OTLP_CERTIFICATE; in the chart otlp.tls.secret)";
const CLIENT: &str = "the collector wants a client certificate that it knows \
                      (otlp.client_cert_file and otlp.client_key_file; in the chart \
                      otlp.tls.client)";
const RENEW: &str = "renew the collector's certificate, or correct this node's clock";
const OTHER_NAME: &str = "the endpoint must name the collector as its certificate does";
const NETWORK: &str = "check network policies, firewalls and, where one is needed, HTTPS_PROXY";
const PROXY: &str = "the proxy must allow CONNECT to this host and port; NO_PROXY excepts a host";
const PROXY_LOGIN: &str = "the proxy wants a login: write it into its URL, http://user:password@…";

/// What is known about the clock when a request fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    pub(super) now: Wall,
    /// How far true time is ahead of the node's clock, where servers agree that it is off.
    pub(super) offset: Option<Delta>,
}

/// The advice; none where there is nothing to do but to wait.
pub(super) fn advice(cause: Cause, target: &Target, time: Time) -> Option<String> {
    match cause {
        Cause::Speaks(spoken) => Some(other_way(target, spoken)),
        Cause::Connection(trouble) => of_trouble(trouble, target, time),
        Cause::Http(status) => of_status(status, target),
        Cause::NotGrpc(status) => of_status(status, target).or_else(|| Some(no_grpc())),
        Cause::Grpc(code) => of_code(code, target),
        Cause::NotOtlp => Some(NOT_OTLP.to_owned()),
        Cause::Proxy(Some(407)) => Some(PROXY_LOGIN.to_owned()),
        Cause::Proxy(_) => Some(PROXY.to_owned()),
        Cause::Files | Cause::Rejected | Cause::Warned | Cause::Request => None,
    }
}

fn of_trouble(trouble: Trouble, target: &Target, time: Time) -> Option<String> {
    match trouble {
        Trouble::Closed | Trouble::Late => Some(port(target)),
        Trouble::Unreachable => Some(NETWORK.to_owned()),
        Trouble::NoTls => {
            Some(format!("there is no TLS: write http:// in the endpoint ({ENDPOINT})"))
        }
        Trouble::Certificate(certificate) => Some(of_certificate(certificate, time)),
        Trouble::ClientCertificate => Some(CLIENT.to_owned()),
        Trouble::Name | Trouble::Broken | Trouble::Tls => None,
    }
}

/// The scheme and the protocol that the endpoint answers to.
fn other_way(target: &Target, spoken: Spoken) -> String {
    let scheme = (spoken.tls != target.is_tls()).then(|| scheme(spoken.tls));
    let protocol = (spoken.protocol != target.protocol).then(|| protocol(spoken.protocol));
    scheme.into_iter().chain(protocol).collect::<Vec<_>>().join("; ")
}

fn scheme(tls: bool) -> String {
    let (with, write) = if tls { ("with", "https") } else { ("without", "http") };
    format!("the endpoint answers {with} TLS: write {write}:// in it ({ENDPOINT})")
}

fn protocol(spoken: Protocol) -> String {
    let (answers, port) = match spoken {
        Protocol::Grpc => ("gRPC, and not HTTP/1.1", "HTTP port, usually 4318"),
        Protocol::HttpProtobuf => ("HTTP/1.1, and not gRPC", "gRPC port, usually 4317"),
    };
    let name = spoken.name();
    format!(
        "the endpoint answers {answers}: set the protocol {name} ({PROTOCOL}), or use the \
         collector's {port}"
    )
}

fn no_grpc() -> String {
    format!(
        "an HTTP server answered, and not a gRPC one: use the collector's gRPC port, usually \
         4317, or the protocol http/protobuf ({PROTOCOL})"
    )
}

/// A URL without a port means 80 or 443, where collectors rarely listen.
fn port(target: &Target) -> String {
    let usual = "collectors listen on 4317 (gRPC) and 4318 (HTTP)";
    if target.endpoint.port_u16().is_some() {
        return format!("check that the collector runs and listens there; {usual}");
    }
    let port = if target.is_tls() { 443 } else { 80 };
    format!("the endpoint names no port, which means {port}; {usual}")
}

fn of_status(status: u16, target: &Target) -> Option<String> {
    match status {
        300..=399 => {
            Some("the agent follows no redirection: write its target as the endpoint".into())
        }
        401 | 403 => Some(CREDENTIALS.to_owned()),
        404 => Some(no_such_path(target)),
        405 | 415 | 426 | 505 => Some(format!("{NOT_OTLP}, and the protocol ({PROTOCOL})")),
        413 => Some(TOO_LARGE.to_owned()),
        429 | 502..=504 => Some(BUSY.to_owned()),
        _ => None,
    }
}

fn of_code(code: Code, target: &Target) -> Option<String> {
    match code {
        Code::Unauthenticated | Code::PermissionDenied => Some(CREDENTIALS.to_owned()),
        Code::Unimplemented => Some(no_pipeline(target.signal)),
        Code::ResourceExhausted => Some(TOO_LARGE.to_owned()),
        Code::Unavailable => Some(BUSY.to_owned()),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::DataLoss => None,
    }
}

/// Of a 404: the path is wrong, or nothing is configured there.
fn no_such_path(target: &Target) -> String {
    let (path, own) = (target.endpoint.path(), target.signal.http_path());
    if target.protocol == Protocol::Grpc {
        return no_grpc();
    }
    if !path.ends_with(own) {
        return format!(
            "the endpoint of a single signal is used as it is: its path usually ends in {own}"
        );
    }
    match target.doubled_path() {
        Some(first) => format!(
            "the path holds {first} already: write the endpoint without it ({ENDPOINT}), because \
             the agent appends {own}"
        ),
        None => no_pipeline(target.signal),
    }
}

/// A collector without a pipeline for a signal has no such path, or no such service.
fn no_pipeline(signal: Signal) -> String {
    let name = signal.name();
    let what = match signal {
        Signal::Logs => "alerts are log records",
        Signal::Traces => "spans are traces",
        Signal::Metrics => "these are metrics",
    };
    format!(
        "{what}: the collector's configuration needs service.pipelines.{name} with the receiver \
         otlp; OTEL_{}_EXPORTER=none sends none",
        name.to_ascii_uppercase()
    )
}

fn of_certificate(certificate: Certificate, time: Time) -> String {
    let by_clock = time.offset.and_then(|offset| certificate.by_clock(time.now, offset));
    by_clock.unwrap_or_else(|| match certificate {
        Certificate::NotYet(_) | Certificate::Expired(_) => RENEW.to_owned(),
        Certificate::Name => OTHER_NAME.to_owned(),
        Certificate::Issuer => CA.to_owned(),
        Certificate::Other => "the collector needs another certificate".to_owned(),
    })
}

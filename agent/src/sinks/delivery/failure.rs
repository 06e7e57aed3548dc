//! Why a request was not accepted, and what follows from it (OTLP specification, "OTLP/gRPC
//! Response" and "OTLP/HTTP Response").

use std::error::Error;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Wall;
use tonic::{Code, Status};

/// What kind of failure it is: what to do follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// No answer: not connected, disconnected, or too late.
    Connection,
    /// The collector is busy or starting: the same request may pass later.
    Transient,
    /// The collector cannot take this data (too large, not understood): less of it may pass.
    Data,
    /// The collector refuses the agent, or is no collector: nothing changes until somebody repairs
    /// the configuration.
    Refused,
}

/// One failed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    /// For people; safe to show.
    pub(super) text: String,
    /// How long the server requests to wait.
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    pub(super) fn new(kind: Kind, text: impl AsRef<str>) -> Self {
        Self { kind, text: shown(text.as_ref()).into_owned(), retry_after: None }
    }

    /// The same failure, to be treated as another kind.
    pub(super) fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// With the place before the text.
    pub(super) fn at(self, place: &impl std::fmt::Display) -> Self {
        Self { text: format!("{place}: {}", self.text), ..self }
    }

    /// An error of the connection, with the errors that caused it.
    pub(super) fn connection(error: &(dyn Error + 'static)) -> Self {
        Self::new(Kind::Connection, chain(error))
    }

    /// Over gRPC. A status with a source was made on our side: no answer came.
    pub(super) fn grpc(status: &Status) -> Self {
        if let Some(source) = status.source() {
            return Self::connection(source);
        }
        let retry_after = retry_info(status.details());
        let kind = grpc_kind(status.code(), retry_after.is_some());
        let text = format!("{:?} {}", status.code(), status.message());
        Self { retry_after, ..Self::new(kind, text.trim_end()) }
    }

    /// Over HTTP. The body of an error is a `google.rpc.Status`.
    pub(super) fn http(status: StatusCode, headers: &HeaderMap, body: &[u8], now: Wall) -> Self {
        let message = <RpcStatus as prost::Message>::decode(body)
            .map(|status| status.message)
            .unwrap_or_default();
        let text = format!("HTTP {status} {message}");
        Self {
            retry_after: retry_after(headers, now),
            ..Self::new(http_kind(status), text.trim_end())
        }
    }
}

/// The specification's tables. Codes that it calls not retryable differ here by what can help.
fn grpc_kind(code: Code, has_retry_info: bool) -> Kind {
    match code {
        Code::ResourceExhausted if !has_retry_info => Kind::Data,
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Kind::Transient,
        Code::InvalidArgument => Kind::Data,
        Code::Ok
        | Code::Unknown
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Unimplemented
        | Code::Internal
        | Code::Unauthenticated => Kind::Refused,
    }
}

fn http_kind(status: StatusCode) -> Kind {
    match status.as_u16() {
        429 | 502 | 503 | 504 => Kind::Transient,
        400 | 413 | 422 => Kind::Data,
        _ => Kind::Refused,
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110 section 10.2.3).
fn retry_after(headers: &HeaderMap, now: Wall) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(secs) = text.parse() {
        return Some(Duration::from_secs(secs));
    }
    let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    Some((Wall::from_secs(date.timestamp()) - now).to_std())
}

/// `google.rpc.RetryInfo` among the details of a status.
fn retry_info(details: &[u8]) -> Option<Duration> {
    let status = <RpcStatus as prost::Message>::decode(details).ok()?;
    let info = status.details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = <RetryInfo as prost::Message>::decode(info.value.as_slice()).ok()?.retry_delay?;
    let nanos = u32::try_from(delay.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(delay.seconds).ok()?, nanos))
}

/// The errors from the outermost to the cause, without what a wrapper only repeats.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        next = error.source();
    }
    text
}

/// google/rpc/status.proto
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<Any>,
}

/// google/protobuf/any.proto
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

/// google/rpc/error_details.proto
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) retry_delay: Option<ProtoDuration>,
}

/// google/protobuf/duration.proto
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ProtoDuration {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

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
            assert_eq!(Failure::grpc(&Status::new(code, "x")).kind, kind, "{code:?}");
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
        let info =
            RetryInfo { retry_delay: Some(ProtoDuration { seconds: 3, nanos: 500_000_000 }) };
        let any = Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
            value: info.encode_to_vec(),
        };
        let details =
            RpcStatus { code: 8, message: String::new(), details: vec![any] }.encode_to_vec();
        let failure = Failure::grpc(&Status::with_details(
            Code::ResourceExhausted,
            "slow down",
            details.into(),
        ));
        assert_eq!(
            (failure.kind, failure.retry_after),
            (Kind::Transient, Some(Duration::from_millis(3_500)))
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_nonsense_is_nothing() {
        let wait = |text: &str| {
            let headers =
                HeaderMap::from_iter([(http::header::RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers, Wall::from_secs(784_111_770))
        };
        assert_eq!(wait("120"), Some(Duration::from_mins(2)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn a_servers_message_cannot_reach_a_terminal_raw() {
        let body =
            RpcStatus { code: 3, message: "bad\x1b[31m".into(), details: vec![] }.encode_to_vec();
        let failure =
            Failure::http(StatusCode::BAD_REQUEST, &HeaderMap::new(), &body, Wall::default());
        assert_eq!(failure.text, "HTTP 400 Bad Request bad\\u{1b}[31m");
    }
}

//! Why a request was not accepted, and what follows from it (OTLP specification, "OTLP/gRPC
//! Response" and "OTLP/HTTP Response").

use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::response::Parts;
use http::{HeaderMap, StatusCode};
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Wall;
use tonic::{Code, Status};

use super::advice::{Time, advice};
use super::cause::{Cause, Spoken};
use super::reason;
use super::rpc::{RpcStatus, retry_info};
use crate::config::otlp::Target;
use crate::config::proxy::Route;
use crate::network::chain;

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
    /// What it failed of: the same for the same trouble, whatever the text.
    pub(super) cause: Cause,
    /// For people; safe to show.
    pub(super) text: String,
    /// How long the server requests to wait.
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    pub(super) fn new(kind: Kind, cause: Cause, text: impl AsRef<str>) -> Self {
        Self { kind, cause, text: shown(text.as_ref()).into_owned(), retry_after: None }
    }

    /// The same failure, to be treated as another kind.
    pub(super) fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// The same failure, of a better known cause.
    pub(super) fn of_cause(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }

    /// With the place before the text, and what to do after it.
    pub(super) fn explained(self, target: &Target, time: Time) -> Self {
        let advice = advice(self.cause, target, time);
        let route = if self.kind == Kind::Connection { note(&target.route) } else { None };
        let first = std::iter::once(format!("{target}: {}", self.text));
        let text = first.chain(advice).chain(route).collect::<Vec<_>>().join("; ");
        Self { text, ..self }
    }

    /// An error of the connection, with the errors that caused it.
    pub(super) fn connection(error: &(dyn Error + 'static)) -> Self {
        Self::new(Kind::Connection, Cause::of(error), chain(error))
    }

    /// Over gRPC. A status with a source was made on our side: no answer came, or one without a
    /// gRPC status.
    pub(super) fn grpc(status: &Status, target: &Target) -> Self {
        if let Some(source) = status.source() {
            return NotGrpc::among(source).unwrap_or_else(|| Self::connection(source));
        }
        let retry_after = retry_info(status.details());
        let kind = grpc_kind(status.code(), retry_after.is_some());
        let text = format!("gRPC {:?}{}", status.code(), reported(&message(status), target));
        Self { retry_after, ..Self::new(kind, Cause::Grpc(status.code()), text) }
    }

    /// Over HTTP.
    pub(super) fn http(head: &Parts, body: &[u8], target: &Target, now: Wall) -> Self {
        let reason = reason::in_body(&head.headers, body, target);
        let text = format!("HTTP {}{}", head.status, colon(&reason));
        let text = format!("{text}{}", redirection(&head.headers, target));
        let retry_after = retry_after(&head.headers, now);
        let cause = Cause::Http(head.status.as_u16());
        let failure = Self { retry_after, ..Self::new(http_kind(head.status), cause, text) };
        if !wants_tls(head.status, &reason) {
            return failure;
        }
        let spoken = Spoken { tls: true, protocol: target.protocol };
        failure.of_kind(Kind::Refused).of_cause(Cause::Speaks(spoken))
    }

    /// An HTTP answer to gRPC. A gateway's status means what it means over HTTP.
    pub(super) fn not_grpc(head: &Parts, body: &[u8], target: &Target, now: Wall) -> Self {
        let failure = Self::http(head, body, target, now);
        let status = head.status.as_u16();
        let kind = match failure.kind {
            Kind::Transient => Kind::Transient,
            Kind::Connection | Kind::Data | Kind::Refused => Kind::Refused,
        };
        failure.of_kind(kind).of_cause(Cause::NotGrpc(status))
    }
}

/// An HTTP answer to gRPC, on its way through a library that knows only errors.
#[derive(Debug)]
pub(super) struct NotGrpc(pub(super) Failure);

impl NotGrpc {
    fn among(error: &(dyn Error + 'static)) -> Option<Failure> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found.0.clone());
            }
            next = error.source();
        }
        None
    }
}

impl fmt::Display for NotGrpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl Error for NotGrpc {}

/// What a proxy variable has to do with a connection that failed.
fn note(route: &Route) -> Option<String> {
    match route {
        Route::Direct | Route::Through(_) => None,
        Route::Excepted(exception) => Some(exception.to_string()),
        Route::Unusable(unusable) => Some(unusable.to_string()),
    }
}

/// The collector's own words, after what the code says.
fn reported(text: &str, target: &Target) -> String {
    colon(&reason::safe(text, target))
}

fn colon(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// The message of a status; some servers send it only in the details.
fn message(status: &Status) -> String {
    if !status.message().is_empty() {
        return status.message().to_owned();
    }
    <RpcStatus as prost::Message>::decode(status.details())
        .map(|status| status.message)
        .unwrap_or_default()
}

/// Go's server and nginx answer so to plain HTTP at a TLS port.
fn wants_tls(status: StatusCode, reason: &str) -> bool {
    status == StatusCode::BAD_REQUEST
        && ["HTTPS server", "HTTPS port"].iter().any(|words| reason.contains(words))
}

fn redirection(headers: &HeaderMap, target: &Target) -> String {
    reason::location(headers, target).map(|to| format!(" to {to}")).unwrap_or_default()
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

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;

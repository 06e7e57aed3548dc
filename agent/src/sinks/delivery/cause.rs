//! What a failed request failed of. The value is typed: the agent logs each cause once, and knows
//! what to advise, whatever words a library or a collector uses for it.

use std::error::Error;

use tokenwatch_otlp::protocol::Protocol;
use tonic::Code;

use super::dialer::ProxyError;
use super::tls::TlsError;
use crate::network::{Trouble, causes};

/// The causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The connection failed.
    Connection(Trouble),
    /// The TLS files of the settings cannot be used.
    Files,
    /// The endpoint answers, in another way than the settings name.
    Speaks(Spoken),
    /// The proxy refused, with this status; none if it could not be used at all.
    Proxy(Option<u16>),
    /// An HTTP status.
    Http(u16),
    /// An HTTP status without a gRPC status, as the answer to gRPC.
    NotGrpc(u16),
    /// A gRPC status.
    Grpc(Code),
    /// The answer is a success, and not OTLP.
    NotOtlp,
    /// The collector accepted the request, and rejected records in it.
    Rejected,
    /// The collector accepted the request with a warning.
    Warned,
    /// The request could not be made.
    Request,
}

/// How an endpoint can be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spoken {
    pub(super) tls: bool,
    pub(super) protocol: Protocol,
}

impl Cause {
    /// The cause of an error of the connection.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let own = causes(error).find_map(of_our_own);
        own.unwrap_or_else(|| Self::Connection(Trouble::of(error)))
    }

    /// Whether another scheme or protocol may be the reason.
    pub(super) fn is_unclear(self) -> bool {
        match self {
            Self::Connection(trouble) => is_unclear(trouble),
            Self::NotGrpc(status) => !is_of_gateways(status),
            Self::Files
            | Self::Speaks(_)
            | Self::Proxy(_)
            | Self::Http(_)
            | Self::Grpc(_)
            | Self::NotOtlp
            | Self::Rejected
            | Self::Warned
            | Self::Request => false,
        }
    }

    /// Whether something at the endpoint understood the protocol of the request, or at least its
    /// TLS.
    pub(super) fn is_answer(self) -> bool {
        match self {
            Self::Connection(trouble) => shows_tls(trouble),
            Self::Http(_) | Self::Grpc(_) | Self::NotOtlp | Self::Rejected | Self::Warned => true,
            Self::NotGrpc(status) => is_of_gateways(status),
            Self::Files | Self::Speaks(_) | Self::Proxy(_) | Self::Request => false,
        }
    }
}

/// Whether the handshake came so far that it must be TLS.
fn shows_tls(trouble: Trouble) -> bool {
    match trouble {
        Trouble::Certificate(_) | Trouble::ClientCertificate => true,
        Trouble::Name
        | Trouble::Closed
        | Trouble::Unreachable
        | Trouble::Late
        | Trouble::Broken
        | Trouble::NoTls
        | Trouble::Tls => false,
    }
}

fn is_unclear(trouble: Trouble) -> bool {
    match trouble {
        Trouble::Late | Trouble::Broken | Trouble::NoTls | Trouble::Tls => true,
        Trouble::Name
        | Trouble::Closed
        | Trouble::Unreachable
        | Trouble::Certificate(_)
        | Trouble::ClientCertificate => false,
    }
}

/// Statuses with which a gateway answers before anything behind it does.
fn is_of_gateways(status: u16) -> bool {
    matches!(status, 401 | 403 | 407 | 429 | 502..=504)
}

fn of_our_own(error: &(dyn Error + 'static)) -> Option<Cause> {
    if let Some(proxy) = error.downcast_ref::<ProxyError>() {
        return Some(Cause::Proxy(proxy.status()));
    }
    if error.is::<http_body_util::LengthLimitError>() {
        return Some(Cause::NotOtlp);
    }
    error.is::<TlsError>().then_some(Cause::Files)
}

//! URLs of collectors.

use std::fmt;

use http::Uri;
use http::uri::{Parts, PathAndQuery, Scheme};
use tokenwatch_otlp::protocol::{Protocol, Signal};

/// What an endpoint is to become.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) protocol: Protocol,
    /// For a gRPC endpoint without a scheme: whether it is plain text, if anything says so.
    pub(super) insecure: Option<bool>,
    /// The signal's path, when the endpoint is a base.
    pub(super) append: Option<&'static str>,
}

/// Why a text is no endpoint. It is never repeated: a URL can have a password, or a key in its
/// path, and a slip can hide where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadEndpoint {
    NotAUrl { why: String },
    NoHost,
    HasPassword,
    UnknownScheme,
    NoScheme,
    BaseWithQuery,
    BadPath { why: String },
}

const EXAMPLE: &str = "write it like http://collector:4318";
const HAS_PASSWORD: &str =
    "the URL holds a user and password: send them as a header (authorization) instead";
const NO_SCHEME: &str = "it has no scheme: write http:// (or https:// for TLS) before it";
const BASE_WITH_QUERY: &str = "a base URL cannot have a query: give each signal its own endpoint";

impl fmt::Display for BadEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAUrl { why } => write!(f, "it is not a URL ({why}): {EXAMPLE}"),
            Self::NoHost => write!(f, "it names no host: {EXAMPLE}"),
            Self::HasPassword => f.write_str(HAS_PASSWORD),
            Self::UnknownScheme => f.write_str("unsupported scheme: use http:// or https://"),
            Self::NoScheme => f.write_str(NO_SCHEME),
            Self::BaseWithQuery => f.write_str(BASE_WITH_QUERY),
            Self::BadPath { why } => write!(f, "the path of the URL is not valid: {why}"),
        }
    }
}

/// IANA's port for OTLP/gRPC.
const GRPC_PORT: u16 = 4317;

pub(super) fn has_grpc_port(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| uri.port_u16() == Some(GRPC_PORT))
}

pub(super) fn parse(text: &str, shape: Shape) -> Result<Uri, BadEndpoint> {
    // Before it is parsed: `collector:4318/v1/logs` is no URL, and `collector:4317` is one.
    let is_named = shape.protocol == Protocol::Grpc && shape.insecure.is_some();
    if !text.contains("://") && !is_named {
        return Err(no_scheme(text));
    }
    let not_a_url = |why: String| BadEndpoint::NotAUrl { why };
    let uri: Uri = text.parse().map_err(|why: http::uri::InvalidUri| not_a_url(why.to_string()))?;
    let mut parts = uri.into_parts();
    check_authority(&parts)?;
    parts.scheme = Some(scheme(parts.scheme, text, shape)?);
    parts.path_and_query = Some(path(parts.path_and_query.as_ref(), shape)?);
    Uri::from_parts(parts).map_err(|why| not_a_url(why.to_string()))
}

fn check_authority(parts: &Parts) -> Result<(), BadEndpoint> {
    match &parts.authority {
        None => Err(BadEndpoint::NoHost),
        Some(authority) if authority.as_str().contains('@') => Err(BadEndpoint::HasPassword),
        Some(_) => Ok(()),
    }
}

fn scheme(given: Option<Scheme>, text: &str, shape: Shape) -> Result<Scheme, BadEndpoint> {
    match (given, shape.protocol) {
        (Some(scheme), _) if scheme == Scheme::HTTP || scheme == Scheme::HTTPS => Ok(scheme),
        (Some(_), _) => Err(BadEndpoint::UnknownScheme),
        (None, Protocol::HttpProtobuf) => Err(no_scheme(text)),
        (None, Protocol::Grpc) => match shape.insecure {
            Some(true) => Ok(Scheme::HTTP),
            Some(false) => Ok(Scheme::HTTPS),
            None => Err(no_scheme(text)),
        },
    }
}

fn no_scheme(text: &str) -> BadEndpoint {
    if text.contains('@') { BadEndpoint::HasPassword } else { BadEndpoint::NoScheme }
}

/// An endpoint for people: without a path but those of signals, and without a query. Some services
/// put a key into them.
pub fn shown_endpoint(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (signals, mut hidden) = (Signal::ALL.map(Signal::http_path), uri.path());
    while let Some(before) = signals.iter().find_map(|end| hidden.strip_suffix(end)) {
        hidden = before;
    }
    let end = uri.path().strip_prefix(hidden).unwrap_or_default();
    let path = match hidden {
        "" | "/" if end.is_empty() => "/".to_owned(),
        "" | "/" => end.to_owned(),
        _ => format!("/…{end}"),
    };
    format!("{}://{host}{path}", uri.scheme_str().unwrap_or("http"))
}

/// Over HTTP the signal's path goes below a base; a signal's own endpoint is used as it is. Over
/// gRPC the path means nothing.
fn path(given: Option<&PathAndQuery>, shape: Shape) -> Result<PathAndQuery, BadEndpoint> {
    let given = given.map_or("/", PathAndQuery::as_str);
    let path = match (shape.protocol, shape.append) {
        (Protocol::Grpc, _) => "/".to_owned(),
        (Protocol::HttpProtobuf, None) => given.to_owned(),
        (Protocol::HttpProtobuf, Some(_)) if given.contains('?') => {
            return Err(BadEndpoint::BaseWithQuery);
        }
        (Protocol::HttpProtobuf, Some(append)) => {
            format!("{}{append}", given.trim_end_matches('/'))
        }
    };
    path.parse().map_err(|why: http::uri::InvalidUri| BadEndpoint::BadPath { why: why.to_string() })
}

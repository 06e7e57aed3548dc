//! URLs of collectors.

use http::Uri;
use http::uri::{Parts, PathAndQuery, Scheme};
use tokenwatch_core::base::text::shown;

use super::settings::Protocol;

/// What an endpoint is to become.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) protocol: Protocol,
    /// Plain text for a gRPC endpoint without a scheme.
    pub(super) insecure: bool,
    /// The signal's path, when the endpoint is a base.
    pub(super) append: Option<&'static str>,
}

/// IANA's port for OTLP/gRPC.
const GRPC_PORT: u16 = 4317;

pub(super) fn has_grpc_port(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| uri.port_u16() == Some(GRPC_PORT))
}

pub(super) fn parse(text: &str, shape: Shape) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|why| {
        format!("`{}` is not a URL ({why}): write it like http://collector:4318", shown(text))
    })?;
    let mut parts = uri.into_parts();
    check_authority(&parts, text)?;
    parts.scheme = Some(scheme(parts.scheme, text, shape)?);
    parts.path_and_query = Some(path(parts.path_and_query.as_ref(), shape)?);
    Uri::from_parts(parts).map_err(|why| format!("`{}` is not a URL: {why}", shown(text)))
}

fn check_authority(parts: &Parts, text: &str) -> Result<(), String> {
    match &parts.authority {
        None => {
            Err(format!("`{}` names no host: write it like http://collector:4318", shown(text)))
        }
        // Not shown: it holds a password.
        Some(authority) if authority.as_str().contains('@') => {
            Err("a URL with user and password: send them as a header (authorization) instead"
                .to_owned())
        }
        Some(_) => Ok(()),
    }
}

fn scheme(given: Option<Scheme>, text: &str, shape: Shape) -> Result<Scheme, String> {
    match given {
        Some(scheme) if scheme == Scheme::HTTP || scheme == Scheme::HTTPS => Ok(scheme),
        Some(scheme) => {
            Err(format!("`{scheme}` is not spoken here: the URL starts with http:// or https://"))
        }
        None if shape.protocol == Protocol::HttpProtobuf => {
            Err(format!("`{}` has no scheme: write http:// or https:// before it", shown(text)))
        }
        None if shape.insecure => Ok(Scheme::HTTP),
        None => Ok(Scheme::HTTPS), // the specification's default for gRPC: secure
    }
}

/// Over HTTP the signal's path goes below a base; a signal's own endpoint is used as it is. Over
/// gRPC the path means nothing.
fn path(given: Option<&PathAndQuery>, shape: Shape) -> Result<PathAndQuery, String> {
    let given_path = given.map_or("/", PathAndQuery::as_str);
    let path = match shape.append {
        _ if shape.protocol == Protocol::Grpc => "/".to_owned(),
        None => given_path.to_owned(),
        Some(_) if given_path.contains('?') => {
            return Err(
                "a base URL cannot have a query: give each signal its own endpoint".to_owned()
            );
        }
        Some(appended) => format!("{}{appended}", given_path.trim_end_matches('/')),
    };
    path.parse().map_err(|why| format!("its path is not one: {why}"))
}

//! The requests, and what the responses mean.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokenwatch_core::world::keys::KeySet;

use crate::kubernetes::{ApiClient, ApiRequest, Error, read_body};
use crate::sources::signatures::{Jwk, Jwks};

/// Where an API server publishes the keys that it verifies with (KEP-1393). The discovery document
/// may name another address (`jwks_uri`), outside of the cluster: the agent does not go there.
const KEYS: &str = "/openid/v1/jwks";
/// Its discovery document (OpenID Connect Discovery 1.0, section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";
/// The API server writes media types of its own, which a narrower list would exclude.
const ANY: &str = "*/*";
/// Bytes of a response: an RSA key of 8,192 bits takes 1.5 kB.
const MAX_RESPONSE: usize = 512 << 10;

#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: Option<String>,
}

/// Requests the keys, and the issuer of the same API server. Without the issuer, the keys still
/// show something.
pub(super) async fn published(
    client: &ApiClient,
    limit: Duration,
) -> Result<(KeySet, Jwks), Error> {
    let keys = get(client, KEYS, limit).await?;
    let discovery = get(client, DISCOVERY, limit).await.unwrap_or_default();
    parsed(&keys, &discovery)
}

async fn get(client: &ApiClient, path: &str, limit: Duration) -> Result<Bytes, Error> {
    let request = ApiRequest { accept: ANY, ..ApiRequest::get(path.to_owned()) };
    let response = client.send(request, limit).await?;
    read_body(response, MAX_RESPONSE, limit).await
}

/// What the two responses show. A discovery document that is none has no issuer.
pub(super) fn parsed(keys: &[u8], discovery: &[u8]) -> Result<(KeySet, Jwks), Error> {
    let jwks: Jwks = serde_json::from_slice(keys)
        .map_err(|error| Error::invalid(format_args!("{KEYS}: {error}")))?;
    let discovery: Option<Discovery> = serde_json::from_slice(discovery).ok();
    let issuer = discovery.and_then(|discovery| discovery.issuer);
    let ids = jwks.keys.iter().filter_map(Jwk::id).map(ToOwned::to_owned);
    match KeySet::new(issuer.as_deref(), ids) {
        Some(set) => Ok((set, jwks)),
        None => Err(unusable(jwks.keys.len())),
    }
}

fn unusable(count: usize) -> Error {
    Error::invalid(format_args!("{KEYS}: {count} keys, of which the agent cannot use the ids"))
}

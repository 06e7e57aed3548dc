//! The requests, and what the responses mean.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokenwatch_core::world::keys::KeySet;

use crate::kubernetes::{ApiClient, ApiRequest, Error, read_body};

/// Where an API server publishes the keys that it verifies with (KEP-1393). The discovery document
/// may name another address (`jwks_uri`), outside of the cluster: the agent does not go there.
const KEYS: &str = "/openid/v1/jwks";
/// Its discovery document (OpenID Connect Discovery 1.0, section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";
/// The API server writes media types of its own, which a narrower list would exclude.
const ANY: &str = "*/*";
/// Bytes of a response: an RSA key of 8,192 bits takes 1.5 kB.
const MAX_RESPONSE: usize = 512 << 10;

/// A JSON Web Key Set (RFC 7517, section 5).
#[derive(Debug, Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Debug, Deserialize)]
struct Jwk {
    kid: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: Option<String>,
}

/// Requests the keys, and the issuer of the same API server. Without the issuer, the keys still
/// show something.
pub(super) async fn published(client: &ApiClient, limit: Duration) -> Result<KeySet, Error> {
    let Jwks { keys } = get(client, KEYS, limit).await?;
    let discovery: Option<Discovery> = get(client, DISCOVERY, limit).await.ok();
    let issuer = discovery.and_then(|discovery| discovery.issuer);
    let count = keys.len();
    let ids = keys.into_iter().filter_map(|key| key.kid);
    KeySet::new(issuer.as_deref(), ids).ok_or_else(|| unusable(count))
}

async fn get<T: DeserializeOwned>(
    client: &ApiClient,
    path: &str,
    limit: Duration,
) -> Result<T, Error> {
    let request = ApiRequest { accept: ANY, ..ApiRequest::get(path.to_owned()) };
    let response = client.send(request, limit).await?;
    let body = read_body(response, MAX_RESPONSE, limit).await?;
    serde_json::from_slice(&body).map_err(|error| Error::Invalid(format!("{path}: {error}")))
}

fn unusable(count: usize) -> Error {
    Error::Invalid(format!("{KEYS}: {count} keys, of which the agent cannot use the ids"))
}

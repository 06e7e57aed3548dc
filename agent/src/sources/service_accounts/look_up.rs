//! One request for one service account, and what the response means.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokenwatch_core::world::cluster::{AccountName, AccountSeen};

use crate::kubernetes::{ApiClient, ApiRequest, Error, percent_encoded, read_body};

/// Bytes of a response. The largest object in etcd has 1.5 MB.
const MAX_RESPONSE: usize = 2 << 20;

/// A service account, reduced to its UID. A whole object has more, and the same metadata.
#[derive(Debug, Deserialize)]
struct Object {
    metadata: Meta,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    uid: String,
    /// The account is being deleted, and something delays that (a finalizer). The API server
    /// rejects its tokens after its leeway of 60 s.
    deletion_timestamp: Option<IgnoredAny>,
}

/// Requests the account. A response takes at most `limit`.
pub(super) async fn look_up(
    client: &ApiClient,
    account: AccountName,
    limit: Duration,
) -> Result<AccountSeen, Error> {
    let response = get(client, &account, limit).await;
    seen(account, response)
}

/// What a response, or its error, shows of the account.
pub(super) fn seen(
    account: AccountName,
    response: Result<Bytes, Error>,
) -> Result<AccountSeen, Error> {
    match response.and_then(|body| uid(&body)) {
        Ok(uid) => Ok(AccountSeen::new(account, uid.as_deref())),
        Err(error) if is_not_found(&error, &account) => Ok(AccountSeen::new(account, None)),
        Err(error) => Err(error),
    }
}

async fn get(client: &ApiClient, account: &AccountName, limit: Duration) -> Result<Bytes, Error> {
    let path = format!(
        "/api/v1/namespaces/{}/serviceaccounts/{}",
        percent_encoded(&account.namespace),
        percent_encoded(&account.name)
    );
    let response = client.send(ApiRequest::get_metadata(path), limit).await?;
    read_body(response, MAX_RESPONSE, limit).await
}

/// The account's UID; nothing while it is being deleted.
fn uid(body: &[u8]) -> Result<Option<String>, Error> {
    let Object { metadata } = serde_json::from_slice(body)
        .map_err(|error| Error::invalid(format_args!("not a service account: {error}")))?;
    Ok(metadata.deletion_timestamp.is_none().then_some(metadata.uid))
}

/// A proxy can respond 404 as well. The account counts as missing only with the API server's own
/// message (apimachinery, NewNotFound).
fn is_not_found(error: &Error, account: &AccountName) -> bool {
    match error {
        Error::Refused { status, message, .. } => {
            *status == StatusCode::NOT_FOUND
                && *message == format!("serviceaccounts \"{}\" not found", account.name)
        }
        Error::Configuration(_) | Error::Connection(_) | Error::Invalid(_) => false,
    }
}

//! The request, in a buffer that is wiped, and what the response means.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;
use tokenwatch_core::base::secrecy::{REDACTED, redacted_input};
use tokenwatch_core::base::text::shown;
use zeroize::{Zeroize as _, Zeroizing};

use super::{NoReview, Review};
use crate::kubernetes::{ApiClient, ApiRequest, Error, read_body};
use crate::sources::tokens::TokenBytes;

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const JSON: &str = "application/json";
/// Timeout of one review, as of the other questions of a command.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of a response: it repeats the token, which has at most 64 KiB.
const MAX_RESPONSE: usize = 256 << 10;
/// Most audiences of a response that are kept.
pub(super) const MAX_AUDIENCES: usize = 32;

#[derive(Deserialize)]
struct TokenReview {
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    authenticated: bool,
    error: Option<String>,
    #[serde(default)]
    audiences: Vec<String>,
}

/// Asks about one token.
pub(crate) async fn review(
    client: &ApiClient,
    token: TokenBytes,
    audiences: &[String],
) -> Result<Review, NoReview> {
    if !client.is_private() {
        return Err(NoReview::Insecure);
    }
    send(client, token, audiences).await.map_err(NoReview::Failed)
}

/// Sends one request. The token's bytes are wiped when the client no longer needs the request.
async fn send(
    client: &ApiClient,
    token: TokenBytes,
    audiences: &[String],
) -> Result<Review, Error> {
    let response = client.send(request(&token, audiences)?, TIMEOUT).await?;
    let body = read_body(response, MAX_RESPONSE, TIMEOUT).await?;
    let review = parsed(&body, &token);
    wipe(body);
    review
}

fn request(token: &TokenBytes, audiences: &[String]) -> Result<ApiRequest, Error> {
    let body = Some((JSON, body(token, audiences)?));
    Ok(ApiRequest { method: Method::POST, path: REVIEWS.to_owned(), body, accept: JSON })
}

/// The request as JSON. A token consists of characters that need no escape. The buffer has its full
/// size from the start: growing it would leave a copy of the token behind.
fn body(token: &TokenBytes, audiences: &[String]) -> Result<Bytes, Error> {
    let audiences = serde_json::to_string(audiences).map_err(|_| invalid("the audiences"))?;
    let token = token.as_bytes();
    let head = format!(
        "{{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\",\
         \"spec\":{{\"audiences\":{audiences},\"token\":\""
    );
    let mut body = Zeroizing::new(Vec::with_capacity(head.len() + token.len() + 3));
    for part in [head.as_bytes(), token, b"\"}}"] {
        body.extend_from_slice(part);
    }
    Ok(Bytes::from_owner(body))
}

/// An error of the parser could repeat a part of the response, and so of the token.
pub(super) fn parsed(body: &[u8], token: &TokenBytes) -> Result<Review, Error> {
    let review: TokenReview =
        serde_json::from_slice(body).map_err(|_| invalid("the response is no TokenReview"))?;
    let status = review.status.ok_or_else(|| invalid("the response has no status"))?;
    let harmless = |text: &String| without_token(text, token);
    Ok(Review {
        is_authenticated: status.authenticated,
        error: status.error.as_ref().filter(|error| !error.is_empty()).map(harmless),
        audiences: status.audiences.iter().take(MAX_AUDIENCES).map(harmless).collect(),
    })
}

/// A text of the response without anything of the token. No error of an API server has any, but
/// the request may have gone through a webhook. It is looked at before it is cut: less of a piece
/// would not be recognised. The API server's own errors (pkg/serviceaccount/claims.go) have some
/// hundred characters, and are not cut.
fn without_token(text: &str, token: &TokenBytes) -> String {
    if repeats(text, token.as_bytes()) {
        return REDACTED.to_owned();
    }
    shown(&redacted_input(text)).into_owned()
}

/// Fewest characters of a token that are recognised: any name may have fewer in common.
const RECOGNISED: usize = 12;

/// Whether `text` has any piece of the token of that length.
fn repeats(text: &str, token: &[u8]) -> bool {
    let pieces: BTreeSet<&[u8]> = token.windows(RECOGNISED).collect();
    text.as_bytes().windows(RECOGNISED).any(|piece| pieces.contains(piece))
}

/// The response repeats the token. Its buffer is wiped, if the client does not share it.
fn wipe(body: Bytes) {
    if let Ok(mut body) = body.try_into_mut() {
        body.as_mut().zeroize();
    }
}

/// Whether the API server denies the request itself.
pub(super) fn is_denied(error: &Error) -> bool {
    error.status() == Some(StatusCode::FORBIDDEN)
}

fn invalid(what: &str) -> Error {
    Error::invalid(format_args!("{REVIEWS}: {what}"))
}

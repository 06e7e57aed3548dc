//! Response bodies, bounded in size and time.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use kube::client::Body;
use tokio::time::timeout;

use super::Error;
use crate::network::Trouble;

/// Reads a whole body. A body of more than `max_bytes`, or one that takes longer than `limit`, is
/// an error.
pub async fn read_body(
    response: Response<Body>,
    max_bytes: usize,
    limit: Duration,
) -> Result<Bytes, Error> {
    let body = Limited::new(response.into_body(), max_bytes).collect();
    match timeout(limit, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(max_bytes)),
        Ok(Err(error)) => Err(Error::connection(&*error)),
        Err(_) => Err(too_slow(limit)),
    }
}

fn too_large(max_bytes: usize) -> Error {
    Error::invalid(format_args!("the response is larger than {} KiB", max_bytes >> 10))
}

fn too_slow(limit: Duration) -> Error {
    let reason = format!("the response was not complete within {} s", limit.as_secs());
    Error::no_response(Trouble::Late, reason)
}

//! The way to the API server, for the source that asks and the sink that writes.
//!
//! What is asked for, and how long that may take, is for those who ask. kube finds the way, and
//! keeps the agent's own token fresh.

mod access;
mod backoff;
mod trouble;

pub use access::Access;
pub use backoff::Backoff;
pub use trouble::Trouble;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::client::Body;
use tokio::time::timeout;

/// What a refusal says is for people.
const LARGEST_REFUSAL: usize = 64 << 10;
/// The API server. Cheap until it is asked something.
pub struct ApiServer {
    access: Access,
    client: Mutex<Option<Client>>,
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer").field("access", &self.access).finish_non_exhaustive()
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What to do.
    pub method: Method,
    /// With what, from `/api` on, with its query.
    pub path: String,
    /// What is sent, and what that is.
    pub body: Option<(&'static str, Bytes)>,
}

impl Ask {
    /// Reads `path`.
    pub fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: None }
    }

    fn request(self) -> Result<Request<Body>, Trouble> {
        let (content, body) = self.body.unzip();
        let request = Request::builder()
            .method(self.method)
            .uri(self.path)
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        let request = content
            .into_iter()
            .fold(request, |request, content| request.header(CONTENT_TYPE, content));
        request
            .body(Body::from(body.unwrap_or_default()))
            .map_err(|why| Trouble::Configuration(why.to_string()))
    }
}

impl ApiServer {
    /// Reached in this way.
    pub fn new(access: Access) -> Self {
        Self { access, client: Mutex::new(None) }
    }

    /// Asks, and gives the answer once its head is there; all but a success is trouble.
    pub async fn ask(&self, ask: Ask, patience: Duration) -> Result<Response<Body>, Trouble> {
        let answer = timeout(patience, self.exchange(ask)).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(Trouble::Connection(format!("no answer within {} s", patience.as_secs())))
        });
        if answer.as_ref().is_err_and(Trouble::wants_a_new_connection) {
            self.forget();
        }
        answer
    }

    /// Everything is read anew before the next request: the kubeconfig, authorities, the token.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    /// Where it is, as far as is known without looking.
    pub fn place(&self) -> String {
        self.access.to_string()
    }

    async fn exchange(&self, ask: Ask) -> Result<Response<Body>, Trouble> {
        let client = self.client().await.map_err(Trouble::Configuration)?;
        let answer = client.send(ask.request()?).await.map_err(Trouble::of)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(refusal(answer).await)
    }

    async fn client(&self) -> Result<Client, String> {
        let known = self.lock().clone();
        if let Some(client) = known {
            return Ok(client);
        }
        let new = Client::try_from(self.access.config().await?).map_err(|why| why.to_string())?;
        *self.lock() = Some(new.clone());
        Ok(new)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn refusal(answer: Response<Body>) -> Trouble {
    let (head, body) = answer.into_parts();
    let said = Limited::new(body, LARGEST_REFUSAL)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    Trouble::refused(head.status, &head.headers, &said)
}

/// `text` as part of a URL's path or query: unreserved characters (RFC 3986 section 2.3) as they
/// are.
pub fn quoted(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}"); // writing to a String cannot fail
        }
        out
    })
}

/// All of an answer, if that is no more than `most` bytes and comes within `patience`.
pub async fn whole(
    answer: Response<Body>,
    most: usize,
    patience: Duration,
) -> Result<Bytes, Trouble> {
    let read = timeout(patience, Limited::new(answer.into_body(), most).collect()).await;
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(why)) if why.is::<http_body_util::LengthLimitError>() => {
            Err(Trouble::Garbage(format!("its answer is larger than {} KiB", most >> 10)))
        }
        Ok(Err(why)) => Err(Trouble::connection(&*why)),
        Err(_) => Err(Trouble::Connection(format!(
            "its answer did not end within {} s",
            patience.as_secs()
        ))),
    }
}

/// Whether a refusal is this one.
pub fn is_status<T>(outcome: &Result<T, Trouble>, status: StatusCode) -> bool {
    matches!(outcome, Err(Trouble::Refused { status: refused, .. }) if *refused == status)
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

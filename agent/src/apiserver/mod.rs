//! The way to the API server, for the source that asks and the sink that writes.
//!
//! A few requests an hour: hyper and rustls, which are here anyway, carry them. A client library would bring 40 crates for a kubeconfig's fields.

mod access;
mod backoff;
mod kubeconfig;
mod tls;
mod trouble;

pub use access::Access;
pub use backoff::Backoff;
pub use trouble::Trouble;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use access::Found;

/// How long connecting may take: a control plane's load balancer answers or refuses well before.
const CONNECT: Duration = Duration::from_secs(10);
/// So much of an answer may wait to be read.
const READ_AHEAD: usize = 64 << 10;
/// What a refusal says is for people.
const LARGEST_REFUSAL: usize = 64 << 10;
/// One connection watches; one more writes Events, and is kept for the next.
const IDLE_CONNECTIONS: usize = 1;

/// The API server. Cheap until it is asked something.
#[derive(Debug)]
pub struct ApiServer {
    access: Access,
    connected: Mutex<Option<Arc<Connected>>>,
}

/// What was found when it was last connected to.
struct Connected {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    found: Found,
}

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connected").finish_non_exhaustive()
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
}

impl ApiServer {
    /// Reached in this way.
    pub fn new(access: Access) -> Self {
        Self { access, connected: Mutex::new(None) }
    }

    /// Asks, and gives the answer once its head is there; all but a success is trouble.
    pub async fn ask(&self, ask: Ask, patience: Duration) -> Result<Response<Incoming>, Trouble> {
        let answer = timeout(patience, self.exchange(ask)).await;
        let answer = answer.unwrap_or_else(|_| Err(Trouble::Connection(format!("no answer within {} s", patience.as_secs()))));
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

    async fn exchange(&self, ask: Ask) -> Result<Response<Incoming>, Trouble> {
        let connected = self.connected().map_err(Trouble::Configuration)?;
        let request = connected.request(ask).map_err(Trouble::Configuration)?;
        let answer = connected.pool.request(request).await.map_err(|why| Trouble::connection(&why))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(refusal(answer).await)
    }

    fn connected(&self) -> Result<Arc<Connected>, String> {
        let mut connected = self.lock();
        if let Some(connected) = connected.as_ref() {
            return Ok(Arc::clone(connected));
        }
        let new = Arc::new(Connected::open(self.access.find()?)?);
        *connected = Some(Arc::clone(&new));
        Ok(new)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Connected>>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn refusal(answer: Response<Incoming>) -> Trouble {
    let (head, body) = answer.into_parts();
    let said = Limited::new(body, LARGEST_REFUSAL).collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Trouble::refused(head.status, &head.headers, &said)
}

impl Connected {
    fn open(found: Found) -> Result<Self, String> {
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls::config(&found)?).https_or_http();
        let builder = match &found.server_name {
            Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name.clone())),
            None => builder,
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false); // the TLS layer above asks it for https
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let mut pool = Pool::builder(TokioExecutor::new());
        pool.pool_max_idle_per_host(IDLE_CONNECTIONS).http1_max_buf_size(READ_AHEAD);
        Ok(Self { pool: pool.build(builder.enable_http1().wrap_connector(tcp)), found })
    }

    /// The token is read for every request: there are few, and a client that keeps an old one is what this agent warns of.
    fn request(&self, ask: Ask) -> Result<Request<Full<Bytes>>, String> {
        let (content, body) = ask.body.unzip();
        let mut request = Request::new(Full::new(body.unwrap_or_default()));
        *request.method_mut() = ask.method;
        *request.uri_mut() = self.uri(&ask.path)?;
        *request.headers_mut() = self.headers(content)?;
        Ok(request)
    }

    fn uri(&self, path: &str) -> Result<Uri, String> {
        let text = format!("{}{path}", self.found.server.to_string().trim_end_matches('/'));
        text.parse().map_err(|why| format!("{text} is no address: {why}"))
    }

    fn headers(&self, content: Option<&'static str>) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tokenwatch/", env!("CARGO_PKG_VERSION"))));
        if let Some(content) = content {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
        }
        if let Some(authorization) = self.found.authorization()? {
            headers.insert(AUTHORIZATION, authorization);
        }
        Ok(headers)
    }
}

/// `text` as part of a URL's path or query: unreserved characters (RFC 3986 section 2.3) as they are.
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
pub async fn whole(answer: Response<Incoming>, most: usize, patience: Duration) -> Result<Bytes, Trouble> {
    let read = timeout(patience, Limited::new(answer.into_body(), most).collect()).await;
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(why)) if why.is::<http_body_util::LengthLimitError>() => {
            Err(Trouble::Garbage(format!("its answer is larger than {} MiB", most >> 20)))
        }
        Ok(Err(why)) => Err(Trouble::connection(&*why)),
        Err(_) => Err(Trouble::Connection(format!("its answer did not end within {} s", patience.as_secs()))),
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

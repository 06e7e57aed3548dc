//! One connection pool to the API server, opened on the first request and again after failures.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, DATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::Client;
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use sha2::{Digest as _, Sha256};
use tokenwatch_core::base::time::{Delta, Monotonic, Wall};
use tokenwatch_core::world::clocks::DateSeen;
use tokio::time::timeout;
use tower::{BoxError, ServiceExt};

use super::access::CONNECT_TIMEOUT;
use super::connector::{Connector, ServerNames};
use super::{Access, ConfigError, Error};
use crate::clocks;
use crate::network::{KnownOffset, Trouble};
use crate::regular_file::Reads;

/// Bytes read of an error response: its message is for people.
const MAX_ERROR_BODY: usize = 64 << 10;
const AUDIT_ID: &str = "audit-id";
const JSON: &str = "application/json";
/// `metav1.PartialObjectMetadata`, or else the whole object.
const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// Client of one API server. Creating it opens no connection.
pub struct ApiClient {
    access: Access,
    client: Mutex<Option<Open>>,
    /// Of kubeconfig, certificates and token.
    reads: Reads,
    /// Why no proxy is used, where the environment names one.
    without_proxy: Option<String>,
    /// Where it is known how wrong the clock is.
    clock: OnceLock<KnownOffset>,
    /// Who is shown the API server's clock.
    dates: OnceLock<Dates>,
}

/// An open client.
#[derive(Clone)]
pub(super) struct Open {
    client: Client,
    /// What it was made of.
    made_of: Fingerprint,
    /// When its files were read last, or an attempt to do that began.
    read: Monotonic,
}

/// Changes when token, certificate authorities or address do.
type Fingerprint = [u8; 32];

/// Age from which the files of a client are read again. Kubernetes' own clients read a token file
/// each minute (client-go, transport/token_source.go).
const OLD: Delta = Delta::from_secs(60);

/// Takes what answers show of the API server's clock. It must not block.
pub type Dates = Arc<dyn Fn(DateSeen) + Send + Sync>;

impl std::fmt::Debug for ApiClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiClient").field("access", &self.access).finish_non_exhaustive()
    }
}

/// One request.
#[derive(Clone)]
pub struct ApiRequest {
    /// HTTP method.
    pub method: Method,
    /// Path from `/api` or `/apis` on, with its query.
    pub path: String,
    /// Content type and content, if any.
    pub body: Option<(&'static str, Bytes)>,
    /// Media types of the response.
    pub accept: &'static str,
}

/// Without the content, which may be a token.
impl std::fmt::Debug for ApiRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiRequest({} {})", self.method, self.path)
    }
}

impl ApiRequest {
    /// A GET of `path`.
    pub fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: None, accept: JSON }
    }

    /// A GET of the metadata of an object, or of the objects in a watch. An API server that cannot
    /// reduce the object sends all of it.
    pub fn get_metadata(path: String) -> Self {
        Self { accept: METADATA, ..Self::get(path) }
    }

    /// A GET of the metadata of a list of objects.
    pub fn list_metadata(path: String) -> Self {
        Self { accept: METADATA_LIST, ..Self::get(path) }
    }

    pub(super) fn into_http(self) -> Result<Request<Body>, Error> {
        let (content_type, body) = self.body.unzip();
        let request = Request::builder()
            .method(self.method)
            .uri(self.path)
            .header(ACCEPT, HeaderValue::from_static(self.accept));
        let request = content_type
            .into_iter()
            .fold(request, |request, content| request.header(CONTENT_TYPE, content));
        request
            .body(Body::from(body.unwrap_or_default()))
            .map_err(|error| ConfigError::Client(error.to_string()).into())
    }
}

impl ApiClient {
    /// A client that finds the API server by `access`.
    pub fn new(access: Access) -> Self {
        let (client, clock, dates) = (Mutex::new(None), OnceLock::new(), OnceLock::new());
        Self { access, client, reads: Reads::default(), without_proxy: None, clock, dates }
    }

    /// With what a failed connection has to do with a proxy.
    #[must_use]
    pub fn with_note_about_proxies(self, note: Option<String>) -> Self {
        Self { without_proxy: note, ..self }
    }

    /// Explains a certificate that is not valid by a clock that is wrong. Only the first call has
    /// an effect.
    pub fn explain_by(&self, clock: KnownOffset) {
        let _ = self.clock.set(clock);
    }

    /// Shows the API server's clock, as each answer shows it. Only the first call has an effect.
    pub fn show_dates(&self, to: Dates) {
        let _ = self.dates.set(to);
    }

    /// Sends a request and returns the response once its head has arrived. A status other than 2xx
    /// is an error, and so is a head that takes longer than `limit`. The files that are read before
    /// have a limit of their own.
    pub async fn send(
        &self,
        request: ApiRequest,
        limit: Duration,
    ) -> Result<Response<Body>, Error> {
        let response = self.in_time(request, limit).await;
        if response.as_ref().is_err_and(Error::needs_new_connection) {
            self.reset();
        }
        response.map_err(|error| error.noted(|trouble| self.note(trouble)))
    }

    /// What is known about a failed connection besides its error.
    pub(super) fn note(&self, trouble: Trouble) -> Option<String> {
        if let Trouble::Certificate(certificate) = trouble
            && let Some(offset) = self.clock.get().and_then(|clock| clock())
        {
            return certificate.by_clock(clocks::now().wall, offset);
        }
        self.without_proxy.clone()
    }

    /// The directory that holds the agent's own token, unless a kubeconfig has its credentials.
    pub fn own_token(&self) -> Option<&Path> {
        self.access.own_token()
    }

    /// Whether nobody else can read what is sent: over TLS, or on this machine.
    pub fn is_private(&self) -> bool {
        self.access.is_private()
    }

    /// Drops all connections. The next request reads kubeconfig, certificates and token again.
    pub fn reset(&self) {
        *self.lock() = None;
    }

    /// For a test in which a disk hangs.
    #[cfg(test)]
    pub(super) fn reads(&self) -> &Reads {
        &self.reads
    }

    /// The server's address, or the file that holds it; for messages.
    pub fn address(&self) -> String {
        self.access.to_string()
    }

    /// As if a minute had passed.
    #[cfg(test)]
    pub(super) fn age(&self) {
        if let Some(open) = self.lock().as_mut() {
            open.read = open.read - OLD;
        }
    }

    /// Files have a time limit of their own, whose error names the one that does not answer.
    async fn in_time(&self, request: ApiRequest, limit: Duration) -> Result<Response<Body>, Error> {
        let client = self.client().await?;
        let response = timeout(limit, self.exchange(client, request)).await;
        response.unwrap_or_else(|_| {
            let reason = format!("no response within {} s", limit.as_secs());
            Err(Error::no_response(Trouble::Late, reason))
        })
    }

    async fn exchange(&self, client: Client, request: ApiRequest) -> Result<Response<Body>, Error> {
        let (request, sent) = (request.into_http()?, clocks::now());
        let response = client.send(request).await.map_err(Error::from_kube)?;
        if let (Some(dates), Some(date)) = (self.dates.get(), date(response.headers())) {
            let names = response.extensions().get::<ServerNames>();
            let names = names.map(|names| names.0.to_vec()).unwrap_or_default();
            dates(DateSeen { sent, received: clocks::now(), date, names });
        }
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refused(response).await)
    }

    /// The open client, or a new one if none is open, or if files hold something else by now. Files
    /// that cannot be read again change nothing: the last token is used for as long as the API
    /// server accepts it (kubernetes/kubernetes#68164).
    async fn client(&self) -> Result<Client, ConfigError> {
        let (open, is_due) = self.open(clocks::now().monotonic);
        if let (Some(open), false) = (&open, is_due) {
            return Ok(open.client.clone());
        }
        let (access, known) = (self.access.clone(), open.clone());
        let read = self.reads.run(move || connected(&access, known)).await;
        let read = read.map_err(ConfigError::from).flatten();
        let open = read.or_else(|error| open.ok_or(error))?;
        *self.lock() = Some(open.clone());
        Ok(open.client)
    }

    /// The open client, and whether its files are to be read now. Other requests use it meanwhile.
    fn open(&self, now: Monotonic) -> (Option<Open>, bool) {
        let mut open = self.lock();
        let is_due = open.as_ref().is_none_or(|open| now - open.read >= OLD);
        if let (Some(open), true) = (open.as_mut(), is_due) {
            open.read = now;
        }
        (open.clone(), is_due)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A new client, or the known one if the new one would be made of the same. Blocks: it reads files.
pub(super) fn connected(access: &Access, known: Option<Open>) -> Result<Open, ConfigError> {
    let read = clocks::now().monotonic;
    let config = access.config()?;
    let made_of = fingerprint(&config);
    if let Some(known) = known.filter(|known| known.made_of == made_of) {
        return Ok(Open { read, ..known });
    }
    let plain = config.rustls_https_connector();
    let client = plain
        .and_then(|plain| opened(&config, plain))
        .map_err(|error| ConfigError::Client(error.to_string()))?;
    Ok(Open { client, made_of, read })
}

fn fingerprint(config: &Config) -> Fingerprint {
    let authorities = config.root_cert.iter().flatten().map(Vec::as_slice);
    let token = config.headers.iter().map(|(_, value)| value.as_bytes());
    let address = config.cluster_url.to_string();
    let parts = std::iter::once(address.as_bytes()).chain(token).chain(authorities);
    let add = |hash: Sha256, part: &[u8]| {
        hash.chain_update((part.len() as u64).to_be_bytes()).chain_update(part)
    };
    parts.fold(Sha256::new(), add).finalize().into()
}

/// The client that kube would make of this configuration, with connections of our own. Its own
/// timeouts and retries are left out: the caller has them. The token is among the headers.
pub(super) fn opened(
    config: &Config,
    plain: HttpsConnector<HttpConnector>,
) -> kube::Result<Client> {
    let plain = Connector::new(plain, CONNECT_TIMEOUT);
    let http = legacy::Builder::new(TokioExecutor::new()).build::<_, Body>(plain);
    let http = ServiceExt::<Request<Body>>::map_err(http, BoxError::from);
    let client = ClientBuilder::new(http, &config.default_namespace);
    let client = client.with_layer(&config.extra_headers_layer()?);
    Ok(client.with_layer(&config.base_uri_layer()).build())
}

/// The time of an answer by the API server's clock (RFC 9110, section 6.6.1), if it has one that
/// the agent can represent. An API server numbers each request (k8s.io/apiserver/pkg/endpoints,
/// filters/audit_init.go); what a load balancer answers itself has its own clock, and no number.
pub(super) fn date(headers: &HeaderMap) -> Option<Wall> {
    headers.get(AUDIT_ID)?;
    let date = headers.get(DATE)?.to_str().ok()?;
    let date = chrono::DateTime::parse_from_rfc2822(date).ok()?;
    date.timestamp_nanos_opt().map(Wall::from_nanos)
}

async fn refused(response: Response<Body>) -> Error {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MAX_ERROR_BODY)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    Error::refused(head.status, &head.headers, &body)
}

/// `text` percent-encoded for a URL's path or query: all but the unreserved characters (RFC 3986
/// section 2.3).
pub fn percent_encoded(text: &str) -> String {
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

//! One request to a collector: protobuf bytes out, protobuf bytes back, over gRPC or HTTP.
//!
//! hyper's pooling client carries both; tonic frames gRPC on top of it. The agent connects by
//! itself, so that it can read TLS files again and leave a dead connection at once.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokenwatch_otlp::protocol::{Compression, Protocol};
use tokio::time::{Instant, timeout};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::failure::{Failure, Kind};
use super::tls::{self, Material, TlsError};
use crate::clocks;
use crate::config::otlp::Target;

type Client = Pool<HttpsConnector<HttpConnector>, Body>;

/// TLS files are read again this often while a connection lasts; after a failed connection they are
/// read before the next try.
const RECHECK: Duration = Duration::from_mins(1);
/// An answer takes a few bytes; a larger body is no answer.
const LARGEST_ANSWER: usize = 1 << 20;
/// Bytes of an answer that may wait to be read: HTTP/2's own default. The library's default is
/// megabytes, which a broken server could fill.
const READ_AHEAD: u32 = 65_535;
/// One connection serves one request at a time.
const IDLE_CONNECTIONS: usize = 1;

/// The connection to one target. Cheap until the first request.
#[derive(Debug)]
pub(super) struct Transport {
    target: Target,
    connected: Mutex<Option<Connected>>,
}

struct Connected {
    client: Client,
    fingerprint: Option<[u8; 32]>,
    checked: Instant,
}

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connected").finish_non_exhaustive()
    }
}

impl Transport {
    pub(super) fn new(target: Target) -> Self {
        Self { target, connected: Mutex::new(None) }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Sends one message, and returns the answer's bytes. Takes no longer than the target's
    /// timeout.
    pub(super) async fn send(&self, message: Bytes) -> Result<Bytes, Failure> {
        let exchange = timeout(self.target.timeout, self.exchange(message));
        let outcome = exchange.await.unwrap_or_else(|_| Err(self.timed_out()));
        if outcome.as_ref().is_err_and(|failure| failure.kind == Kind::Connection) {
            // A connection that swallows requests would be reused until TCP gives up, a quarter of
            // an hour later.
            *self.lock() = None;
        }
        outcome.map_err(|failure| failure.at(&self.target))
    }

    async fn exchange(&self, message: Bytes) -> Result<Bytes, Failure> {
        let client =
            self.client().map_err(|why| Failure::new(Kind::Connection, why.to_string()))?;
        match self.target.protocol {
            Protocol::Grpc => grpc(client, &self.target, message).await,
            Protocol::HttpProtobuf => over_http(client, &self.target, message).await,
        }
    }

    fn timed_out(&self) -> Failure {
        Failure::new(
            Kind::Connection,
            format!("no answer within {} ms", self.target.timeout.as_millis()),
        )
    }

    /// The client in use, or a new one where there is none or its TLS files have changed.
    fn client(&self) -> Result<Client, TlsError> {
        let mut connected = self.lock();
        if let Some(current) = connected.as_mut() {
            if !self.is_stale(current) {
                return Ok(current.client.clone());
            }
            tracing::info!(collector = %self.target, "TLS files have changed: connecting again");
        }
        let new = connect(&self.target)?;
        Ok(connected.insert(new).client.clone())
    }

    /// Files that are half replaced do not end a connection that works.
    fn is_stale(&self, current: &mut Connected) -> bool {
        let Some(fingerprint) = current.fingerprint else { return false };
        if clocks::timer() - current.checked < RECHECK {
            return false;
        }
        current.checked = clocks::timer();
        let tls = &self.target.tls;
        let read = Material::read(tls).inspect_err(|error| self.warn_unreadable(error));
        read.is_ok_and(|new| new.fingerprint() != fingerprint && new.config(tls).is_ok())
    }

    fn warn_unreadable(&self, error: &TlsError) {
        tracing::warn!(
            collector = %self.target,
            %error,
            "TLS files cannot be read again: the connection keeps the previous ones"
        );
    }

    /// As if the TLS files had been read `by` earlier.
    #[cfg(test)]
    pub(super) fn age_connection(&self, by: Duration) {
        if let Some(connected) = self.lock().as_mut() {
            connected.checked = connected.checked.checked_sub(by).unwrap();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Connected>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(target: &Target) -> Result<Connected, TlsError> {
    let (config, fingerprint) = tls_config(target)?;
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
    let connector = match target.protocol {
        Protocol::Grpc => builder.enable_http2().wrap_connector(tcp(target)),
        Protocol::HttpProtobuf => builder.enable_http1().wrap_connector(tcp(target)),
    };
    let mut pool = Pool::builder(TokioExecutor::new());
    pool.pool_max_idle_per_host(IDLE_CONNECTIONS).http2_only(target.protocol == Protocol::Grpc);
    pool.http1_max_buf_size(READ_AHEAD as usize)
        .http2_initial_stream_window_size(READ_AHEAD)
        .http2_initial_connection_window_size(READ_AHEAD);
    Ok(Connected { client: pool.build(connector), fingerprint, checked: clocks::timer() })
}

/// Without TLS no file is read: a plain endpoint works whatever is wrong with them.
fn tls_config(target: &Target) -> Result<(rustls::ClientConfig, Option<[u8; 32]>), TlsError> {
    if target.endpoint.scheme() != Some(&http::uri::Scheme::HTTPS) {
        return Ok((tls::unused()?, None));
    }
    let material = Material::read(&target.tls)?;
    Ok((material.config(&target.tls)?, Some(material.fingerprint())))
}

fn tcp(target: &Target) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false); // the TLS layer above passes https URLs down
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(target.timeout));
    tcp
}

/// One unary call (gRPC over HTTP/2).
async fn grpc(client: Client, target: &Target, message: Bytes) -> Result<Bytes, Failure> {
    let mut grpc = tonic::client::Grpc::with_origin(client, target.endpoint.clone());
    grpc = grpc.max_decoding_message_size(LARGEST_ANSWER);
    if target.compression == Compression::Gzip {
        // Answers are not accepted compressed: a few bytes can inflate to gigabytes.
        grpc = grpc.send_compressed(CompressionEncoding::Gzip);
    }
    let ready = grpc.ready().await.map_err(|why| Failure::connection(&why));
    ready?;
    let path = PathAndQuery::from_static(target.signal.grpc_path());
    let answer = grpc.unary(call(target, message), path, RawCodec).await;
    answer.map(tonic::Response::into_inner).map_err(|status| Failure::grpc(&status))
}

fn call(target: &Target, message: Bytes) -> tonic::Request<Bytes> {
    let mut request = tonic::Request::new(message);
    *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(headers(target));
    request
}

/// One POST (OTLP/HTTP with binary protobuf).
async fn over_http(client: Client, target: &Target, message: Bytes) -> Result<Bytes, Failure> {
    let request = post(target, message).map_err(|why| Failure::new(Kind::Refused, why))?;
    let answer = client.request(request).await.map_err(|why| Failure::connection(&why))?;
    let (head, body) = answer.into_parts();
    let body =
        Limited::new(body, LARGEST_ANSWER).collect().await.map(http_body_util::Collected::to_bytes);
    if head.status.is_success() {
        return body.map_err(|why| Failure::connection(&*why));
    }
    // The body of a refusal is for people; one that is too long changes nothing about the status.
    Err(Failure::http(head.status, &head.headers, &body.unwrap_or_default(), clocks::now().wall))
}

fn post(target: &Target, message: Bytes) -> Result<Request<Body>, String> {
    let mut headers = headers(target);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    let body = encoded(target.compression, message, &mut headers)?;
    let mut request = Request::new(Body::new(Full::new(body)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.endpoint.clone();
    *request.headers_mut() = headers;
    Ok(request)
}

/// The body, compressed where that is configured.
fn encoded(
    compression: Compression,
    message: Bytes,
    headers: &mut HeaderMap,
) -> Result<Bytes, String> {
    match compression {
        Compression::None => Ok(message),
        Compression::Gzip => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            gzipped(&message).map_err(|why| format!("gzip: {why}"))
        }
    }
}

fn headers(target: &Target) -> HeaderMap {
    let mut headers = target.headers.clone();
    headers
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!("tokenwatch/", env!("CARGO_PKG_VERSION"))));
    headers
}

fn gzipped(message: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(message)?;
    encoder.finish().map(Bytes::from)
}

/// Callers encode and decode messages: here they are bytes.
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}

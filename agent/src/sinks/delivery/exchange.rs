//! One request to a collector: protobuf bytes out, protobuf bytes back, over gRPC or HTTP.
//!
//! hyper's pooling client carries both; tonic frames gRPC on top of it.

use std::io::Write as _;

use bytes::{Buf as _, BufMut as _, Bytes};
use flate2::write::GzEncoder;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, PROXY_AUTHORIZATION, USER_AGENT,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::Full;
use tokenwatch_otlp::protocol::{Compression, Protocol};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::cause::Cause;
use super::dialer::asks_the_proxy;
use super::failure::{Failure, Kind};
use super::grpc_only::GrpcOnly;
use super::pool::{Client, LARGEST_ANSWER, connect, whole};
use crate::clocks;
use crate::config::otlp::Target;
use crate::regular_file::Reads;

/// One request over a connection of its own.
pub(super) async fn attempt(
    target: &Target,
    message: Bytes,
    reads: &Reads,
) -> Result<Bytes, Failure> {
    let connected = connect(target, reads).await;
    let (client, _) = connected.map_err(|why| Failure::connection(&why))?;
    exchange(client, target, message).await
}

/// One request over these connections.
pub(super) async fn exchange(
    client: Client,
    target: &Target,
    message: Bytes,
) -> Result<Bytes, Failure> {
    match target.protocol {
        Protocol::Grpc => grpc(client, target, message).await,
        Protocol::HttpProtobuf => over_http(client, target, message).await,
    }
}

/// One unary call (gRPC over HTTP/2).
async fn grpc(client: Client, target: &Target, message: Bytes) -> Result<Bytes, Failure> {
    let service = GrpcOnly { client, target: target.clone() };
    let mut grpc = tonic::client::Grpc::with_origin(service, target.endpoint.clone());
    grpc = grpc.max_decoding_message_size(LARGEST_ANSWER);
    if target.compression == Compression::Gzip {
        // Answers are not accepted compressed: a few bytes can inflate to gigabytes.
        grpc = grpc.send_compressed(CompressionEncoding::Gzip);
    }
    grpc.ready().await.map_err(|why| Failure::connection(&*why))?;
    let path = PathAndQuery::from_static(target.signal.grpc_path());
    let answer = grpc.unary(call(target, message), path, RawCodec).await;
    answer.map(tonic::Response::into_inner).map_err(|status| Failure::grpc(&status, target))
}

fn call(target: &Target, message: Bytes) -> tonic::Request<Bytes> {
    let mut request = tonic::Request::new(message);
    *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(headers(target));
    request
}

/// One POST (OTLP/HTTP with binary protobuf).
async fn over_http(client: Client, target: &Target, message: Bytes) -> Result<Bytes, Failure> {
    let request =
        post(target, message).map_err(|why| Failure::new(Kind::Refused, Cause::Request, why))?;
    let answer = client.request(request).await.map_err(|why| Failure::connection(&why))?;
    let (head, body) = answer.into_parts();
    let body = whole(body).await;
    if head.status.is_success() {
        return body.map_err(|why| Failure::connection(&*why));
    }
    // The body of a refusal is for people; one that is too long changes nothing about the status.
    Err(Failure::http(&head, &body.unwrap_or_default(), target, clocks::now().wall))
}

fn post(target: &Target, message: Bytes) -> Result<Request<Body>, String> {
    let mut headers = headers(target);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    let body = encoded(target.compression, message, &mut headers)?;
    if body.is_empty() {
        // hyper leaves it out, and some servers refuse a POST without it (411).
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
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
    let login = target.route.proxy().and_then(|proxy| proxy.authorization.clone());
    if let Some(login) = login.filter(|_| asks_the_proxy(target)) {
        headers.insert(PROXY_AUTHORIZATION, login);
    }
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

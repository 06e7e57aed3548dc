//! Connections to one target: hyper's pooling client over the agent's own connector, so that it can
//! read TLS files again and leave a dead connection at once.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::TokioExecutor;
use tokenwatch_otlp::protocol::Protocol;
use tonic::body::Body;

use super::dialer::Dialer;
use super::tls::{self, Material, TlsError};
use crate::config::otlp::Target;
use crate::regular_file::Reads;

pub(super) type Client = Pool<HttpsConnector<Dialer>, Body>;

/// An answer takes a few bytes; a larger body is no answer.
pub(super) const LARGEST_ANSWER: usize = 1 << 20;
/// Bytes of an answer that may wait to be read: HTTP/2's own default. The library's default is
/// megabytes, which a broken server could fill.
const READ_AHEAD: u32 = 65_535;
/// One connection serves one request at a time.
const IDLE_CONNECTIONS: usize = 1;

/// A client, and the fingerprint of the TLS files that it was made from.
pub(super) async fn connect(
    target: &Target,
    reads: &Reads,
) -> Result<(Client, Option<[u8; 32]>), TlsError> {
    let (config, fingerprint) = tls_config(target, reads).await?;
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
    let connector = match target.protocol {
        Protocol::Grpc => builder.enable_http2().wrap_connector(Dialer::new(target)),
        Protocol::HttpProtobuf => builder.enable_http1().wrap_connector(Dialer::new(target)),
    };
    let mut pool = Pool::builder(TokioExecutor::new());
    pool.pool_max_idle_per_host(IDLE_CONNECTIONS).http2_only(target.protocol == Protocol::Grpc);
    pool.http1_max_buf_size(READ_AHEAD as usize)
        .http2_initial_stream_window_size(READ_AHEAD)
        .http2_initial_connection_window_size(READ_AHEAD);
    Ok((pool.build(connector), fingerprint))
}

/// Without TLS no file is read: a plain endpoint works whatever is wrong with them.
async fn tls_config(
    target: &Target,
    reads: &Reads,
) -> Result<(rustls::ClientConfig, Option<[u8; 32]>), TlsError> {
    if !target.is_tls() {
        return Ok((tls::unused()?, None));
    }
    let files = target.tls.clone();
    let read = move || {
        let material = Material::read(&files)?;
        Ok((material.config(&files)?, Some(material.fingerprint())))
    };
    reads.run(read).await?
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The whole body, if it is not too long.
pub(super) async fn whole(body: Incoming) -> Result<Bytes, BoxError> {
    Limited::new(body, LARGEST_ANSWER).collect().await.map(http_body_util::Collected::to_bytes)
}

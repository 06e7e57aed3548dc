//! TCP connections to a collector: direct ones, and those through a proxy.
//!
//! Through a proxy TLS and HTTP/2 go in a tunnel (CONNECT, RFC 9110 section 9.3.6). Plain HTTP/1.1
//! goes to the proxy itself, with the whole URL in the request: many proxies allow no tunnel to it.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokenwatch_otlp::protocol::Protocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::codegen::Service;

use super::reason;
use crate::config::otlp::Target;
use crate::config::proxy::Proxy;
use crate::network::chain;

/// Longest answer of a proxy to CONNECT.
const LONGEST_HEAD: usize = 8 << 10;

/// Whether requests go to the proxy itself, instead of through a tunnel.
pub(super) fn asks_the_proxy(target: &Target) -> bool {
    target.route.proxy().is_some() && !target.is_tls() && target.protocol == Protocol::HttpProtobuf
}

/// Opens connections.
#[derive(Clone)]
pub(super) struct Dialer {
    tcp: HttpConnector,
    target: Target,
}

impl Dialer {
    pub(super) fn new(target: &Target) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false); // the TLS layer above passes https URLs down
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(target.timeout));
        Self { tcp, target: target.clone() }
    }
}

type Opening = Pin<Box<dyn Future<Output = Result<Stream, Box<dyn Error + Send + Sync>>> + Send>>;

impl Service<Uri> for Dialer {
    type Response = Stream;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Opening;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Opening {
        let Some(proxy) = self.target.route.proxy().cloned() else {
            let opening = self.tcp.call(to);
            return Box::pin(async { Ok(Stream { io: opening.await?, is_proxied: false }) });
        };
        let (opening, target) = (self.tcp.call(proxy.url.clone()), self.target.clone());
        Box::pin(async move {
            let io = opening.await.map_err(|error| ProxyError::NotReached(chain(&error)))?;
            if asks_the_proxy(&target) {
                return Ok(Stream { io, is_proxied: true });
            }
            let tcp = tunnel(io.into_inner(), &connect(&to, &proxy), &target).await?;
            Ok(Stream { io: TokioIo::new(tcp), is_proxied: false })
        })
    }
}

/// Asks the proxy for a tunnel.
async fn tunnel(
    mut tcp: TcpStream,
    request: &[u8],
    target: &Target,
) -> Result<TcpStream, ProxyError> {
    tcp.write_all(request).await.map_err(ProxyError::Broken)?;
    let head = head(&mut tcp).await.map_err(ProxyError::Broken)?;
    opened(&head, target).map(|()| tcp)
}

/// Whether the head of the proxy's answer opens the tunnel. The proxy may repeat its login, and
/// what else is secret in the settings.
pub(super) fn opened(head: &[u8], target: &Target) -> Result<(), ProxyError> {
    match status(head) {
        Some((200..=299, _)) => Ok(()),
        Some((status, words)) => Err(ProxyError::Refused(status, reason::safe(words, target))),
        None => Err(ProxyError::NotHttp),
    }
}

fn connect(to: &Uri, proxy: &Proxy) -> Vec<u8> {
    let default = if to.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let (host, port) = (to.host().unwrap_or_default(), to.port_u16().unwrap_or(default));
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    request.push_str(concat!("User-Agent: tokenwatch/", env!("CARGO_PKG_VERSION"), "\r\n"));
    let mut request = request.into_bytes();
    if let Some(login) = &proxy.authorization {
        request.extend([b"Proxy-Authorization: ", login.as_bytes(), b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    request
}

/// The head of the answer, byte by byte: what follows it belongs to the tunnel.
async fn head(tcp: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= LONGEST_HEAD {
            return Err(io::Error::other("the answer of the proxy is too long"));
        }
        head.push(tcp.read_u8().await?);
    }
    Ok(head)
}

/// Status and reason of `HTTP/1.1 403 Forbidden`.
fn status(head: &[u8]) -> Option<(u16, &str)> {
    let line = std::str::from_utf8(head).ok()?.lines().next()?;
    let (version, rest) = line.split_once(' ')?;
    let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    version.starts_with("HTTP/1.").then_some((status.parse().ok()?, reason))
}

/// Why a proxy gave no connection.
#[derive(Debug)]
pub(super) enum ProxyError {
    /// The proxy cannot be reached.
    NotReached(String),
    /// The connection to it ended.
    Broken(io::Error),
    /// It refused, with this status and reason, which is safe to show.
    Refused(u16, String),
    /// It does not answer as an HTTP proxy.
    NotHttp,
}

impl ProxyError {
    /// The status with which it refused.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(status, _) => Some(*status),
            Self::NotReached(_) | Self::Broken(_) | Self::NotHttp => None,
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReached(why) => write!(f, "the proxy cannot be reached: {why}"),
            Self::Broken(_) => f.write_str("the proxy ended the connection"),
            Self::Refused(status, reason) => {
                write!(f, "the proxy refused the tunnel: HTTP {status} {reason}")
            }
            Self::NotHttp => f.write_str("the proxy does not answer as an HTTP proxy"),
        }
    }
}

impl Error for ProxyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Broken(error) => Some(error),
            Self::NotReached(_) | Self::Refused(..) | Self::NotHttp => None,
        }
    }
}

/// An open connection.
pub(super) struct Stream {
    io: TokioIo<TcpStream>,
    /// Whether it ends at a proxy that is asked for URLs.
    is_proxied: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.is_proxied)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }
}

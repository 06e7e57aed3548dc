//! Connections to the API server that know which certificate it showed. Of several API servers
//! behind one address, each often has its own.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tower::{BoxError, Service};

/// DNS names of one certificate that are read: kubeadm writes five, and operators add some. Part of
/// a longer list would say the wrong thing about what two certificates share.
pub(super) const MAX_NAMES: usize = 32;

type Plain = HttpsConnector<HttpConnector>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// The DNS names of the certificate of a connection. Each response on it has them among its
/// extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerNames(pub(super) Arc<[String]>);

impl ServerNames {
    fn of(stream: &Stream) -> Self {
        let MaybeHttpsStream::Https(stream) = stream else { return Self::default() };
        let certificates = stream.inner().get_ref().1.peer_certificates();
        certificates.and_then(|all| all.first()).map(Self::in_certificate).unwrap_or_default()
    }

    pub(super) fn in_certificate(certificate: &CertificateDer<'_>) -> Self {
        let Ok(parsed) = webpki::EndEntityCert::try_from(certificate) else {
            return Self::default();
        };
        let names: Vec<String> =
            parsed.valid_dns_names().take(MAX_NAMES + 1).map(str::to_ascii_lowercase).collect();
        Self(if names.len() > MAX_NAMES { Arc::default() } else { names.into() })
    }
}

/// Opens connections, with TLS where the address asks for it.
#[derive(Clone)]
pub(super) struct Connector {
    plain: Plain,
    /// For one attempt, with TLS.
    limit: Duration,
}

impl Connector {
    pub(super) fn new(plain: Plain, limit: Duration) -> Self {
        Self { plain, limit }
    }
}

impl Service<Uri> for Connector {
    type Response = Named;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Named, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.plain.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (opening, limit) = (self.plain.call(to), self.limit);
        Box::pin(async move {
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
            let stream = tokio::time::timeout(limit, opening).await.map_err(late)??;
            Ok(Named { names: ServerNames::of(&stream), stream })
        })
    }
}

/// A connection.
pub(super) struct Named {
    stream: Stream,
    names: ServerNames,
}

impl Connection for Named {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.names.clone())
    }
}

impl Read for Named {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl Write for Named {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

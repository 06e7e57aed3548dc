//! Client of this node's kubelet, for its metrics.
//!
//! - `trust`: which certificates are kubelet's.
//!
//! A request carries the agent's own token. TLS is set up first, and fails unless the certificate
//! is verified: nobody else gets as much as a request.

mod trust;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use kube::Client;
use kube::Config;
use kube::client::Body;
use tokio::time::timeout;

use super::client::opened;
use super::error::ConfigError;
use super::{Access, ApiRequest, Error, ErrorKind};
use crate::network::Trouble;
use crate::regular_file::Reads;
use trust::Verifier;
pub use trust::{Trust, TrustError};

/// Path of kubelet's metrics. Those of containers have paths of their own.
const METRICS: &str = "/metrics";
/// The exposition format of Prometheus, as text.
const TEXT: &str = "text/plain;version=0.0.4";

/// Client of one kubelet. Creating it opens no connection.
#[derive(Debug)]
pub struct KubeletClient {
    access: Access,
    server: SocketAddr,
    trust: Trust,
    /// Of certificates and credentials.
    reads: Reads,
}

/// Why kubelet's metrics were not read.
#[derive(Debug)]
pub enum KubeletError {
    /// There is nothing to verify kubelet's certificate with.
    Untrusted(TrustError),
    /// The certificate is not kubelet's. No request was sent.
    Unverified,
    /// Nothing listens at the address.
    Closed,
    /// The request failed otherwise.
    Request(Error),
}

impl From<Error> for KubeletError {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Connection(trouble) => Self::of_connection(trouble, error),
            ErrorKind::Configuration | ErrorKind::Refused(_) | ErrorKind::Invalid => {
                Self::Request(error)
            }
        }
    }
}

impl KubeletError {
    fn of_connection(trouble: Trouble, error: Error) -> Self {
        match trouble {
            Trouble::Certificate(_) => Self::Unverified,
            Trouble::Closed => Self::Closed,
            Trouble::Name
            | Trouble::Unreachable
            | Trouble::Late
            | Trouble::Broken
            | Trouble::NoTls
            | Trouble::Tls
            | Trouble::ClientCertificate => Self::Request(error),
        }
    }
}

/// The metrics, as they arrive.
#[derive(Debug)]
pub struct MetricsBody(Body);

impl MetricsBody {
    /// The next part; none at the end. A body that is cut is an error.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.0.frame().await {
            let frame = frame.map_err(|_| Error::invalid("its body was cut"))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

impl KubeletClient {
    /// A client with the credentials of `access`.
    pub fn new(access: Access, server: SocketAddr, trust: Trust) -> Self {
        Self { access, server, trust, reads: Reads::default() }
    }

    /// kubelet's address, for messages.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// What verifies kubelet's certificate, for messages.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// For a test in which a disk hangs.
    #[cfg(test)]
    pub(in crate::kubernetes) fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Requests the metrics on a connection of its own, and returns their body once its head has
    /// arrived. Certificates and credentials are read again each time, within a limit of their
    /// own.
    pub async fn metrics(&self, limit: Duration) -> Result<MetricsBody, KubeletError> {
        let client = self.client().await?;
        let response = timeout(limit, exchange(client)).await;
        response
            .unwrap_or_else(|_| {
                let reason = format!("no response within {} s", limit.as_secs());
                Err(Error::no_response(Trouble::Late, reason))
            })
            .map_err(KubeletError::from)
    }

    async fn client(&self) -> Result<Client, KubeletError> {
        let (access, server, trust) = (self.access.clone(), self.server, self.trust.clone());
        let read = move || {
            let verifier = trust.verifier(server.ip()).map_err(KubeletError::Untrusted)?;
            Ok(client(&access, server, verifier).map_err(Error::from)?)
        };
        let read = self.reads.run(read).await;
        read.map_err(|late| Error::from(ConfigError::from(late)))?
    }
}

async fn exchange(client: Client) -> Result<MetricsBody, Error> {
    let request = ApiRequest { accept: TEXT, ..ApiRequest::get(METRICS.to_owned()) };
    let response = client.send(request.into_http()?).await.map_err(Error::from_kube)?;
    if response.status().is_success() {
        return Ok(MetricsBody(response.into_body()));
    }
    // Not its text: what answers with an error may be no kubelet that should be quoted.
    Err(Error::refused(response.status(), response.headers(), b""))
}

/// Blocks, because kube reads files.
fn client(access: &Access, server: SocketAddr, verifier: Verifier) -> Result<Client, ConfigError> {
    let mut config = access.config()?;
    let url = format!("https://{server}").parse();
    config.cluster_url = url.map_err(|error: http::uri::InvalidUri| unusable(&error))?;
    (config.root_cert, config.root_cert_file) = (Some(Vec::new()), None);
    (config.tls_server_name, config.proxy_url) = (None, None);
    connected(&config, verifier).map_err(|error| unusable(&error))
}

fn unusable(error: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Client(error.to_string())
}

/// A client whose connections are made by TLS alone, and accept the certificates that `verifier`
/// accepts.
fn connected(config: &Config, verifier: Verifier) -> kube::Result<Client> {
    use kube::client::ConfigExt as _;
    let mut tls = config.rustls_client_config()?;
    tls.dangerous().set_certificate_verifier(std::sync::Arc::new(verifier));
    let mut http = HttpConnector::new();
    http.enforce_http(false); // the addresses are those of TLS
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
    opened(config, builder.enable_http1().wrap_connector(http))
}

//! The plain values that senders of telemetry take.

use std::path::PathBuf;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderMap, Uri};
use tokenwatch_otlp::protocol::{Compression, Protocol, Signal, Temporality};

use super::endpoint::shown_endpoint;
use crate::config::proxy::Route;

/// Memory of undelivered alerts, in bytes. Some 3,500 alerts: those of a node with 500 tokens in an
/// outage of a day, reminders included.
pub const ALERT_MEMORY: usize = 4 << 20;

/// What is sent, and where to. A signal without a target is not sent.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Spans.
    pub traces: Option<Target>,
    /// Metrics.
    pub metrics: Option<Target>,
    /// Alerts.
    pub logs: Option<Target>,
    /// Time between two exports of metrics.
    pub metrics_interval: Duration,
    /// What counters and histograms count from.
    pub temporality: Temporality,
    /// Memory of undelivered alerts, in bytes.
    pub alert_memory: usize,
}

impl Settings {
    /// The targets there are.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        [&self.traces, &self.metrics, &self.logs].into_iter().flatten()
    }
}

/// Where one signal goes. Its headers are marked sensitive: `Debug` does not print them.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which signal.
    pub signal: Signal,
    /// The full URL; over gRPC only its scheme and authority count.
    pub endpoint: Uri,
    /// Transport of requests.
    pub protocol: Protocol,
    /// Headers of every request.
    pub headers: HeaderMap,
    /// Timeout of one request, connecting included.
    pub timeout: Duration,
    /// Compression of requests.
    pub compression: Compression,
    /// Used where the endpoint is `https`.
    pub tls: TlsFiles,
    /// The way to the endpoint: directly, or through a proxy.
    pub route: Route,
}

impl Target {
    /// Whether the connection is over TLS.
    pub fn is_tls(&self) -> bool {
        self.endpoint.scheme() == Some(&Scheme::HTTPS)
    }
}

/// `http://collector:4318/v1/logs (http/protobuf)`
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", shown_endpoint(&self.endpoint), self.protocol.name())?;
        match self.route.proxy() {
            Some(proxy) => write!(f, " through {proxy}"),
            None => Ok(()),
        }
    }
}

/// PEM files of a TLS connection. The sender reads them again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate authorities; the system's where none is given.
    pub ca: Option<PathBuf>,
    /// Certificate chain and private key of the agent.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// What the operator set by flag, `TOKENWATCH_…` variable or file. A value that is not set here
/// comes from the `OTEL_*` variables, then from the defaults.
#[derive(Clone, Default)]
pub struct OwnOtlp {
    /// Base URL of the collector; over HTTP `/v1/traces`, `/v1/metrics` and `/v1/logs` are
    /// appended.
    pub endpoint: Option<String>,
    /// Transport of requests.
    pub protocol: Option<Protocol>,
    /// Headers of every request; they replace those of the same name from the variables.
    pub headers: Vec<(String, String)>,
    /// PEM file with the certificate authorities that the collector's certificate is checked
    /// against; the system's own where none is given.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the agent's certificate chain, for mTLS.
    pub client_cert_file: Option<PathBuf>,
    /// PEM file with its private key.
    pub client_key_file: Option<PathBuf>,
    /// For a gRPC endpoint without a scheme: plain text instead of TLS.
    pub insecure: Option<bool>,
    /// Timeout of one request, connecting included.
    pub timeout: Option<Duration>,
    /// Compression of requests.
    pub compression: Option<Compression>,
    /// Time between two exports of metrics.
    pub metrics_interval: Option<Duration>,
    /// What counters and histograms count from.
    pub temporality: Option<Temporality>,
    /// Memory of undelivered alerts, in bytes.
    pub alert_memory: Option<usize>,
}

/// By hand, because header values are secrets.
impl std::fmt::Debug for OwnOtlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("OwnOtlp")
            .field("endpoint", &self.endpoint)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

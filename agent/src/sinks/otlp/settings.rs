//! Where telemetry goes and how: the operator's own settings first, the standard `OTEL_*` variables
//! second.
//!
//! Sources: OpenTelemetry specification, "OTLP Exporter Configuration" (`protocol/exporter.md`) and
//! "Environment Variable Specification". Two additions of ours: a base endpoint on port 4317
//! without a protocol means gRPC (that is the registered port of OTLP/gRPC, and HTTP there
//! never works), and an agent whose alerts have no way out is a mistake, not a default of
//! `localhost`.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, Uri};

use super::endpoint;
use super::variables::{self, Variables};
use crate::environment::Environment;

/// The specification's default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The specification's default of `OTEL_METRIC_EXPORT_INTERVAL`.
const METRICS_INTERVAL: Duration = Duration::from_mins(1);

/// Some 3,500 alerts: what a node with 500 tokens has to say in an outage of a day, reminders
/// included.
pub const ALERT_MEMORY: usize = 4 << 20;

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `grpc`
    Grpc,
    /// `http/protobuf`
    HttpProtobuf,
}

impl Protocol {
    /// As in `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
        }
    }
}

impl std::str::FromStr for Protocol {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        variables::one_of(text, &[("grpc", Self::Grpc), ("http/protobuf", Self::HttpProtobuf)])
    }
}

/// How requests are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all; the specification's default.
    None,
    /// `gzip`
    Gzip,
}

impl std::str::FromStr for Compression {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        variables::one_of(text, &[("none", Self::None), ("gzip", Self::Gzip)])
    }
}

/// What counters and histograms count from (`OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporality {
    /// From the start of the agent; the default.
    Cumulative,
    /// From the export before.
    Delta,
    /// Delta where that needs no memory, cumulative else.
    LowMemory,
}

impl std::str::FromStr for Temporality {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        variables::one_of(
            text,
            &[
                ("cumulative", Self::Cumulative),
                ("delta", Self::Delta),
                ("lowmemory", Self::LowMemory),
            ],
        )
    }
}

/// What the operator set by flag, own variable or file. Everything unset falls to the `OTEL_*`
/// variables, then to the defaults.
#[derive(Clone, Default)]
pub struct OwnOtlp {
    /// Base URL of the collector; over HTTP `/v1/traces`, `/v1/metrics` and `/v1/logs` are
    /// appended.
    pub endpoint: Option<String>,
    /// How OTLP is spoken.
    pub protocol: Option<Protocol>,
    /// Sent with every request; they go over those of the same name from the variables.
    pub headers: Vec<(String, String)>,
    /// PEM file with the authorities that vouch for the collector; the system's own where none is
    /// given.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the agent's certificate chain, for mTLS.
    pub client_cert_file: Option<PathBuf>,
    /// PEM file with its private key.
    pub client_key_file: Option<PathBuf>,
    /// For a gRPC endpoint without a scheme: plain text instead of TLS.
    pub insecure: Option<bool>,
    /// Bound on one request, connecting included.
    pub timeout: Option<Duration>,
    /// How requests are compressed.
    pub compression: Option<Compression>,
    /// Metrics are sent this often.
    pub metrics_interval: Option<Duration>,
    /// What counters and histograms count from.
    pub temporality: Option<Temporality>,
    /// Bytes of memory that undelivered alerts may take.
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

/// The three kinds of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
    /// Alerts.
    Logs,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// As in the names of the variables, and of what was dropped.
    pub fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    /// Path over HTTP, below a base endpoint.
    pub fn http_path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
            Self::Logs => "/v1/logs",
        }
    }

    /// The method over gRPC.
    pub fn grpc_path(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }
}

/// What is wrong with where telemetry is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Whose it is.
    pub said_by: SaidBy,
    /// What is wrong and what to do.
    pub message: String,
}

/// Who said something about where telemetry goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaidBy {
    /// A standard variable.
    Variable(String),
    /// A setting of ours, by its name.
    Setting(&'static str),
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.said_by {
            SaidBy::Variable(name) => write!(f, "environment variable {name}: {}", self.message),
            SaidBy::Setting(name) => write!(f, "{name}: {}", self.message),
        }
    }
}

impl Mistake {
    pub(super) fn in_variable(name: &str, message: String) -> Self {
        Self { said_by: SaidBy::Variable(name.to_owned()), message }
    }
}

/// Files that TLS is made from; read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authorities; the system's where none is given.
    pub ca: Option<PathBuf>,
    /// Certificate chain and private key of the agent.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Where one signal goes. Its headers are marked sensitive: they are not printed.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which signal.
    pub signal: Signal,
    /// The full URL; over gRPC only its scheme and authority count.
    pub endpoint: Uri,
    /// How OTLP is spoken there.
    pub protocol: Protocol,
    /// Sent with every request.
    pub headers: HeaderMap,
    /// Bound on one request, connecting included.
    pub timeout: Duration,
    /// How requests are compressed.
    pub compression: Compression,
    /// For `https`.
    pub tls: TlsFiles,
}

/// `http://collector:4318/v1/logs (http/protobuf)`
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.endpoint, self.protocol.name())
    }
}

/// What is sent, and where to. A signal without a target is not sent.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Spans.
    pub traces: Option<Target>,
    /// Metrics.
    pub metrics: Option<Target>,
    /// Alerts.
    pub logs: Option<Target>,
    /// Metrics are sent this often.
    pub metrics_interval: Duration,
    /// What counters and histograms count from.
    pub temporality: Temporality,
    /// Bytes of memory that undelivered alerts may take.
    pub alert_memory: usize,
}

impl Settings {
    /// Own settings over the `OTEL_*` variables over the defaults. Nothing if no endpoint is given
    /// anywhere, or if `OTEL_SDK_DISABLED` is true; else every mistake at once.
    pub fn resolve(own: &OwnOtlp, env: &Environment) -> Result<Option<Self>, Vec<Mistake>> {
        let mut resolver = Resolver { own, vars: Variables::new(env), mistakes: Vec::new() };
        let settings = resolver.settings();
        match resolver.finish() {
            mistakes if mistakes.is_empty() => Ok(settings),
            mistakes => Err(mistakes),
        }
    }

    /// The targets there are.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        [&self.traces, &self.metrics, &self.logs].into_iter().flatten()
    }
}

struct Resolver<'a> {
    own: &'a OwnOtlp,
    vars: Variables<'a>,
    mistakes: Vec<Mistake>,
}

impl Resolver<'_> {
    fn settings(&mut self) -> Option<Settings> {
        if self.flag("OTEL_SDK_DISABLED")
            || !Signal::ALL.into_iter().any(|signal| self.endpoint_text(signal).is_some())
        {
            return None;
        }
        let settings = Settings {
            traces: self.target(Signal::Traces),
            metrics: self.target(Signal::Metrics),
            logs: self.target(Signal::Logs),
            metrics_interval: self.metrics_interval(),
            temporality: self.temporality(),
            alert_memory: self.own.alert_memory.unwrap_or(ALERT_MEMORY),
        };
        Some(settings)
    }

    /// The three signals share variables: the same mistake is said once.
    fn finish(self) -> Vec<Mistake> {
        let mut said = Vec::new();
        for mistake in self.mistakes {
            if !said.contains(&mistake) {
                said.push(mistake);
            }
        }
        said
    }

    fn target(&mut self, signal: Signal) -> Option<Target> {
        if self.switched_off(signal) {
            return None;
        }
        let Some((said_by, text, base)) = self.endpoint_text(signal) else {
            self.missing(signal);
            return None;
        };
        let protocol = self.protocol(signal, &text);
        let insecure = self.own.insecure.unwrap_or_else(|| self.insecure(signal));
        let shape =
            endpoint::Shape { protocol, insecure, append: base.then_some(signal.http_path()) };
        let endpoint = self.noted(said_by, endpoint::parse(&text, shape));
        let target = Target {
            signal,
            endpoint: endpoint.unwrap_or_default(),
            protocol,
            headers: self.headers(signal),
            timeout: self.timeout(signal),
            compression: self.compression(signal),
            tls: self.tls(signal),
        };
        Some(target)
    }

    /// Who said it, what was said, and whether it is a base that the signal's path is appended to.
    fn endpoint_text(&self, signal: Signal) -> Option<(SaidBy, String, bool)> {
        if let Some(own) = &self.own.endpoint {
            return Some((SaidBy::Setting("otlp.endpoint"), own.clone(), true));
        }
        let (name, text) = self.vars.of(signal, "ENDPOINT")?;
        let base = name == "OTEL_EXPORTER_OTLP_ENDPOINT";
        Some((SaidBy::Variable(name), text.to_owned(), base))
    }

    /// Only where another signal has an endpoint of its own.
    fn missing(&mut self, signal: Signal) {
        let other = Signal::ALL.into_iter().find_map(|signal| self.endpoint_text(signal));
        if let (Signal::Logs, Some((said_by, ..))) = (signal, other) {
            let message = "alerts have no endpoint beside this one: set \
                           OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_LOGS_ENDPOINT too, \
                           or OTEL_LOGS_EXPORTER=none to send none";
            self.mistakes.push(Mistake { said_by, message: message.to_owned() });
        }
    }

    fn switched_off(&mut self, signal: Signal) -> bool {
        let name = format!("OTEL_{}_EXPORTER", signal.name().to_ascii_uppercase());
        self.named(&name, |text| variables::one_of(text, &[("otlp", false), ("none", true)]))
            .unwrap_or(false)
    }

    fn protocol(&mut self, signal: Signal, endpoint: &str) -> Protocol {
        let default =
            if endpoint::has_grpc_port(endpoint) { Protocol::Grpc } else { Protocol::HttpProtobuf };
        self.own.protocol.or_else(|| self.parsed(signal, "PROTOCOL", str::parse)).unwrap_or(default)
    }

    fn timeout(&mut self, signal: Signal) -> Duration {
        self.own
            .timeout
            .or_else(|| self.parsed(signal, "TIMEOUT", variables::millis))
            .unwrap_or(TIMEOUT)
    }

    fn compression(&mut self, signal: Signal) -> Compression {
        self.own
            .compression
            .or_else(|| self.parsed(signal, "COMPRESSION", str::parse))
            .unwrap_or(Compression::None)
    }

    fn insecure(&mut self, signal: Signal) -> bool {
        self.parsed(signal, "INSECURE", variables::boolean).unwrap_or(false)
    }

    fn headers(&mut self, signal: Signal) -> HeaderMap {
        let standard = self.parsed(signal, "HEADERS", variables::headers).unwrap_or_default();
        let own: Vec<_> =
            self.own.headers.iter().map(|(name, value)| variables::header(name, value)).collect();
        let own = own
            .into_iter()
            .filter_map(|header| self.noted(SaidBy::Setting("otlp.headers"), header))
            .collect::<Vec<_>>();
        let mut headers = HeaderMap::new();
        for (name, value) in standard.into_iter().chain(own) {
            headers.insert(name, value);
        }
        headers
    }

    fn tls(&mut self, signal: Signal) -> TlsFiles {
        let ca = self.file(signal, "CERTIFICATE", "otlp.ca_file", self.own.ca_file.as_ref());
        let certificate = self.file(
            signal,
            "CLIENT_CERTIFICATE",
            "otlp.client_cert_file",
            self.own.client_cert_file.as_ref(),
        );
        let key = self.file(
            signal,
            "CLIENT_KEY",
            "otlp.client_key_file",
            self.own.client_key_file.as_ref(),
        );
        let half = match (&certificate, &key) {
            (Some((said_by, _)), None) => Some((said_by, "certificate", "key")),
            (None, Some((said_by, _))) => Some((said_by, "key", "certificate")),
            _ => None,
        };
        if let Some((said_by, there, lacking)) = half {
            let message =
                format!("a client {there} without its {lacking}: give both files (mTLS) or none");
            self.mistakes.push(Mistake { said_by: said_by.clone(), message });
        }
        let path = |found: Option<(SaidBy, PathBuf)>| found.map(|(_, path)| path);
        TlsFiles { ca: path(ca), client: path(certificate).zip(path(key)) }
    }

    fn file(
        &self,
        signal: Signal,
        variable: &str,
        setting: &'static str,
        own: Option<&PathBuf>,
    ) -> Option<(SaidBy, PathBuf)> {
        let own = own.map(|path| (SaidBy::Setting(setting), path.clone()));
        own.or_else(|| {
            self.vars
                .of(signal, variable)
                .map(|(name, path)| (SaidBy::Variable(name), PathBuf::from(path)))
        })
    }

    fn metrics_interval(&mut self) -> Duration {
        let said = self.named("OTEL_METRIC_EXPORT_INTERVAL", variables::millis);
        self.own.metrics_interval.or(said).unwrap_or(METRICS_INTERVAL)
    }

    fn temporality(&mut self) -> Temporality {
        let said = self.named("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", str::parse);
        self.own.temporality.or(said).unwrap_or(Temporality::Cumulative)
    }

    fn flag(&mut self, name: &str) -> bool {
        self.named(name, variables::boolean).unwrap_or(false)
    }

    fn named<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let parsed = parse(self.vars.get(name)?);
        self.noted(SaidBy::Variable(name.to_owned()), parsed)
    }

    fn parsed<T>(
        &mut self,
        signal: Signal,
        variable: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (name, text) = self.vars.of(signal, variable)?;
        let parsed = parse(text);
        self.noted(SaidBy::Variable(name), parsed)
    }

    fn noted<T>(&mut self, said_by: SaidBy, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.mistakes.push(Mistake { said_by, message })).ok()
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;

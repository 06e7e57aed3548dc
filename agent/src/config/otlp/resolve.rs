//! From settings and variables to targets.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, Uri};
use tokenwatch_otlp::protocol::{Compression, Protocol, Signal, Temporality};

use super::endpoint::{self, Shape};
use super::mistake::{Mistake, Problem, Source};
use super::target::{ALERT_MEMORY, OwnOtlp, Settings, Target, TlsFiles};
use super::variables::{self, Malformed, Variables};
use crate::config::proxy;
use crate::environment::Environment;

/// The specification's default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The specification's default of `OTEL_METRIC_EXPORT_INTERVAL`.
const METRICS_INTERVAL: Duration = Duration::from_mins(1);

impl Settings {
    /// Own settings over the `OTEL_*` variables over the defaults. Nothing if no endpoint is given
    /// anywhere, or if `OTEL_SDK_DISABLED` is true. On failure every mistake at once.
    pub fn resolve(own: &OwnOtlp, env: &Environment) -> Result<Option<Self>, Vec<Mistake>> {
        let mut resolver = Resolver { own, env, vars: Variables::new(env), mistakes: Vec::new() };
        let settings = resolver.settings();
        match resolver.finish() {
            mistakes if mistakes.is_empty() => Ok(settings),
            mistakes => Err(mistakes),
        }
    }
}

/// A file, and where its name came from.
type Named = (Source, PathBuf);

struct Resolver<'a> {
    own: &'a OwnOtlp,
    env: &'a Environment,
    vars: Variables<'a>,
    mistakes: Vec<Mistake>,
}

impl Resolver<'_> {
    fn settings(&mut self) -> Option<Settings> {
        if self.flag("OTEL_SDK_DISABLED") || self.any_endpoint().is_none() {
            return None;
        }
        Some(Settings {
            traces: self.target(Signal::Traces),
            metrics: self.target(Signal::Metrics),
            logs: self.target(Signal::Logs),
            metrics_interval: self.metrics_interval(),
            temporality: self.temporality(),
            alert_memory: self.own.alert_memory.unwrap_or(ALERT_MEMORY),
        })
    }

    fn any_endpoint(&self) -> Option<(Source, String, bool)> {
        Signal::ALL.into_iter().find_map(|signal| self.endpoint_text(signal))
    }

    /// The three signals share variables: the same mistake is reported a single time.
    fn finish(self) -> Vec<Mistake> {
        let mut distinct = Vec::new();
        for mistake in self.mistakes {
            if !distinct.contains(&mistake) {
                distinct.push(mistake);
            }
        }
        distinct
    }

    fn target(&mut self, signal: Signal) -> Option<Target> {
        if self.switched_off(signal) {
            return None;
        }
        if self.endpoint_text(signal).is_none() {
            self.missing(signal);
        }
        let (protocol, endpoint) = self.endpoint(signal)?;
        let (headers, timeout) = (self.headers(signal), self.timeout(signal));
        let (compression, tls) = (self.compression(signal), self.tls(signal));
        let route = proxy::route(self.env, &endpoint);
        Some(Target { signal, endpoint, protocol, headers, timeout, compression, tls, route })
    }

    fn endpoint(&mut self, signal: Signal) -> Option<(Protocol, Uri)> {
        let (source, text, base) = self.endpoint_text(signal)?;
        let protocol = self.protocol(signal, &text);
        let shape = self.shape(signal, protocol, base);
        let endpoint = self.noted(source, endpoint::parse(&text, shape));
        Some((protocol, endpoint.unwrap_or_default()))
    }

    fn shape(&mut self, signal: Signal, protocol: Protocol, base: bool) -> Shape {
        let insecure = self.own.insecure.or_else(|| self.insecure(signal));
        Shape { protocol, insecure, append: base.then_some(signal.http_path()) }
    }

    /// Its source, its text, and whether it is a base that the signal's path is appended to.
    fn endpoint_text(&self, signal: Signal) -> Option<(Source, String, bool)> {
        if let Some(own) = &self.own.endpoint {
            return Some((Source::Setting("otlp.endpoint"), own.clone(), true));
        }
        let (name, text) = self.vars.of(signal, "ENDPOINT")?;
        let base = name == "OTEL_EXPORTER_OTLP_ENDPOINT";
        Some((Source::Variable(name), text.to_owned(), base))
    }

    /// Alerts must have an endpoint where another signal has one of its own.
    fn missing(&mut self, signal: Signal) {
        if let (Signal::Logs, Some((source, ..))) = (signal, self.any_endpoint()) {
            self.mistakes.push(Mistake { source, problem: Problem::NoEndpointForAlerts });
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
        self.own.protocol.or_else(|| self.parsed(signal, "PROTOCOL", protocol)).unwrap_or(default)
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
            .or_else(|| self.parsed(signal, "COMPRESSION", compression))
            .unwrap_or(Compression::None)
    }

    fn insecure(&mut self, signal: Signal) -> Option<bool> {
        self.parsed(signal, "INSECURE", variables::boolean)
    }

    fn headers(&mut self, signal: Signal) -> HeaderMap {
        let standard = self.parsed(signal, "HEADERS", variables::headers).unwrap_or_default();
        let own: Vec<_> =
            self.own.headers.iter().map(|(name, value)| variables::header(name, value)).collect();
        let own = own
            .into_iter()
            .filter_map(|header| self.noted(Source::Setting("otlp.headers"), header))
            .collect::<Vec<_>>();
        let mut headers = HeaderMap::new();
        for (name, value) in standard.into_iter().chain(own) {
            headers.insert(name, value);
        }
        headers
    }

    fn tls(&mut self, signal: Signal) -> TlsFiles {
        let own = self.own;
        let ca = self.file(signal, "CERTIFICATE", "otlp.ca_file", own.ca_file.as_ref());
        let (variable, setting) = ("CLIENT_CERTIFICATE", "otlp.client_cert_file");
        let certificate = self.file(signal, variable, setting, own.client_cert_file.as_ref());
        let (variable, setting) = ("CLIENT_KEY", "otlp.client_key_file");
        let key = self.file(signal, variable, setting, own.client_key_file.as_ref());
        self.check_pair(certificate.as_ref(), key.as_ref());
        let path = |found: Option<Named>| found.map(|(_, path)| path);
        TlsFiles { ca: path(ca), client: path(certificate).zip(path(key)) }
    }

    /// mTLS needs both files.
    fn check_pair(&mut self, certificate: Option<&Named>, key: Option<&Named>) {
        let (source, given, missing) = match (certificate, key) {
            (Some((source, _)), None) => (source, "certificate", "key"),
            (None, Some((source, _))) => (source, "key", "certificate"),
            (Some(_), Some(_)) | (None, None) => return,
        };
        let problem = Problem::HalfOfClientPair { given, missing };
        self.mistakes.push(Mistake { source: source.clone(), problem });
    }

    fn file(
        &self,
        signal: Signal,
        variable: &str,
        setting: &'static str,
        own: Option<&PathBuf>,
    ) -> Option<Named> {
        let own = own.map(|path| (Source::Setting(setting), path.clone()));
        own.or_else(|| {
            self.vars
                .of(signal, variable)
                .map(|(name, path)| (Source::Variable(name), PathBuf::from(path)))
        })
    }

    fn metrics_interval(&mut self) -> Duration {
        let standard = self.named("OTEL_METRIC_EXPORT_INTERVAL", variables::millis);
        self.own.metrics_interval.or(standard).unwrap_or(METRICS_INTERVAL)
    }

    fn temporality(&mut self) -> Temporality {
        let standard = self.named("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", temporality);
        self.own.temporality.or(standard).unwrap_or(Temporality::Cumulative)
    }

    fn flag(&mut self, name: &str) -> bool {
        self.named(name, variables::boolean).unwrap_or(false)
    }

    fn named<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, Malformed>) -> Option<T> {
        let parsed = parse(self.vars.get(name)?);
        self.noted(Source::Variable(name.to_owned()), parsed)
    }

    fn parsed<T>(
        &mut self,
        signal: Signal,
        variable: &str,
        parse: impl Fn(&str) -> Result<T, Malformed>,
    ) -> Option<T> {
        let (name, text) = self.vars.of(signal, variable)?;
        let parsed = parse(text);
        self.noted(Source::Variable(name), parsed)
    }

    fn noted<T, E: Into<Problem>>(&mut self, source: Source, result: Result<T, E>) -> Option<T> {
        result.map_err(|why| self.mistakes.push(Mistake { source, problem: why.into() })).ok()
    }
}

fn protocol(text: &str) -> Result<Protocol, Malformed> {
    variables::one_of(text, &Protocol::ALL.map(|known| (known.name(), known)))
}

fn compression(text: &str) -> Result<Compression, Malformed> {
    variables::one_of(text, &Compression::ALL.map(|known| (known.name(), known)))
}

fn temporality(text: &str) -> Result<Temporality, Malformed> {
    variables::one_of(text, &Temporality::ALL.map(|known| (known.name(), known)))
}

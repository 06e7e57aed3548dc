//! OTLP export: its targets, its resource, and every mistake in the settings of it.

use tokenwatch_core::base::time::Delta;
use tracing::{info, warn};

use crate::config::otlp::{self, Identity, OwnOtlp};
use crate::config::{self, Settings};
use crate::environment::Environment;
use tokenwatch_otlp::Resource;

use super::host::host_name;

/// The targets, if there are any, and the resource that identifies this agent; or all mistakes.
pub(super) fn export(
    own: &OwnOtlp,
    environment: &Environment,
    node: &str,
) -> Result<(Option<otlp::Settings>, Resource), Vec<otlp::Mistake>> {
    let identity = Identity { node: Some(node.to_owned()), host: host_name() };
    match (otlp::Settings::resolve(own, environment), otlp::resource(environment, &identity)) {
        (Ok(settings), Ok(resource)) => Ok((settings, resource)),
        (settings, resource) => {
            Err(settings.err().into_iter().flatten().chain(resource.err()).collect())
        }
    }
}

/// Logs what is odd about the targets: doubts, proxies that do not apply, and alerts that are not
/// sent. The first answers of the collectors are logged by those who send.
pub(super) fn announce(settings: &otlp::Settings) {
    for doubt in settings.doubts() {
        warn!(doubt, "the OTLP settings are probably not meant like this");
    }
    for exception in settings.exceptions() {
        info!(reason = exception, "connecting to a collector without a proxy");
    }
    for route in settings.proxies() {
        info!(proxy = route, "connecting to a collector through a proxy");
    }
    if settings.logs.is_none() {
        info!(
            "OTEL_LOGS_EXPORTER is none: alerts are not sent; findings are in this log, on the \
             status page, in /metrics and, with kubernetes.events, in Events"
        );
    }
}

/// Every mistake in the standard variables, and in settings that contradict them.
pub fn export_mistakes(loaded: &config::Loaded, environment: &Environment) -> Vec<config::Mistake> {
    let mut own = own_otlp(&loaded.settings);
    if loaded.is_broken("otlp.endpoint") {
        // Never used. With it the other settings are checked as they will be once this one is
        // corrected.
        own.endpoint = Some("http://localhost:4318".to_owned());
    }
    let mistakes = export(&own, environment, "").err().unwrap_or_default();
    mistakes.iter().map(|mistake| with_origin(mistake, loaded)).collect()
}

fn with_origin(mistake: &otlp::Mistake, loaded: &config::Loaded) -> config::Mistake {
    match &mistake.source {
        otlp::Source::Variable(name) => config::Mistake {
            origin: config::Origin::Variable(name.clone()),
            message: mistake.message(),
        },
        otlp::Source::Setting(name) => config::Mistake {
            origin: loaded.origin(name),
            message: format!("{name}: {}", mistake.message()),
        },
    }
}

/// The agent's own settings for OTLP, in the form that the sink takes.
pub fn own_otlp(settings: &Settings) -> OwnOtlp {
    let own = &settings.otlp;
    let headers = own.headers.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned()));
    OwnOtlp {
        endpoint: own.endpoint.clone(),
        protocol: own.protocol,
        headers: headers.collect(),
        ca_file: own.ca_file.clone(),
        client_cert_file: own.client_cert_file.clone(),
        client_key_file: own.client_key_file.clone(),
        insecure: None,
        timeout: own.timeout.map(Delta::to_std),
        compression: own.compression,
        metrics_interval: own.metrics_interval.map(Delta::to_std),
        temporality: own.temporality,
        alert_memory: Some(settings.alerts.memory.bytes()),
    }
}

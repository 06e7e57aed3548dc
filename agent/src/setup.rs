//! `tokenwatch run`: settings to a plan, signals to a stop.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenwatch_core::engine;
use tokenwatch_core::ledger::Restored;
use tokenwatch_core::world::clocks::{Limits, ServerName};
use tokenwatch_core::world::tokens::KubeletPolicy;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::agent::{self, Plan};
use crate::clocks;
use crate::config::{self, Settings};
use crate::confinement::{self, Allowed, Confinement};
use crate::discovery::roots::{Search, given};
use crate::discovery::time_servers;
use crate::environment::Environment;
use crate::kubernetes::{Access, ApiServer};
use crate::recorder::{Recorder, Target};
use crate::sinks::events::Events;
use crate::sinks::metrics::Pull;
use crate::sinks::otlp::{self, Identity, OwnOtlp, Resource};
use crate::sinks::{ShutdownReport, Sink, Sinks, SnapshotSource, Views, http};
use crate::sources::ntp::{NtpConfig, is_public_pool};
use crate::sources::volumes::FilesConfig;
use crate::state_file;

/// Where the machine says who made it.
const DMI: &str = "sys/class/dmi/id";

/// Why `run` could not start or go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The configuration: exit status 2.
    Configuration(Vec<String>),
    /// Anything else: exit status 1.
    Other(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Configuration(mistakes) => f.write_str(&mistakes.join("\n")),
            Self::Other(message) => f.write_str(message),
        }
    }
}

/// Gives up what the agent does not need. To be called before there is a second thread. The
/// directory where it remembers is made if it is not there: where that fails nothing is given up,
/// for it may be mended while the agent runs.
pub fn confine(settings: &Settings, environment: &Environment) -> Result<Confinement, String> {
    if let Some(directory) = &settings.state.dir {
        std::fs::create_dir_all(directory).map_err(|why| {
            format!(
                "it is not confined, because {} (state.dir) cannot be made ({why})",
                directory.display()
            )
        })?;
    }
    confinement::confine(Allowed {
        write: settings.state.dir.clone(),
        read: readable(settings, environment),
    })
}

/// What a container's agent reads: of the host what is mounted for it, and what names the
/// collector, the API server and itself. On the host itself kubelet roots are looked for anywhere,
/// and a kubeconfig may name files anywhere.
fn readable(settings: &Settings, environment: &Environment) -> Option<Vec<PathBuf>> {
    if settings.host_prefix == Path::new("/") || settings.kubernetes.kubeconfig.is_some() {
        return None;
    }
    // A static binary may not find getrandom(2) by its name in libc, and takes its random numbers
    // from the devices.
    let always = [
        "/etc",
        "/proc",
        "/sys",
        "/run/secrets",
        "/var/run/secrets",
        "/dev/random",
        "/dev/urandom",
    ]
    .map(PathBuf::from);
    let otlp = &settings.otlp;
    let set = [&otlp.ca_file, &otlp.client_cert_file, &otlp.client_key_file]
        .into_iter()
        .flatten()
        .cloned();
    let named = FILE_VARIABLES.iter().filter_map(|name| environment.get(name).map(PathBuf::from));
    let certificates = set.chain(named).map(|file| place_of(&file));
    let folders = environment
        .get("SSL_CERT_DIR")
        .into_iter()
        .flat_map(|list| list.split(':'))
        .map(PathBuf::from);
    // Kubelet roots are below the prefix, given or found.
    Some(
        [settings.host_prefix.clone()]
            .into_iter()
            .chain(always)
            .chain(certificates)
            .chain(folders)
            .collect(),
    )
}

/// Where a file may be read from. Those of a mounted Secret are links into a directory that changes
/// with it: the volume is what stays. Else the folder, for whoever replaces a file there; but not
/// all there is.
fn place_of(file: &Path) -> PathBuf {
    let volume = file.ancestors().skip(1).find(|folder| folder.join("..data").exists());
    let folder = volume.or(file.parent()).filter(|folder| folder.parent().is_some());
    folder.unwrap_or(file).to_owned()
}

/// Variables that name a file to read: those of OpenTelemetry's exporters, and OpenSSL's for the
/// authorities of the public.
const FILE_VARIABLES: [&str; 13] = [
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY",
    "SSL_CERT_FILE",
];

/// Runs the agent until it is asked to stop by SIGTERM or SIGINT.
pub async fn run(
    settings: &Settings,
    environment: &Environment,
    record: Option<Target>,
) -> Result<(), Failure> {
    let report = run_until(settings, environment, record, asked_to_stop()).await?;
    if !report.is_clean() {
        warn!("stopped with something left: {report}");
    }
    Ok(())
}

/// Runs the agent until `stop`; what could not be sent by then.
pub async fn run_until(
    settings: &Settings,
    environment: &Environment,
    record: Option<Target>,
    stop: impl Future<Output = ()>,
) -> Result<ShutdownReport, Failure> {
    let node = node_name(settings, environment);
    let (otlp, resource) = export(&own_otlp(settings), environment, &node).map_err(|mistakes| {
        Failure::Configuration(mistakes.iter().map(ToString::to_string).collect())
    })?;
    let apiserver = apiserver(settings, environment)
        .map_err(|mistake| Failure::Configuration(vec![mistake]))?;
    if let Some(server) = &apiserver {
        info!("using the Kubernetes API: {}", server.place());
    }
    let plan = Plan { apiserver: apiserver.clone(), ..plan(settings, &node)? };
    let plan = Plan { recorder: recorder(record, &plan.engine)?, ..plan };
    info!(node, roots = ?plan.files.roots, servers = plan.ntp.servers.len(), "watching");
    let notebook = settings.state.dir.clone().map(|directory| state_file::Settings {
        directory,
        node: node.clone(),
        remembered: plan.remembered.clone(),
    });
    let (events, http) = (settings.kubernetes.events, http(settings));
    let sinks = move |views: Views| {
        let pull = http.as_ref().map(|_| Pull::default());
        let mut sinks = Sinks::new(open_sink(otlp, &resource, &views.snapshot, pull.clone())?);
        if let Some(notebook) = notebook {
            sinks = sinks.remembering(notebook);
        }
        if let Some(server) = apiserver.filter(|_| events) {
            sinks = sinks.with_events(Events::start(server, node));
        }
        Ok(match http.zip(pull) {
            Some((http, pull)) => sinks.serving(&http, &resource, views, pull),
            None => sinks,
        })
    };
    agent::run(plan, sinks, stop).await.map_err(Failure::Other)
}

fn recorder(
    record: Option<Target>,
    config: &engine::Config,
) -> Result<Option<Arc<Recorder>>, Failure> {
    let started = record.map(|target| Recorder::start(target, config).map(Arc::new)).transpose();
    started.map_err(|why| Failure::Other(why.to_string()))
}

/// Where telemetry goes, and who is speaking; or every mistake in what was said about that.
fn export(
    own: &OwnOtlp,
    environment: &Environment,
    node: &str,
) -> Result<(Option<otlp::Settings>, Resource), Vec<otlp::Mistake>> {
    let identity = Identity { node: Some(node.to_owned()), host: host_name() };
    match (otlp::Settings::resolve(own, environment), Resource::resolve(environment, &identity)) {
        (Ok(settings), Ok(resource)) => Ok((settings, resource)),
        (settings, resource) => {
            Err(settings.err().into_iter().flatten().chain(resource.err()).collect())
        }
    }
}

/// Every mistake in the standard variables, as they would be used with these settings, and in
/// settings that contradict them.
pub fn export_mistakes(loaded: &config::Loaded, environment: &Environment) -> Vec<config::Mistake> {
    let mut own = own_otlp(&loaded.settings);
    if loaded.is_broken("otlp.endpoint") {
        own.endpoint = Some("http://localhost:4318".to_owned()); // never used: the rest is looked at as with the one that was meant
    }
    let mistakes = export(&own, environment, "").err().unwrap_or_default();
    let told = |mistake: otlp::Mistake| match mistake.said_by {
        otlp::SaidBy::Variable(name) => {
            config::Mistake { origin: config::Origin::Variable(name), message: mistake.message }
        }
        otlp::SaidBy::Setting(name) => config::Mistake {
            origin: loaded.origin(name),
            message: format!("{name}: {}", mistake.message),
        },
    };
    mistakes.into_iter().map(told).collect()
}

/// The API server, if it is to be used.
pub fn apiserver(
    settings: &Settings,
    environment: &Environment,
) -> Result<Option<Arc<ApiServer>>, String> {
    if !settings.kubernetes.enabled {
        return Ok(None);
    }
    let access = Access::resolve(settings.kubernetes.kubeconfig.as_deref(), environment)?;
    Ok(Some(Arc::new(ApiServer::new(access))))
}

/// What says how to reach the API server, if that can never work.
pub fn api_mistake(loaded: &config::Loaded, environment: &Environment) -> Option<config::Mistake> {
    let own = &loaded.settings.kubernetes;
    let mistake = own
        .enabled
        .then(|| Access::resolve(own.kubeconfig.as_deref(), environment).err())
        .flatten();
    let setting =
        if own.kubeconfig.is_some() { "kubernetes.kubeconfig" } else { "kubernetes.enabled" };
    mistake.map(|message| config::Mistake { origin: loaded.origin(setting), message })
}

fn open_sink(
    otlp: Option<otlp::Settings>,
    resource: &Resource,
    snapshot: &SnapshotSource,
    pull: Option<Pull>,
) -> Result<Sink, String> {
    if let Some(otlp) = otlp {
        return Sink::otlp(otlp, resource, snapshot, pull);
    }
    info!("no OTLP endpoint is configured: printing what would be sent");
    Sink::console(std::io::stdout().is_terminal())
}

/// Where to listen, if anywhere.
fn http(settings: &Settings) -> Option<http::Settings> {
    let http = &settings.http;
    http.enabled.then(|| http::Settings { addresses: http.address.clone(), port: http.port.0 })
}

fn plan(settings: &Settings, node: &str) -> Result<Plan, Failure> {
    let ntp = ntp(settings);
    Ok(Plan {
        engine: engine_config(settings, node, !ntp.servers.is_empty()),
        files: files(settings)?,
        ntp,
        apiserver: None,
        recorder: None,
        remembered: settings
            .state
            .dir
            .as_deref()
            .map(|directory| left_behind(directory, node))
            .unwrap_or_default(),
        shutdown: settings.shutdown_timeout.to_std(),
    })
}

/// What the agent before this one had raised; how long nobody looked is for the diary.
fn left_behind(directory: &Path, node: &str) -> Vec<Restored> {
    let left = state_file::read(directory, node);
    for complaint in &left.complaints {
        warn!("{complaint}");
    }
    if let Some(alive_at) = left.alive_at {
        let away = clocks::now().wall - alive_at;
        let findings = left.findings.len();
        info!(
            "nobody watched for {away} before this start: rotations in that time are not timed; \
             findings carried on: {findings}"
        );
    }
    left.findings
}

/// What the engine is told of these settings.
pub fn engine_config(settings: &Settings, node: &str, servers_configured: bool) -> engine::Config {
    let clock = Limits {
        offset: settings.clock.offset_limit,
        assumed_bound: settings.clock.assumed_bound,
        max_age: settings.clock.max_age,
        servers_configured,
        ..Limits::default()
    };
    engine::Config {
        node: node.to_owned(),
        kubelet: KubeletPolicy { sync_period: settings.kubelet.sync_period },
        clock,
        cluster_configured: settings.kubernetes.enabled,
        remind_every: settings.alerts.remind_every,
        delivery_limit: settings.alerts.delivery_limit,
        ..engine::Config::default()
    }
}

fn files(settings: &Settings) -> Result<FilesConfig, Failure> {
    let search = settings.roots.is_empty().then(|| search(settings));
    Ok(FilesConfig {
        rescan: settings.files.rescan.to_std(),
        search,
        ..FilesConfig::new(kubelet_roots(settings)?)
    })
}

/// The kubelet roots to look at: those given, seen through the host's mount, or those that are
/// found.
pub fn kubelet_roots(settings: &Settings) -> Result<Vec<PathBuf>, Failure> {
    if !settings.roots.is_empty() {
        return Ok(given(&settings.host_prefix, &settings.roots));
    }
    search(settings).all().map_err(|none| Failure::Configuration(vec![none.to_string()]))
}

fn search(settings: &Settings) -> Search {
    Search { prefix: settings.host_prefix.clone(), proc: PathBuf::from("/proc") }
}

/// The servers to ask: those configured, else those the host itself is configured with.
pub fn ntp(settings: &Settings) -> NtpConfig {
    let mut servers = settings.clock.servers.clone();
    if servers.is_empty() && settings.clock.discover {
        servers = discovered(&settings.host_prefix);
    }
    NtpConfig {
        servers,
        timeout: settings.clock.timeout.to_std(),
        interval: settings.clock.interval.to_std(),
        ..NtpConfig::default()
    }
}

/// sysfs is the kernel's, and the same in a container that mounts no more of the host than it
/// needs.
fn dmi(prefix: &Path) -> PathBuf {
    let of_host = prefix.join(DMI);
    if of_host.exists() { of_host } else { Path::new("/").join(DMI) }
}

/// A public pool is for the host's one daemon, not for a second client on each of 5,000 nodes: it
/// is asked only where somebody configures it here.
fn discovered(prefix: &Path) -> Vec<ServerName> {
    let (public, own): (Vec<_>, Vec<_>) = time_servers::discover(prefix, &dmi(prefix))
        .into_iter()
        .partition(|found| is_public_pool(&found.server));
    for found in public {
        info!(
            "not asking {}, named by {}: a public pool is asked only if clock.servers names it",
            found.server, found.named_by
        );
    }
    for found in &own {
        info!("asking time server {}, named by {}", found.server, found.named_by);
    }
    own.into_iter().map(|found| found.server).collect()
}

/// This node's name: configured, given by the downward API, or the host's.
pub fn node_name(settings: &Settings, environment: &Environment) -> String {
    let configured =
        settings.node.clone().or_else(|| environment.get("NODE_NAME").map(ToOwned::to_owned));
    configured.or_else(host_name).unwrap_or_else(|| "localhost".to_owned())
}

fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

/// The agent's own settings for OTLP, as the sink knows them.
pub fn own_otlp(settings: &Settings) -> OwnOtlp {
    let own = &settings.otlp;
    OwnOtlp {
        endpoint: own.endpoint.clone(),
        protocol: own.protocol,
        headers: own
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.reveal().to_owned()))
            .collect(),
        ca_file: own.ca_file.clone(),
        client_cert_file: own.client_cert_file.clone(),
        client_key_file: own.client_key_file.clone(),
        insecure: None,
        timeout: own.timeout.map(tokenwatch_core::base::time::Delta::to_std),
        compression: own.compression,
        metrics_interval: own.metrics_interval.map(tokenwatch_core::base::time::Delta::to_std),
        temporality: own.temporality,
        alert_memory: Some(settings.alerts.memory.bytes()),
    }
}

/// SIGTERM from kubelet, SIGINT from a person. Where signals cannot be caught, the default action
/// stops the process just as well.
pub async fn asked_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("asked to stop");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_may_be_read_where_its_next_one_will_be() {
        let folder = tempfile::tempdir().unwrap();
        let volume = folder.path().join("secret");
        std::fs::create_dir_all(volume.join("..2026_11_25/otlp")).unwrap();
        std::os::unix::fs::symlink("..2026_11_25", volume.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/otlp", volume.join("otlp")).unwrap();
        let table = [
            (volume.join("ca.crt"), volume.clone()),
            (volume.join("otlp/ca.crt"), volume),
            (folder.path().join("ca.crt"), folder.path().to_owned()),
            (PathBuf::from("/ca.crt"), PathBuf::from("/ca.crt")),
            (PathBuf::from("ca.crt"), PathBuf::from("ca.crt")),
        ];
        for (file, place) in table {
            assert_eq!(place_of(&file), place, "{}", file.display());
        }
    }
}

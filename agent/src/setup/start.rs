//! Starting the agent with its sinks, and stopping it on a signal.

use std::io::IsTerminal as _;
use std::sync::Arc;

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::engine::{Config, Status};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::api_server::api_server_urls;
use super::failure::Failure;
use super::plan::{self, Host};
use super::signals::stop_signal;
use super::{
    api_server, api_server_note, export, host, kubelet_client, node_name, own_otlp, saved,
};
use crate::agent::{self, Plan};
use crate::config::Settings;
use crate::config::otlp;
use crate::environment::Environment;
use crate::kubernetes::ApiClient;
use crate::recorder::{Recorder, Target};
use crate::sinks::events::Events;
use crate::sinks::metrics::Pull;
use crate::sinks::{ShutdownReport, Sink, Sinks, SnapshotSource, StartError, Views, http};
use crate::sources::readers::fanotify::Access;
use crate::state_file::Lock;
use crate::{state_file, streams};
use tokenwatch_otlp::Resource;

/// Runs the agent until SIGTERM, SIGINT or SIGHUP.
pub async fn run(
    settings: &Settings,
    environment: &Environment,
    record: Option<Target>,
    fanotify: Access,
) -> Result<(), Failure> {
    let started = (record, fanotify);
    let left = run_until(settings, environment, started, stop_signal()).await?;
    if !left.is_clean() {
        warn!(
            alerts = left.alerts_left,
            spans = left.spans_left,
            flushed = !left.unfinished,
            saved = !left.unsaved,
            "stopped; some telemetry was not sent"
        );
    }
    Ok(())
}

/// Runs the agent until `stop`; what it could not send by then.
pub async fn run_until(
    settings: &Settings,
    environment: &Environment,
    started: (Option<Target>, Access),
    stop: impl Future<Output = ()>,
) -> Result<ShutdownReport, Failure> {
    let mut stop = std::pin::pin!(stop);
    let (settings, environment) = (settings.clone(), environment.clone());
    // It reads files, and a disk may hang.
    let preparing = spawn_blocking(move || prepared(&settings, &environment, started));
    let (ways, plan) = tokio::select! {
        prepared = preparing => prepared.map_err(|_| Failure::Panicked)??,
        () = stop.as_mut() => return Ok(ShutdownReport::default()), // there is nothing to send
    };
    announce(&plan);
    agent::run(plan, |views| ways.open(views), stop).await.map_err(Failure::Agent)
}

/// What the agent does, and where its reports go. Blocks.
fn prepared(
    settings: &Settings,
    environment: &Environment,
    (record, fanotify): (Option<Target>, Access),
) -> Result<(WaysOut, Plan), Failure> {
    let node = node_name(settings, environment);
    let (otlp, resource) =
        export::export(&own_otlp(settings), environment, &node).map_err(Failure::Export)?;
    let api_server = api_server(settings, environment).map_err(Failure::ApiServer)?;
    if let Some(note) = api_server_note(settings, environment) {
        info!(note, "using no proxy for the Kubernetes API");
    }
    let saved = saved::take(settings.state.dir.clone(), &node).map_err(Failure::InUse)?;
    let host = Host {
        api_servers: api_server_urls(settings, environment),
        ..host::look_up(settings, &node, saved.state)?
    };
    let ways = WaysOut {
        lock: saved.lock,
        otlp,
        resource,
        http: plan::http_settings(settings),
        state: state_settings(settings, &host),
        events: api_server.clone().filter(|_| settings.kubernetes.events),
        node,
    };
    let kubelet = kubelet_client(settings, environment, &ways.node).map_err(Failure::ApiServer)?;
    let plan = plan::plan(settings, host, (api_server, kubelet), fanotify);
    let plan = Plan { recorder: recorder(record, &plan.engine)?, ..plan };
    Ok((ways, plan))
}

/// Watches the node for `span` without reporting anything, and returns what is known of it then.
/// The clock is not measured, and no state file is read.
pub async fn look(
    settings: &Settings,
    environment: &Environment,
    span: Delta,
) -> Result<Status, Failure> {
    let api_server = api_server(settings, environment).map_err(Failure::ApiServer)?;
    let node = node_name(settings, environment);
    let host = Host {
        roots: host::kubelet_roots(settings)?,
        node,
        api_servers: api_server_urls(settings, environment),
        ..Host::default()
    };
    // Who asks for readers wants them watched, whatever the setting for `run`.
    let plan = Plan {
        readers: true,
        ..plan::plan(settings, host, (api_server, None), Access::NotGranted)
    };
    Ok(agent::look(plan, span.to_std()).await)
}

fn recorder(record: Option<Target>, config: &Config) -> Result<Option<Arc<Recorder>>, Failure> {
    let started = record.map(|target| Recorder::start(target, config).map(Arc::new));
    started.transpose().map_err(Failure::Recorder)
}

fn announce(plan: &agent::Plan) {
    if let Some(server) = &plan.apiserver {
        info!(server = server.address(), "using the Kubernetes API");
    }
    let (node, time_servers) = (&plan.engine.node, plan.ntp.servers.len());
    info!(node, roots = ?plan.files.roots, time_servers, "watching this node");
}

fn state_settings(settings: &Settings, host: &Host) -> Option<state_file::Config> {
    settings.state.dir.clone().map(|directory| state_file::Config {
        directory,
        node: host.node.clone(),
        restored: host.restored.clone(),
    })
}

/// Every sink that the settings ask for.
struct WaysOut {
    /// The right to the directory of the state file.
    lock: Option<Lock>,
    /// Nothing: print to standard output.
    otlp: Option<otlp::Settings>,
    resource: Resource,
    http: Option<http::Settings>,
    state: Option<state_file::Config>,
    events: Option<Arc<ApiClient>>,
    node: String,
}

impl WaysOut {
    fn open(self, views: Views) -> Result<Sinks, StartError> {
        let pull = self.http.as_ref().map(|_| Pull::default());
        let main = open_main(self.otlp, &self.resource, &views.snapshot, pull.clone())?;
        let mut sinks = Sinks::new(main);
        if let Some(state) = self.state {
            sinks = sinks.with_state_file(state, self.lock, Arc::clone(&views.learned));
        }
        if let Some(server) = self.events {
            sinks = sinks.with_events(Events::start(server, self.node));
        }
        Ok(match self.http.zip(pull) {
            Some((http, pull)) => sinks.with_http(&http, &self.resource, views, pull),
            None => sinks,
        })
    }
}

fn open_main(
    otlp: Option<otlp::Settings>,
    resource: &Resource,
    snapshot: &SnapshotSource,
    pull: Option<Pull>,
) -> Result<Sink, StartError> {
    if let Some(otlp) = otlp {
        export::announce(&otlp);
        return Sink::otlp(otlp, resource, snapshot, pull);
    }
    info!("no OTLP endpoint configured: printing alerts and traces on standard output");
    Sink::console(streams::stdout().is_terminal())
}

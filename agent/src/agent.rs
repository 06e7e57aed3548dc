//! Wiring of the running agent: observations go from the sources to the engine, reports from the
//! engine to the sinks, and queries from the engine to the source that answers them. Nothing is
//! decided here.

mod drive;
mod engine;
mod error;
mod heartbeat;
mod idle_code;
mod queries;

use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::engine::{Config, Report, Status};
use tokenwatch_core::ledger::Restored;
use tokenwatch_core::world::cluster::AccountName;
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::privileges::{Level, Privileges};
use tokenwatch_core::world::readers::KnownHabit;
use tokenwatch_core::world::tokens::TokenKey;
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::kubernetes::{ApiClient, KubeletClient};
use crate::recorder::Recorder;
use crate::sinks::{ShutdownReport, Sinks, Views};
use crate::sources::copies::{self, CopiesConfig};
use crate::sources::journal::JournalConfig;
use crate::sources::kubelet_log::KubeletLogConfig;
use crate::sources::logs::LogFiles;
use crate::sources::ntp::{self, NtpConfig};
use crate::sources::readers::fanotify::{self, Access, Openers};
use crate::sources::readers::processes::{self, ProcessesConfig};
use crate::sources::service_accounts::Followed;
use crate::sources::token_volumes::TokenVolumes;
use crate::sources::volumes::{self, FilesConfig};
use crate::sources::{
    api_clock, controller_lease, kernel, keys, kubelet_log, kubelet_metrics, pod_addresses, pods,
    privileges, readers, server_logs, service_accounts,
};
use drive::Drive;
use engine::SharedEngine;
pub use error::Error;
use queries::{Queries, Waiting};

/// Observations that may wait for the engine: the tokens of two full nodes. When it is full, the
/// sources wait; nothing is lost, because files keep their content.
const QUEUE: usize = 512;

/// What a run of the agent needs.
#[derive(Debug)]
pub struct Plan {
    /// Of the engine.
    pub engine: Config,
    /// Of the source of token files.
    pub files: FilesConfig,
    /// Of the source of copies on the host, if the agent looks for them.
    pub copies: Option<CopiesConfig>,
    /// Of the source of an API server's logs, if the settings name any.
    pub server_logs: Option<LogFiles>,
    /// Of the same in the journal of systemd, if the settings ask for it.
    pub server_journal: Option<JournalConfig>,
    /// Of the sources of kubelet's errors.
    pub kubelet_log: KubeletLogConfig,
    /// Client for kubelet's metrics, if the settings ask for them.
    pub kubelet: Option<Arc<KubeletClient>>,
    /// Of the source of time servers.
    pub ntp: NtpConfig,
    /// Whether the agent may ask the kernel who opens files.
    pub fanotify: Access,
    /// Of the source of processes.
    pub processes: ProcessesConfig,
    /// Client for this node's pods and their service accounts, if the Kubernetes API is enabled.
    pub apiserver: Option<Arc<ApiClient>>,
    /// Whether to watch all service accounts as well.
    pub watch_accounts: bool,
    /// Whether to request the lease of the controller manager.
    pub controller_lease: bool,
    /// Whether to watch who reads the tokens.
    pub readers: bool,
    /// Findings that were active when the last agent stopped.
    pub restored: Vec<Restored>,
    /// Habits of readers that the last agent learned.
    pub habits: Vec<KnownHabit>,
    /// Paths that held a token when the last agent saw them.
    pub held: Vec<TokenKey>,
    /// Records what the engine takes, if somebody wants a recording.
    pub recorder: Option<Arc<Recorder>>,
    /// Longest duration of the last flush.
    pub shutdown: Duration,
}

/// Runs until `stop`, or until an error; then the agent should be restarted. `sinks` starts the
/// sinks.
pub async fn run<S>(
    plan: Plan,
    sinks: impl FnOnce(Views) -> Result<Sinks, S>,
    stop: impl Future<Output = ()>,
) -> Result<ShutdownReport, Error<S>> {
    let engine = SharedEngine::new(&plan);
    if let Some(client) = &plan.apiserver {
        client.explain_by(engine.known_offset());
    }
    let privileges = privileges::read(&plan.fanotify);
    let level = privileges.rung;
    let (queries, waiting) = queries::channels(plan.files.expected.clone());
    // Before the state is saved for the first time: that must not forget what was restored.
    let first = first_reports(&engine, &plan, privileges, &queries);
    let sinks = sinks(engine.views()).map_err(Error::Sinks)?;
    sinks.take(first);
    let (sender, mut observations) = channel(QUEUE);
    let mut sources = start_sources(&plan, level, &sender, waiting);
    drop(sender);
    let delivery = sinks.delivery();
    let watchdog = &plan.files.watchdog;
    let drive = Drive { engine: &engine, sinks: &sinks, queries: &queries, watchdog };
    let counting = tokio::spawn(engine.count_time());
    let giving_back = tokio::spawn(idle_code::give_back(plan.files.rescanned.clone()));
    tokio::select! {
        () = stop => {}
        () = drive.run(&mut observations, delivery) => {}
        () = sinks.closed() => return Err(Error::OutputClosed),
        Some(_) = sources.join_next() => return Err(Error::SourceEnded),
    }
    giving_back.abort();
    counting.abort();
    sources.abort_all();
    sinks.take(engine.close());
    let (report, ()) = tokio::join!(sinks.shutdown(plan.shutdown), finish(&plan));
    Ok(report)
}

/// Watches the node for `span`, and returns what the engine knows of it then. Nothing is reported.
pub async fn look(plan: Plan, span: Duration) -> Status {
    let engine = SharedEngine::new(&plan);
    let privileges = privileges::read(&plan.fanotify);
    let level = privileges.rung;
    drop(engine.step(Observation::Privileges(privileges)));
    let (sender, observations) = channel(QUEUE);
    let (queries, waiting) = queries::channels(plan.files.expected.clone());
    let sources = start_sources(&plan, level, &sender, waiting);
    drop(sender);
    // Only the time limit ends it.
    let _ = tokio::time::timeout(span, follow(&engine, observations, &queries)).await;
    drop(sources);
    (engine.views().status)()
}

/// Steps the engine with each observation, and drops the reports.
async fn follow(engine: &SharedEngine, mut observations: Receiver<Observation>, queries: &Queries) {
    loop {
        let observation = tokio::select! {
            Some(observation) = observations.recv() => observation,
            () = tokio::time::sleep(engine.until_next_wake()) => Observation::Tick,
        };
        queries.send(engine.step(observation).queries);
    }
}

/// Ends the recording, if there is one.
async fn finish(plan: &Plan) {
    if let Some(recorder) = &plan.recorder {
        recorder.finish(plan.shutdown).await;
    }
}

/// Reports that follow from the restored findings and from the agent's privileges.
fn first_reports(
    engine: &SharedEngine,
    plan: &Plan,
    privileges: Privileges,
    queries: &Queries,
) -> Vec<Report> {
    log_privileges(&privileges);
    let restored = engine.restore(plan.restored.clone());
    if !plan.held.is_empty() {
        drop(engine.step(Observation::Held(plan.held.clone()))); // nothing is looked at yet
    }
    if !plan.habits.is_empty() {
        let _ = engine.step(Observation::Habits(plan.habits.clone())); // nothing uses them yet
    }
    let first = engine.step(Observation::Privileges(privileges));
    queries.send(restored.queries.into_iter().chain(first.queries).collect());
    restored.reports.into_iter().chain(first.reports).collect()
}

fn log_privileges(privileges: &Privileges) {
    let level = privileges.rung;
    info!(privilege = %level.name(), cannot_see = level.unseen(), "privilege level");
    for lacking in &privileges.lacking {
        warn!(lacking, "missing privilege");
    }
}

fn start_sources(
    plan: &Plan,
    level: Level,
    observations: &Sender<Observation>,
    queries: Waiting,
) -> JoinSet<()> {
    let stepped = Arc::new(Notify::new());
    let mut sources = JoinSet::new();
    sources.spawn(kernel::run(observations.clone(), Arc::clone(&stepped)));
    sources.spawn(ntp::run(plan.ntp.clone(), observations.clone(), stepped));
    let volumes = start_readers(&mut sources, plan, level, observations);
    let files = FilesConfig { followers: volumes, ..plan.files.clone() };
    sources.spawn(volumes::run(files, observations.clone()));
    if let Some(config) = &plan.copies {
        let (keys, watchdog) = (plan.files.keys.clone(), plan.files.watchdog.clone());
        sources.spawn(copies::run(config.clone(), keys, watchdog, observations.clone()));
    }
    start_server_logs(&mut sources, plan, observations);
    start_kubelet_logs(&mut sources, plan, observations);
    if let Some(client) = &plan.kubelet {
        let (client, queries) = (Arc::clone(client), queries.metrics);
        sources.spawn(kubelet_metrics::run(client, queries, observations.clone()));
    }
    if let Some(client) = &plan.apiserver {
        api_clock::show(client, observations);
        let node = plan.engine.node.clone();
        sources.spawn(pods::run(Arc::clone(client), node, observations.clone()));
        let keys = plan.files.keys.clone();
        sources.spawn(keys::run(Arc::clone(client), queries.keys, keys, observations.clone()));
        start_accounts(&mut sources, plan, client, (queries.accounts, observations));
        if plan.server_logs.is_some() || plan.server_journal.is_some() {
            let (client, addresses) = (Arc::clone(client), queries.addresses);
            sources.spawn(pod_addresses::run(client, addresses, observations.clone()));
        }
    }
    sources
}

/// Starts the sources of what an API server on this node logs, as far as the settings ask for it.
fn start_server_logs(sources: &mut JoinSet<()>, plan: &Plan, observations: &Sender<Observation>) {
    let watchdog = || plan.files.watchdog.clone();
    if let Some(config) = &plan.server_logs {
        sources.spawn(server_logs::run(config.clone(), watchdog(), observations.clone()));
    }
    if let Some(config) = &plan.server_journal {
        sources.spawn(server_logs::run_journal(config.clone(), watchdog(), observations.clone()));
    }
}

/// Starts the sources of what kubelet logs, as far as the settings ask for it.
fn start_kubelet_logs(sources: &mut JoinSet<()>, plan: &Plan, observations: &Sender<Observation>) {
    let watchdog = || plan.files.watchdog.clone();
    if let Some(config) = &plan.kubelet_log.files {
        sources.spawn(kubelet_log::run_files(config.clone(), watchdog(), observations.clone()));
    }
    if let Some(config) = &plan.kubelet_log.journal {
        sources.spawn(kubelet_log::run_journal(config.clone(), watchdog(), observations.clone()));
    }
    if let Some(client) = plan.apiserver.as_ref().filter(|_| plan.kubelet_log.events) {
        let (client, node) = (Arc::clone(client), plan.engine.node.clone());
        sources.spawn(kubelet_log::run_events(client, node, observations.clone()));
    }
}

/// Starts the sources of who reads the tokens, as far as the privilege level shows it. They follow
/// the volumes that are returned.
fn start_readers(
    sources: &mut JoinSet<()>,
    plan: &Plan,
    level: Level,
    observations: &Sender<Observation>,
) -> TokenVolumes {
    if !plan.readers {
        return TokenVolumes::default();
    }
    if level >= Level::HostPid {
        let watchdog = plan.files.watchdog.clone();
        sources.spawn(processes::run(plan.processes.clone(), watchdog, observations.clone()));
    }
    match TokenVolumes::followed() {
        Ok(volumes) => {
            let openers = start_openers(sources, plan, observations);
            let watchdog = plan.files.watchdog.clone();
            sources.spawn(readers::run(volumes.clone(), openers, watchdog, observations.clone()));
            volumes
        }
        Err(error) => {
            warn!(%error, "no event descriptor: the agent does not see who reads the tokens");
            TokenVolumes::default()
        }
    }
}

/// Starts the source of which process opens a token, at the privilege level for that.
fn start_openers(
    sources: &mut JoinSet<()>,
    plan: &Plan,
    observations: &Sender<Observation>,
) -> Option<Openers> {
    match &plan.fanotify {
        Access::Granted(openers) => {
            let watchdog = plan.files.watchdog.clone();
            sources.spawn(fanotify::run(openers.clone(), watchdog, observations.clone()));
            Some(openers.clone())
        }
        Access::Refused(_) | Access::NotGranted => None,
    }
}

fn start_accounts(
    sources: &mut JoinSet<()>,
    plan: &Plan,
    client: &Arc<ApiClient>,
    (queries, observations): (Receiver<AccountName>, &Sender<Observation>),
) {
    let followed = Followed::default();
    if plan.controller_lease {
        sources.spawn(controller_lease::run(Arc::clone(client), observations.clone()));
    }
    if plan.watch_accounts {
        let (client, followed) = (Arc::clone(client), followed.clone());
        sources.spawn(service_accounts::watch(client, observations.clone(), followed));
    }
    let client = Arc::clone(client);
    sources.spawn(service_accounts::run(client, queries, observations.clone(), followed));
}

//! Sinks: where reports of the engine go. One folder per sink; none ever blocks the engine.

pub mod console;
pub mod delivery;
pub mod events;
mod findings_log;
pub mod http;
pub mod metrics;

use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::engine::Report;
use tokenwatch_core::engine::{Readiness, Snapshot, Status};
use tokenwatch_core::world::Learned;
use tokenwatch_core::world::observation::DeliveryState;
use tokenwatch_otlp::Resource;
use tokio::sync::watch;

use crate::config::otlp::Settings;
use crate::state_file::{self, StateFile};

/// The figures of the engine, read at each export of metrics.
pub type SnapshotSource = Arc<dyn Fn() -> Snapshot + Send + Sync>;

/// What the engine has learned for the next agent, read whenever the state is saved.
pub type LearnedSource = Arc<dyn Fn() -> Learned + Send + Sync>;

/// Everything the engine knows, read for each request of the status page.
pub type StatusSource = Arc<dyn Fn() -> Status + Send + Sync>;

/// The progress of the loop that drives the engine, read without waiting for the engine.
pub type PulseSource = Arc<dyn Fn() -> Pulse + Send + Sync>;

/// Whether the figures of the engine are those of the node, read without waiting for the engine.
pub type ReadinessSource = Arc<dyn Fn() -> Readiness + Send + Sync>;

/// What sinks can read at any time, besides the reports that they receive.
#[derive(Clone)]
pub struct Views {
    /// For metrics.
    pub snapshot: SnapshotSource,
    /// For readiness.
    pub readiness: ReadinessSource,
    /// For the status page.
    pub status: StatusSource,
    /// For liveness.
    pub pulse: PulseSource,
    /// For the state file.
    pub learned: LearnedSource,
}

/// Whether the engine makes progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Time since the last step began or ended, without time in which the process was stopped or
    /// the machine slept.
    pub since: Duration,
    /// Whether a step has begun and not ended.
    pub is_stepping: bool,
    /// The longest time between two steps when there are no observations.
    pub longest_pause: Duration,
}

/// Default time limit of the last flush: half of Kubernetes' shortest common grace period (10 s).
pub const SHUTDOWN_BOUND: Duration = Duration::from_secs(5);
/// Time for the state file after the last flush. A disk writes a few kilobytes within milliseconds;
/// one that hangs must not hold up the end. With [`SHUTDOWN_BOUND`] it is the time from the signal
/// to the end of the process, and within that grace period.
pub const LAST_SAVE: Duration = Duration::from_secs(2);

/// All sinks: the main one, which delivers spans and alerts, and the optional ones.
#[derive(Debug)]
pub struct Sinks {
    main: Sink,
    state_file: Option<StateFile>,
    events: Option<events::Events>,
    /// Only if the main sink has no metrics of its own.
    metrics: Option<metrics::Metrics>,
    http: Option<http::Http>,
}

/// The sink that delivers spans and alerts.
#[derive(Debug)]
pub enum Sink {
    /// Lines on standard output.
    Console(console::Console),
    /// A collector.
    Otlp(Box<delivery::Delivery>),
}

/// Why a sink could not start.
#[derive(Debug)]
pub enum StartError {
    /// The operating system gave no thread for the console.
    Console(std::io::Error),
    /// The OTLP exporter cannot work with its settings.
    Otlp(delivery::StartError),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Console(error) => write!(f, "cannot start the thread that prints: {error}"),
            Self::Otlp(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// What a sink could not send before it was shut down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Alerts that no collector accepted.
    pub alerts_left: u64,
    /// Spans that were not sent.
    pub spans_left: u64,
    /// Whether the last metrics were not sent, or the last lines not written.
    pub unfinished: bool,
    /// Whether the last state was not saved in time.
    pub unsaved: bool,
}

impl ShutdownReport {
    /// Whether everything was sent.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

/// `not sent: 3 alerts, 12 spans, and the last flush timed out`.
impl std::fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_clean() {
            return f.write_str("everything was sent");
        }
        let rest = if self.unfinished { ", and the last flush timed out" } else { "" };
        let unsaved =
            if self.unsaved { ", and the state file was not written in time" } else { "" };
        let (alerts, spans) = (self.alerts_left, self.spans_left);
        write!(f, "not sent: {alerts} alerts, {spans} spans{rest}{unsaved}")
    }
}

impl Sinks {
    /// Only the main sink.
    pub fn new(main: Sink) -> Self {
        Self { main, state_file: None, events: None, metrics: None, http: None }
    }

    /// Adds the state file with the active findings.
    #[must_use]
    pub fn with_state_file(
        self,
        config: state_file::Config,
        lock: Option<state_file::Lock>,
        learned: LearnedSource,
    ) -> Self {
        let delivery =
            state_file::Delivery { undelivered: self.main.undelivered(), owed: self.main.owed() };
        let state_file = StateFile::start(config, lock, learned, delivery);
        Self { state_file: Some(state_file), ..self }
    }

    /// Adds Kubernetes Events.
    #[must_use]
    pub fn with_events(self, events: events::Events) -> Self {
        Self { events: Some(events), ..self }
    }

    /// Adds the HTTP server. Must be called within a tokio runtime. `pull` is the reader that the
    /// main sink was started with.
    #[must_use]
    pub fn with_http(
        self,
        settings: &http::Settings,
        resource: &Resource,
        views: Views,
        pull: metrics::Pull,
    ) -> Self {
        let no_counters = Arc::default();
        let origin = delivery::origin(resource, &no_counters, &views.snapshot);
        let start = || metrics::Metrics::start(&origin, None::<metrics::Pull>, Some(pull.clone()));
        let metrics = self.main.has_no_metrics().then(start);
        let roots = settings.roots.clone();
        let http = http::Http::start(settings, http::Content { views, pull, roots });
        Self { metrics, http: Some(http), ..self }
    }

    /// Queues reports for every sink. Never blocks, never grows without bound.
    pub fn take(&self, reports: Vec<Report>) {
        self.events.iter().for_each(|events| events.take(&reports));
        self.metrics.iter().for_each(|metrics| metrics.take(&reports));
        if self.main.is_remote() {
            findings_log::log(&reports);
        }
        let saved = self.state_file.as_ref().map(|file| (file, state_file::changes(&reports)));
        self.main.take(reports);
        // Only now, when the main sink counts the alerts as undelivered: the state file must not
        // hold an alert as raised that no collector has accepted.
        if let Some((file, changes)) = saved {
            file.apply(changes);
        }
    }

    /// The engine has answered this round of [`DeliveryState::again`], and [`Self::take`] has
    /// queued its alerts.
    pub fn answered(&self, round: u64) {
        self.main.answered(round);
    }

    /// The delivery of alerts; `changed()` reports each change.
    pub fn delivery(&self) -> watch::Receiver<DeliveryState> {
        self.main.delivery()
    }

    /// Returns when the reader of standard output has closed it. Never returns for a collector,
    /// which may come back.
    pub async fn closed(&self) {
        self.main.closed().await;
    }

    /// Flushes within `bound`, and then saves the state within [`LAST_SAVE`]; what was not done.
    pub async fn shutdown(self, bound: Duration) -> ShutdownReport {
        self.events.into_iter().for_each(events::Events::stop);
        drop(self.http);
        let mut report = self.main.shutdown(bound).await;
        if let Some(file) = self.state_file {
            report.unsaved = tokio::time::timeout(LAST_SAVE, file.finish()).await.is_err();
        }
        report
    }
}

impl Sink {
    /// Lines on standard output.
    pub fn console(colour: bool) -> Result<Self, StartError> {
        console::Console::stdout(colour).map(Self::Console).map_err(StartError::Console)
    }

    /// Whether the metrics need a place of their own: the console shows none.
    fn has_no_metrics(&self) -> bool {
        match self {
            Self::Console(_) => true,
            Self::Otlp(_) => false,
        }
    }

    /// Whether alerts go to another machine, and are not on standard output.
    fn is_remote(&self) -> bool {
        match self {
            Self::Console(_) => false,
            Self::Otlp(_) => true,
        }
    }

    /// Export to a collector. Must be called within a tokio runtime, which then sends. `pull`
    /// reads the same metrics.
    pub fn otlp(
        settings: Settings,
        resource: &Resource,
        snapshot: &SnapshotSource,
        pull: Option<metrics::Pull>,
    ) -> Result<Self, StartError> {
        let started = delivery::Delivery::start(settings, resource, snapshot, pull);
        started.map(|delivery| Self::Otlp(Box::new(delivery))).map_err(StartError::Otlp)
    }

    /// Queues reports. Never blocks, never grows without bound.
    pub fn take(&self, reports: Vec<Report>) {
        match self {
            Self::Console(console) => console.take(reports),
            Self::Otlp(otlp) => otlp.take(reports),
        }
    }

    /// The engine has answered this round of [`DeliveryState::again`]. The console asks for
    /// nothing.
    fn answered(&self, round: u64) {
        match self {
            Self::Console(_) => {}
            Self::Otlp(otlp) => otlp.answered(round),
        }
    }

    /// How alerts get out; changes are seen by `changed()`.
    pub fn delivery(&self) -> watch::Receiver<DeliveryState> {
        match self {
            Self::Console(console) => console.delivery(),
            Self::Otlp(otlp) => otlp.state(),
        }
    }

    /// The number of alerts that no collector has accepted yet. Always 0 for the console.
    fn undelivered(&self) -> watch::Receiver<u64> {
        match self {
            Self::Console(_) => watch::channel(0).1,
            Self::Otlp(otlp) => otlp.undelivered(),
        }
    }

    /// The findings whose last alert no collector has accepted. Always none for the console.
    fn owed(&self) -> state_file::OwedSource {
        match self {
            Self::Console(_) => state_file::nothing_owed(),
            Self::Otlp(otlp) => otlp.owed(),
        }
    }

    /// Returns when the reader of standard output has closed it. Never returns for a collector,
    /// which may come back.
    pub async fn closed(&self) {
        match self {
            Self::Console(console) => console.closed().await,
            Self::Otlp(_) => std::future::pending().await,
        }
    }

    /// Flushes within `bound`; what was not sent.
    pub async fn shutdown(self, bound: Duration) -> ShutdownReport {
        match self {
            Self::Console(console) => console.shutdown(bound).await,
            Self::Otlp(otlp) => otlp.shutdown(bound).await,
        }
    }
}

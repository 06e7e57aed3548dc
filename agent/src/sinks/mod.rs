//! Ways out: one file per way. Each takes actions, none ever blocks the engine.

pub mod console;
pub mod delivery;
pub mod events;
pub mod http;
pub mod metrics;

use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::engine::Report;
use tokenwatch_core::engine::{Snapshot, Status};
use tokenwatch_core::world::observation::DeliveryState;
use tokenwatch_otlp::Resource;
use tokio::sync::watch;

use crate::config::otlp::Settings;
use crate::state_file::{self, StateFile};

/// What metrics are read from, at each export.
pub type SnapshotSource = Arc<dyn Fn() -> Snapshot + Send + Sync>;

/// What a status page is made from, each time somebody asks for it.
pub type StatusSource = Arc<dyn Fn() -> Status + Send + Sync>;

/// How the loop that drives the engine is doing, at this moment; told without waiting for the
/// engine.
pub type PulseSource = Arc<dyn Fn() -> Pulse + Send + Sync>;

/// What sinks read of the engine when they want to, besides the actions that they are given.
#[derive(Clone)]
pub struct Views {
    /// Figures.
    pub snapshot: SnapshotSource,
    /// Everything.
    pub status: StatusSource,
    /// Whether it lives.
    pub pulse: PulseSource,
}

/// Whether the engine still takes steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Since the last step began or ended, on a clock that stands still while the machine sleeps.
    pub since: Duration,
    /// A step began and has not ended.
    pub is_stepping: bool,
    /// Without anything to see, a step is taken after no longer than this.
    pub longest_pause: Duration,
}

/// A flush at the end takes no longer than this by default: half of what Kubernetes' shortest
/// common grace period (10 s) leaves.
pub const SHUTDOWN_BOUND: Duration = Duration::from_secs(5);

/// All ways out: the one by which spans and alerts are delivered, and those beside it.
#[derive(Debug)]
pub struct Sinks {
    main: Sink,
    state_file: Option<StateFile>,
    events: Option<events::Events>,
    /// Where the main one measures nothing.
    metrics: Option<metrics::Metrics>,
    http: Option<http::Http>,
}

/// The way by which spans and alerts are delivered.
#[derive(Debug)]
pub enum Sink {
    /// Lines for people.
    Console(console::Console),
    /// A collector.
    Otlp(Box<delivery::Delivery>),
}

/// What was left when a sink was shut down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Alerts that no collector accepted.
    pub alerts_left: u64,
    /// Spans that were not sent.
    pub spans_left: u64,
    /// The last metrics were not sent, or lines were not written.
    pub unfinished: bool,
}

impl ShutdownReport {
    /// Nothing was left.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

/// For people: `3 alerts, 12 spans and the last metrics were not sent`.
impl std::fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_clean() {
            return f.write_str("everything was sent");
        }
        let rest = if self.unfinished { ", and the last flush did not end in time" } else { "" };
        write!(f, "not sent: {} alerts, {} spans{rest}", self.alerts_left, self.spans_left)
    }
}

impl Sinks {
    /// Only the main one.
    pub fn new(main: Sink) -> Self {
        Self { main, state_file: None, events: None, metrics: None, http: None }
    }

    /// Adds the state file, in which active findings are saved.
    #[must_use]
    pub fn with_state_file(self, config: state_file::Config) -> Self {
        let state_file = StateFile::start(config, self.main.undelivered());
        Self { state_file: Some(state_file), ..self }
    }

    /// And findings become Events.
    #[must_use]
    pub fn with_events(self, events: events::Events) -> Self {
        Self { events: Some(events), ..self }
    }

    /// And whoever asks is shown figures and a page. Has to be called within a tokio runtime.
    /// `pull` is what the main one was given.
    #[must_use]
    pub fn serving(
        self,
        settings: &http::Settings,
        resource: &Resource,
        views: Views,
        pull: metrics::Pull,
    ) -> Self {
        let unmeasured = matches!(self.main, Sink::Console(_));
        let nothing_sent = Arc::default();
        let origin = delivery::origin(resource, &nothing_sent, &views.snapshot);
        let metrics = unmeasured
            .then(|| metrics::Metrics::start(origin, None::<metrics::Pull>, Some(pull.clone())));
        let http = http::Http::start(settings, http::Shown { views, pull });
        Self { metrics, http: Some(http), ..self }
    }

    /// Takes what there is to say. Never blocks, never grows without bound.
    pub fn take(&self, actions: Vec<Report>) {
        self.events.iter().for_each(|events| events.take(&actions));
        self.metrics.iter().for_each(|metrics| metrics.take(&actions));
        let changes = self.state_file.as_ref().map(|file| (file, state_file::changes(&actions)));
        self.main.take(actions);
        // After the alerts were queued and counted: only delivered findings are saved.
        if let Some((file, changes)) = changes {
            file.apply(changes);
        }
    }

    /// How alerts get out; changes are seen by `changed()`.
    pub fn delivery(&self) -> watch::Receiver<DeliveryState> {
        self.main.delivery()
    }

    /// Returns once nobody can be told anything any more, and never for a collector: that may come
    /// back.
    pub async fn closed(&self) {
        self.main.closed().await;
    }

    /// Flushes within `bound`, and says what was left.
    pub async fn shutdown(self, bound: Duration) -> ShutdownReport {
        self.events.into_iter().for_each(events::Events::stop);
        drop(self.http); // nobody is told anything any more
        let report = self.main.shutdown(bound).await;
        if let Some(file) = self.state_file {
            file.finish().await;
        }
        report
    }
}

impl Sink {
    /// Lines for people on standard output, with colours if told so.
    pub fn console(colour: bool) -> Result<Self, String> {
        console::Console::stdout(colour).map(Self::Console)
    }

    /// To a collector. Has to be called within a tokio runtime, which then does the sending.
    /// Its figures can be had through `pull` as well.
    pub fn otlp(
        settings: Settings,
        resource: &Resource,
        snapshot: &SnapshotSource,
        pull: Option<metrics::Pull>,
    ) -> Result<Self, String> {
        delivery::Delivery::start(settings, resource, snapshot, pull)
            .map(|delivery| Self::Otlp(Box::new(delivery)))
            .map_err(|error| error.to_string())
    }

    /// Takes what there is to say. Never blocks, never grows without bound.
    pub fn take(&self, actions: Vec<Report>) {
        match self {
            Self::Console(console) => console.take(actions),
            Self::Otlp(otlp) => otlp.take(actions),
        }
    }

    /// How alerts get out; changes are seen by `changed()`.
    pub fn delivery(&self) -> watch::Receiver<DeliveryState> {
        match self {
            Self::Console(console) => console.delivery(),
            Self::Otlp(otlp) => otlp.state(),
        }
    }

    /// How many alerts no collector has accepted yet. None ever wait on a console.
    fn undelivered(&self) -> watch::Receiver<u64> {
        match self {
            Self::Console(_) => watch::channel(0).1,
            Self::Otlp(otlp) => otlp.undelivered(),
        }
    }

    /// Returns once nobody can be told anything any more, and never for a collector: that may come
    /// back.
    pub async fn closed(&self) {
        match self {
            Self::Console(console) => console.closed().await,
            Self::Otlp(_) => std::future::pending().await,
        }
    }

    /// Flushes within `bound`, and says what was left.
    pub async fn shutdown(self, bound: Duration) -> ShutdownReport {
        match self {
            Self::Console(console) => console.shutdown(bound).await,
            Self::Otlp(otlp) => otlp.shutdown(bound).await,
        }
    }
}

//! The agent's wiring: observations from the sources into the engine, its actions to the sink.
//! Nothing is decided here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Reading;
use tokenwatch_core::engine::{self, Engine};
use tokenwatch_core::engine::{Outcome, Query, Report};
use tokenwatch_core::ledger::Restored;
use tokenwatch_core::replay::Content;
use tokenwatch_core::world::cluster::AccountName;
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::privileges::Privileges;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::clocks;
use crate::kubernetes::ApiServer;
use crate::recorder::Recorder;
use crate::sinks::{
    Pulse, PulseSource, ShutdownReport, Sinks, SnapshotSource, StatusSource, Views,
};
use crate::sources::ntp::{self, NtpConfig};
use crate::sources::privileges;
use crate::sources::volumes::{self, FilesConfig};
use crate::sources::{kernel, pods, service_accounts};

/// Observations that may wait for the engine: two full nodes of tokens. Beyond that the sources
/// wait, and the files wait with them.
const QUEUE: usize = 512;
/// The timer does not run while the machine sleeps, the boot clock does: look at it again at least
/// this often.
const LONGEST_SLEEP: Duration = Duration::from_mins(5);

/// What the agent is to do.
#[derive(Debug)]
pub struct Plan {
    /// For the engine.
    pub engine: engine::Config,
    /// For the token files.
    pub files: FilesConfig,
    /// For the time servers.
    pub ntp: NtpConfig,
    /// The API server to ask for this node's pods, if it is to be asked.
    pub apiserver: Option<Arc<ApiServer>>,
    /// What the agent before this one had raised.
    pub remembered: Vec<Restored>,
    /// Who records what the engine is given, if anybody.
    pub recorder: Option<Arc<Recorder>>,
    /// How long a flush at the end may take.
    pub shutdown: Duration,
}

/// The engine, shared with whoever reads figures from it. Held for one step at a time.
#[derive(Clone, Debug)]
struct Shared {
    engine: Arc<Mutex<Engine>>,
    recorder: Option<Arc<Recorder>>,
    beat: Arc<Beat>,
}

/// When the engine last began or ended a step: told apart from the engine, so that one that is
/// stuck can be told.
#[derive(Debug)]
struct Beat {
    started: tokio::time::Instant,
    /// Since then, in milliseconds.
    at: AtomicU64,
    is_stepping: AtomicBool,
}

impl Beat {
    fn new() -> Self {
        Self {
            started: clocks::timer(),
            at: AtomicU64::new(0),
            is_stepping: AtomicBool::new(false),
        }
    }

    fn beat(&self, is_stepping: bool) {
        let since = u64::try_from((clocks::timer() - self.started).as_millis()).unwrap_or(u64::MAX);
        self.at.store(since, Ordering::Relaxed);
        self.is_stepping.store(is_stepping, Ordering::Relaxed);
    }

    fn pulse(&self) -> Pulse {
        let since = (clocks::timer() - self.started)
            .saturating_sub(Duration::from_millis(self.at.load(Ordering::Relaxed)));
        Pulse {
            since,
            is_stepping: self.is_stepping.load(Ordering::Relaxed),
            longest_pause: LONGEST_SLEEP,
        }
    }
}

impl Shared {
    fn new(plan: &Plan) -> Self {
        Self {
            engine: Arc::new(Mutex::new(Engine::new(plan.engine.clone()))),
            recorder: plan.recorder.clone(),
            beat: Arc::new(Beat::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, observation: Observation) -> Outcome {
        self.beat.beat(true);
        let mut engine = self.lock();
        let now = clocks::now();
        self.record(now, || Content::Observation(observation.clone()));
        let outcome = engine.step(&now, observation);
        drop(engine);
        self.beat.beat(false);
        outcome
    }

    fn restore(&self, restored: Vec<Restored>) -> Outcome {
        let now = clocks::now();
        self.record(now, || Content::Restored(restored.clone()));
        self.lock().restore(&now, restored)
    }

    fn close(&self) -> Vec<Report> {
        let now = clocks::now();
        self.record(now, || Content::Stopped);
        self.lock().close(&now)
    }

    fn record(&self, now: Reading, content: impl FnOnce() -> Content) {
        if let Some(recorder) = &self.recorder {
            recorder.take(now, content());
        }
    }

    fn views(&self) -> Views {
        Views { snapshot: self.snapshots(), status: self.statuses(), pulse: self.pulses() }
    }

    fn pulses(&self) -> PulseSource {
        let beat = Arc::clone(&self.beat);
        Arc::new(move || beat.pulse())
    }

    fn snapshots(&self) -> SnapshotSource {
        let engine = self.clone();
        Arc::new(move || engine.lock().snapshot(&clocks::now()))
    }

    fn statuses(&self) -> StatusSource {
        let engine = self.clone();
        Arc::new(move || engine.lock().status(&clocks::now()))
    }

    fn until_next_wake(&self) -> Duration {
        let next = self.lock().next_wake();
        next.map_or(LONGEST_SLEEP, |at| (at - clocks::now().monotonic).to_std().min(LONGEST_SLEEP))
    }
}

/// Runs until `stop`, until nobody listens any more, or until a source ends, which none should:
/// better restarted than blind.
pub async fn run(
    plan: Plan,
    sinks: impl FnOnce(Views) -> Result<Sinks, String>,
    stop: impl Future<Output = ()>,
) -> Result<ShutdownReport, String> {
    let engine = Shared::new(&plan);
    let sinks = sinks(engine.views())?;
    sinks.take(first(&engine, &plan));
    let (tell, mut heard) = channel(QUEUE);
    let (questions, asked) = channel(service_accounts::QUEUE);
    let mut sources = start_sources(&plan, &tell, asked);
    drop(tell);
    let delivery = sinks.delivery();
    tokio::select! {
        () = stop => {}
        () = watch_over(&engine, &sinks, &mut heard, delivery, &questions) => {}
        () = sinks.closed() => return Err("standard output is closed: nobody reads what is printed".to_owned()),
        Some(_) = sources.join_next() => return Err("a source stopped; the agent is better restarted than blind".to_owned()),
    }
    sources.abort_all();
    sinks.take(engine.close());
    let recorded = async {
        if let Some(recorder) = &plan.recorder {
            recorder.finish(plan.shutdown).await;
        }
    };
    let (report, ()) = tokio::join!(sinks.shutdown(plan.shutdown), recorded);
    Ok(report)
}

/// What is known before anything is seen.
fn first(engine: &Shared, plan: &Plan) -> Vec<Report> {
    let privileges = privileges::read();
    say(&privileges);
    let restored = engine.restore(plan.remembered.clone());
    let seen = engine.step(Observation::Privileges(privileges));
    restored.reports.into_iter().chain(seen.reports).collect()
}

fn say(privileges: &Privileges) {
    let unseen =
        privileges.rung.unseen().map(|unseen| format!("; cannot see {unseen}")).unwrap_or_default();
    info!("privileges: {}{unseen}", privileges.rung.name());
    for lacking in &privileges.lacking {
        warn!("missing {lacking}");
    }
}

fn start_sources(
    plan: &Plan,
    tell: &Sender<Observation>,
    asked: Receiver<AccountName>,
) -> JoinSet<()> {
    let stepped = Arc::new(Notify::new());
    let mut sources = JoinSet::new();
    sources.spawn(kernel::run(tell.clone(), Arc::clone(&stepped)));
    sources.spawn(ntp::run(plan.ntp.clone(), tell.clone(), stepped));
    sources.spawn(volumes::run(plan.files.clone(), tell.clone()));
    if let Some(server) = &plan.apiserver {
        sources.spawn(pods::run(Arc::clone(server), plan.engine.node.clone(), tell.clone()));
        sources.spawn(service_accounts::run(Arc::clone(server), asked, tell.clone()));
    }
    sources
}

async fn watch_over(
    engine: &Shared,
    sinks: &Sinks,
    heard: &mut Receiver<Observation>,
    mut delivery: watch::Receiver<tokenwatch_core::world::observation::DeliveryState>,
    questions: &Sender<AccountName>,
) {
    loop {
        let observation = tokio::select! {
            Some(observation) = heard.recv() => observation,
            Ok(()) = delivery.changed() => Observation::Delivery(delivery.borrow_and_update().clone()),
            () = tokio::time::sleep(engine.until_next_wake()) => Observation::Tick,
        };
        note(&observation);
        let outcome = engine.step(observation);
        put(questions, outcome.queries);
        if !outcome.reports.is_empty() {
            sinks.take(outcome.reports);
        }
    }
}

/// Hands what is asked to who can ask. What finds no room is asked again by itself.
fn put(questions: &Sender<AccountName>, queries: Vec<Query>) {
    for Query::ServiceAccount(account) in queries {
        let _ = questions.try_send(account);
    }
}

/// The metric says that a source does not work as it should; the diary says why, and what to do.
fn note(observation: &Observation) {
    let Observation::Source(state) = observation else { return };
    if let Some(why) = &state.degraded {
        warn!("source {} is degraded: {}", state.source, shown(why));
    } else {
        info!("source {} works", state.source);
    }
}

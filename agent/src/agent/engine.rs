//! The engine, shared with the sinks that read figures from it. Its lock is held for one step or
//! one view at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenwatch_core::base::time::{Delta, Reading};
use tokenwatch_core::engine::{Engine, Outcome, Readiness, Report};
use tokenwatch_core::ledger::Restored;
use tokenwatch_core::replay::Content;
use tokenwatch_core::world::observation::Observation;

use super::Plan;
use super::heartbeat::Heartbeat;
use crate::clocks;
use crate::network::KnownOffset;
use crate::recorder::Recorder;
use crate::sinks::{
    LearnedSource, PulseSource, ReadinessSource, SnapshotSource, StatusSource, Views,
};

/// Longest sleep of the timer. It stands still while the machine sleeps, and the engine's clock
/// does not: so the engine's next deadline is checked at least this often.
const LONGEST_SLEEP: Duration = Duration::from_mins(5);

/// An offset of the clock from which it may be why a certificate is not valid.
const NOTABLE_OFFSET: Delta = Delta::from_secs(1);

#[derive(Clone, Debug)]
pub(super) struct SharedEngine {
    engine: Arc<Mutex<Engine>>,
    recorder: Option<Arc<Recorder>>,
    heartbeat: Arc<Heartbeat>,
    /// After the last step. It has a lock of its own, which nobody holds for long.
    readiness: Arc<Mutex<Readiness>>,
}

impl SharedEngine {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            engine: Arc::new(Mutex::new(Engine::new(plan.engine.clone()))),
            recorder: plan.recorder.clone(),
            heartbeat: Arc::new(Heartbeat::new(LONGEST_SLEEP)),
            readiness: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn restore(&self, findings: Vec<Restored>) -> Outcome {
        let mut engine = self.lock();
        let now = self.recorded(|| Content::Restored(findings.clone()));
        engine.restore(&now, findings)
    }

    pub(super) fn step(&self, observation: Observation) -> Outcome {
        self.heartbeat.beat(true);
        let mut engine = self.lock();
        let now = self.recorded(|| Content::Observation(observation.clone()));
        let outcome = engine.step(&now, observation);
        *self.readiness.lock().unwrap_or_else(PoisonError::into_inner) = engine.readiness(&now);
        drop(engine);
        self.heartbeat.beat(false);
        outcome
    }

    /// The loop that steps the engine runs, and has nothing to do.
    pub(super) fn note_idle(&self) {
        self.heartbeat.beat(false);
    }

    /// The last reports.
    pub(super) fn close(&self) -> Vec<Report> {
        let mut engine = self.lock();
        let now = self.recorded(|| Content::Stopped);
        engine.close(&now)
    }

    /// The time of a step, which is recorded with what the engine takes in it. Call it with the
    /// engine locked: the recording has the order of the steps.
    fn recorded(&self, content: impl FnOnce() -> Content) -> Reading {
        let now = clocks::now();
        if let Some(recorder) = &self.recorder {
            recorder.take(now, content());
        }
        now
    }

    pub(super) fn until_next_wake(&self) -> Duration {
        let next = self.lock().next_wake();
        next.map_or(LONGEST_SLEEP, |at| (at - clocks::now().monotonic).to_std().min(LONGEST_SLEEP))
    }

    /// What sinks may read at any time.
    pub(super) fn views(&self) -> Views {
        let (snapshot, status) = (self.snapshots(), self.statuses());
        let (readiness, pulse) = (self.readiness(), self.pulses());
        Views { snapshot, status, readiness, pulse, learned: self.learned() }
    }

    fn readiness(&self) -> ReadinessSource {
        let readiness = Arc::clone(&self.readiness);
        Arc::new(move || *readiness.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn learned(&self) -> LearnedSource {
        let engine = self.clone();
        Arc::new(move || engine.lock().learned())
    }

    /// How far true time is ahead of the node's clock, where that is known to be off.
    pub(super) fn known_offset(&self) -> KnownOffset {
        let engine = self.clone();
        Arc::new(move || engine.lock().clock(&clocks::now()).offset_beyond(NOTABLE_OFFSET))
    }

    fn snapshots(&self) -> SnapshotSource {
        let engine = self.clone();
        Arc::new(move || engine.lock().snapshot(&clocks::now()))
    }

    fn statuses(&self) -> StatusSource {
        let engine = self.clone();
        Arc::new(move || engine.lock().status(&clocks::now()))
    }

    /// Counts the time by which the engine's progress is judged.
    pub(super) fn count_time(&self) -> impl Future<Output = ()> + Send + 'static {
        Arc::clone(&self.heartbeat).count_time()
    }

    fn pulses(&self) -> PulseSource {
        let heartbeat = Arc::clone(&self.heartbeat);
        Arc::new(move || heartbeat.pulse())
    }
}

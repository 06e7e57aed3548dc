//! The loop that steps the engine.

use std::time::Duration;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::{Delta, Monotonic};
use tokenwatch_core::world::observation::{DeliveryState, Observation, Standstill};
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tracing::{info, warn};

use super::engine::SharedEngine;
use super::queries::Queries;
use crate::clocks;
use crate::sinks::Sinks;
use crate::sources::watchdog::Watchdog;

/// Time between two looks at whether the sources make progress, without an observation. A look
/// reads one number for each source.
const LOOK: Duration = Duration::from_secs(5);

/// A loop that wakes so much later than it should did not run: the process was stopped (SIGSTOP, a
/// frozen cgroup), or the machine slept. As long as a read that is a standstill.
const STOPPED: Duration = Duration::from_secs(2);

/// What the loop needs.
pub(super) struct Drive<'a> {
    pub(super) engine: &'a SharedEngine,
    pub(super) sinks: &'a Sinks,
    pub(super) queries: &'a Queries,
    pub(super) watchdog: &'a Watchdog,
}

impl Drive<'_> {
    /// Steps the engine with each observation, or with a tick when it is due.
    pub(super) async fn run(
        &self,
        observations: &mut Receiver<Observation>,
        mut delivery: watch::Receiver<DeliveryState>,
    ) {
        let mut looked = clocks::now().monotonic;
        loop {
            let wait = self.engine.until_next_wake().min(LOOK);
            let observation = tokio::select! {
                Some(observation) = observations.recv() => Some(observation),
                Ok(()) = delivery.changed() => {
                    Some(Observation::Delivery(delivery.borrow_and_update().clone()))
                }
                () = tokio::time::sleep(wait) => None,
            };
            // First what is not known any more: what time brings is judged by that.
            let resumed = self.look(std::mem::replace(&mut looked, clocks::now().monotonic), wait);
            let is_due = || self.engine.until_next_wake().is_zero();
            match observation.or_else(|| is_due().then_some(Observation::Tick)) {
                Some(observation) => {
                    log_health(&observation);
                    self.step(observation);
                }
                // Or a quiet node would look like a loop that hangs.
                None => self.engine.note_idle(),
            }
            self.resume(resumed, observations);
        }
    }

    /// Steps the engine with what is not known any more since the last look, from which the loop
    /// waited for so long at most. Returns what is known again.
    fn look(&self, looked: Monotonic, wait: Duration) -> Vec<Standstill> {
        let now = clocks::now();
        let took = now.monotonic - looked;
        if took >= Delta::from_std(wait.saturating_add(STOPPED)) {
            info!(%took, "the agent did not run for a while: it reads all token files again");
            for one in self.watchdog.stopped(looked, &now) {
                self.step(Observation::Standstill(one));
            }
        }
        let changes = self.watchdog.changes(&now).into_iter();
        let (stands, resumed) = changes.partition::<Vec<_>, _>(|change| change.since.is_some());
        for change in stands {
            log_standstill(&change);
            self.step(Observation::Standstill(change));
        }
        resumed
    }

    /// Steps the engine with what is known again. What the sources have read by then comes first:
    /// it waits in the queue.
    fn resume(&self, resumed: Vec<Standstill>, observations: &mut Receiver<Observation>) {
        for change in resumed {
            for _ in 0..observations.len() {
                let Ok(observation) = observations.try_recv() else { break };
                log_health(&observation);
                self.step(observation);
            }
            log_standstill(&change);
            self.step(Observation::Standstill(change));
        }
    }

    fn step(&self, observation: Observation) {
        let asked = round_in(&observation);
        let outcome = self.engine.step(observation);
        self.queries.send(outcome.queries);
        if !outcome.reports.is_empty() {
            self.sinks.take(outcome.reports);
        }
        if let Some(round) = asked {
            self.sinks.answered(round);
        }
    }
}

/// In which round the sinks ask for alerts that were lost.
fn round_in(observation: &Observation) -> Option<u64> {
    let Observation::Delivery(state) = observation else { return None };
    Some(state.again.round)
}

/// The metric shows that a source is degraded; the log adds the reason and what the agent does
/// instead.
fn log_health(observation: &Observation) {
    let Observation::Source(state) = observation else { return };
    if let Some(reason) = &state.degraded {
        warn!(source = %state.source, reason = %shown(reason), "source is degraded");
    } else {
        info!(source = %state.source, "source works");
    }
}

fn log_standstill(change: &Standstill) {
    let source = &change.source;
    if let Some(since) = change.since {
        info!(%source, since = %since.wall.rfc3339(), "a read does not return");
    } else {
        info!(%source, "reads return again");
    }
}

//! The loop that steps the engine.

use std::time::Duration;

use tokenwatch_core::base::text::shown;
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
        loop {
            let observation = tokio::select! {
                Some(observation) = observations.recv() => Some(observation),
                Ok(()) = delivery.changed() => {
                    Some(Observation::Delivery(delivery.borrow_and_update().clone()))
                }
                () = tokio::time::sleep(self.engine.until_next_wake().min(LOOK)) => None,
            };
            // First what is not known any more: what time brings is judged by that.
            for change in self.watchdog.changes(&clocks::now()) {
                log_standstill(&change);
                self.step(Observation::Standstill(change));
            }
            let is_due = || self.engine.until_next_wake().is_zero();
            match observation.or_else(|| is_due().then_some(Observation::Tick)) {
                Some(observation) => {
                    log_health(&observation);
                    self.step(observation);
                }
                // Or a quiet node would look like a loop that hangs.
                None => self.engine.note_idle(),
            }
        }
    }

    fn step(&self, observation: Observation) {
        let outcome = self.engine.step(observation);
        self.queries.send(outcome.queries);
        if !outcome.reports.is_empty() {
            self.sinks.take(outcome.reports);
        }
    }
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

//! Carries one signal's records to a collector: a record is done when the collector has answered
//! for it.
//!
//! One request is in flight at a time. While the collector cannot be reached or is busy, the batch
//! goes back to the queue and is sent again later. A batch that the collector cannot take is
//! halved. What becomes of a record that is refused even alone depends on the [`Cargo`]: alerts are
//! tried again (see [`super::queue`]), spans are dropped and counted.

use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::world::observation::DeliveryState;
use tokenwatch_otlp::{Envelope, PartialSuccess};
use tokio::sync::watch;

use super::backoff::Backoff;
use super::cargo::Cargo;
use super::failure::{Failure, Kind};
use super::queue::Entry;
use super::shared::Shared;
use super::transport::Transport;
use crate::clocks;
use crate::config::otlp::Target;
use crate::sys;

/// The specification's default batch (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`). At about 1 kB per record
/// half a megabyte; [`super::queue`] bounds the bytes as well.
const MOST_PER_REQUEST: usize = 512;
/// Wait between two tries while the agent stops: the bound on stopping is a few seconds.
const WAIT_WHILE_CLOSING: Duration = Duration::from_millis(250);

/// The task that delivers.
pub(super) struct Courier {
    cargo: Cargo,
    shared: Arc<Shared>,
    transport: Transport,
    envelope: Envelope,
    backoff: Backoff,
    /// Records of the next request at most.
    most: usize,
    /// Records that the collector has accepted.
    accepted: u64,
}

/// How the courier learns that the agent stops, and where it reports how delivery goes.
struct Outside {
    state: watch::Sender<DeliveryState>,
    closing: watch::Receiver<bool>,
}

impl Courier {
    pub(super) fn new(
        cargo: Cargo,
        shared: &Arc<Shared>,
        transport: Transport,
        envelope: Envelope,
    ) -> Self {
        let (shared, backoff) = (Arc::clone(shared), Backoff::default());
        Self { cargo, shared, transport, envelope, backoff, most: MOST_PER_REQUEST, accepted: 0 }
    }

    /// Delivers until the agent stops and nothing is left.
    pub(super) async fn run(
        mut self,
        state: watch::Sender<DeliveryState>,
        closing: watch::Receiver<bool>,
    ) {
        let mut outside = Outside { state, closing };
        while self.ready(&mut outside).await {
            let batch = self.shared.queue().start(self.most);
            self.deliver(batch, &mut outside).await;
        }
    }

    /// Waits for something to send; false when the agent stops and nothing is left.
    async fn ready(&self, outside: &mut Outside) -> bool {
        while self.shared.queue().is_empty() {
            if outside.is_closing() {
                return false;
            }
            self.idle(outside).await;
        }
        self.gather(outside).await;
        true
    }

    async fn idle(&self, outside: &mut Outside) {
        // A batch was in memory twice while it was sent, and the next may be far away.
        sys::give_memory_back();
        tokio::select! {
            () = self.shared.arrived.notified() => {}
            () = outside.closed() => {}
        }
    }

    /// Lets a batch fill. Records that wait after a failure have waited enough.
    async fn gather(&self, outside: &mut Outside) {
        let Some(time) = self.cargo.gather() else { return };
        let end = clocks::timer() + time;
        while !outside.is_closing() && self.has_time_to_fill() {
            tokio::select! {
                () = self.shared.arrived.notified() => {}
                () = outside.closed() => {}
                () = tokio::time::sleep_until(end) => return,
            }
        }
    }

    fn has_time_to_fill(&self) -> bool {
        !self.backoff.is_retrying() && self.shared.queue().len() < self.most
    }

    async fn deliver(&mut self, batch: Vec<Entry>, outside: &mut Outside) {
        match self.send(&batch).await {
            Ok(partial) => {
                let error = self.accept(batch.len(), &partial);
                outside.report(self.cargo, &self.shared, error);
            }
            Err(failure) => {
                let wait = self.fail(batch, &failure);
                outside.report(self.cargo, &self.shared, Some(failure.text));
                outside.wait(wait).await;
            }
        }
    }

    async fn send(&self, batch: &[Entry]) -> Result<PartialSuccess, Failure> {
        let request = self.envelope.request(batch.iter().map(Entry::record));
        let answer = self.transport.send(request.into()).await?;
        PartialSuccess::decode(&answer)
            .map_err(|why| Failure::new(Kind::Refused, why.to_string()).at(self.transport.target()))
    }

    /// Records that the collector rejected are not sent again: the specification forbids it, and
    /// it would reject them each time. Returns what to report.
    fn accept(&mut self, sent: usize, partial: &PartialSuccess) -> Option<String> {
        let rejected = partial.rejected.min(sent as u64);
        let accepted = sent as u64 - rejected;
        self.shared.queue().settle();
        self.shared.tally.accepted(accepted);
        self.shared.tally.rejected(rejected);
        self.accepted += accepted;
        self.backoff.reset();
        self.most = self.most.saturating_mul(2).min(MOST_PER_REQUEST);
        warning(partial, self.cargo, self.transport.target())
    }

    /// Decides what becomes of the batch; returns how long to wait.
    fn fail(&mut self, batch: Vec<Entry>, failure: &Failure) -> Duration {
        match (failure.kind, self.cargo) {
            (Kind::Data, Cargo::Alerts | Cargo::Spans) if batch.len() > 1 => {
                self.most = batch.len() / 2;
                self.put_back(batch, failure)
            }
            (Kind::Data, Cargo::Alerts) => self.refuse_alone(batch, failure),
            (Kind::Refused, Cargo::Alerts)
            | (Kind::Connection | Kind::Transient, Cargo::Alerts | Cargo::Spans) => {
                self.put_back(batch, failure)
            }
            (Kind::Data | Kind::Refused, Cargo::Spans) => self.drop_for_good(&batch, failure),
        }
    }

    fn put_back(&mut self, batch: Vec<Entry>, failure: &Failure) -> Duration {
        let given_up = self.shared.queue().put_back(batch);
        self.shared.tally.given_up(given_up);
        self.backoff.after(failure)
    }

    /// One record that is refused alone. One that was refused before is tried as slowly as a
    /// collector that refuses everything.
    fn refuse_alone(&mut self, batch: Vec<Entry>, failure: &Failure) -> Duration {
        if batch.iter().any(|entry| entry.is_hopeless(self.accepted)) {
            return self.drop_for_good(&batch, failure);
        }
        let kind = if batch.iter().any(Entry::is_isolated) { Kind::Refused } else { Kind::Data };
        let given_up = self.shared.queue().isolate(batch, self.accepted);
        self.shared.tally.given_up(given_up);
        self.backoff.after(&failure.clone().of_kind(kind))
    }

    /// The next try is as slow as with a collector that refuses everything: this may be one.
    fn drop_for_good(&mut self, batch: &[Entry], failure: &Failure) -> Duration {
        tracing::warn!(
            count = batch.len(),
            error = failure.text,
            about = batch.first().and_then(|entry| self.cargo.describe(entry.record())),
            "the collector refuses {} for good: the agent drops them",
            self.cargo.name()
        );
        self.shared.queue().settle();
        self.shared.tally.rejected(batch.len() as u64);
        self.backoff.after(&failure.clone().of_kind(Kind::Refused))
    }
}

impl Outside {
    /// The agent stops, or nobody is left who could tell that it does.
    fn is_closing(&self) -> bool {
        *self.closing.borrow() || self.closing.has_changed().is_err()
    }

    /// Returns once [`Self::is_closing`] holds.
    async fn closed(&mut self) {
        let _ = self.closing.wait_for(|closing| *closing).await;
    }

    /// Publishes how delivery goes; an error is logged when it differs from the previous one.
    fn report(&self, cargo: Cargo, shared: &Shared, error: Option<String>) {
        shared.publish_count();
        let new = delivery_state(shared, error);
        if let Some(error) = &new.last_error
            && self.state.borrow().last_error.as_ref() != Some(error)
        {
            tracing::warn!(waiting = new.waiting, error, "{} are not delivered", cargo.name());
        }
        self.state.send_if_modified(|state| {
            let modified = *state != new;
            *state = new;
            modified
        });
    }

    async fn wait(&mut self, time: Duration) {
        if self.is_closing() {
            return tokio::time::sleep(WAIT_WHILE_CLOSING).await;
        }
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.closed() => {}
        }
    }
}

fn delivery_state(shared: &Shared, last_error: Option<String>) -> DeliveryState {
    let (rejected, given_up) = shared.tally.lost();
    let queue = shared.queue();
    DeliveryState {
        waiting_since: queue.waiting_since(),
        waiting: queue.len() as u64,
        given_up,
        rejected,
        last_error,
    }
}

/// What a success leaves to report. A message without rejected records is a warning.
fn warning(partial: &PartialSuccess, cargo: Cargo, target: &Target) -> Option<String> {
    let (message, name) = (shown(&partial.message), cargo.name());
    match partial.rejected {
        0 if message.is_empty() => None,
        0 => Some(format!("{target}: accepted, with a warning: {message}")),
        rejected => Some(format!("{target}: {rejected} {name} rejected for good: {message}")),
    }
}

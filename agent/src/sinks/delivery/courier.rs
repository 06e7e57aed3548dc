//! Carries one signal's records to a collector: a record is done when the collector has answered
//! for it.
//!
//! One request is in flight at a time. While the collector cannot be reached or is busy, the batch
//! goes back to the queue and is sent again later. A batch that the collector cannot take is
//! halved. What becomes of a record that is refused even alone depends on the [`Cargo`]: alerts are
//! tried again (see [`super::queue`]), spans are dropped and counted.

use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::world::observation::DeliveryState;
use tokenwatch_otlp::{Envelope, PartialSuccess};
use tokio::sync::watch;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::cargo::Cargo;
use super::cause::Cause;
use super::entry::Entry;
use super::failure::{Failure, Kind};
use super::losses::Settled;
use super::news::{News, warning};
use super::shared::Shared;
use super::transport::Transport;
use crate::clocks;
use crate::sys;

/// The specification's default batch (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`). At about 1 kB per record
/// half a megabyte; [`super::queue`] bounds the bytes as well.
const MOST_PER_REQUEST: usize = 512;
/// Wait between two tries while the agent stops: the bound on stopping is a few seconds.
const WAIT_WHILE_CLOSING: Duration = Duration::from_millis(250);
/// A collector that nothing was sent to by then is greeted: the first alert may be days away, and a
/// mistake in the settings must show at the start. The first records of most nodes come before.
pub(super) const GREETING: Duration = Duration::from_secs(3);

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
    news: News,
    /// When to send a request without records; none once the collector was reached.
    greeting: Option<Instant>,
    /// Before this time, only a full batch is sent.
    spaced_until: Instant,
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
        let target = transport.target();
        Self {
            cargo,
            shared: Arc::clone(shared),
            news: News::new(target.signal, target.to_string()),
            transport,
            envelope,
            backoff: Backoff::default(),
            most: MOST_PER_REQUEST,
            accepted: 0,
            greeting: Some(clocks::timer() + GREETING),
            spaced_until: clocks::timer(),
        }
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
    async fn ready(&mut self, outside: &mut Outside) -> bool {
        while self.shared.queue().is_empty() {
            if outside.is_closing() {
                return false;
            }
            self.idle(outside).await;
        }
        self.gather(outside).await;
        true
    }

    async fn idle(&mut self, outside: &mut Outside) {
        // A batch was in memory twice while it was sent, and the next may be far away.
        sys::give_memory_back();
        tokio::select! {
            () = self.shared.arrived.notified() => return,
            () = outside.closed() => return,
            () = until(self.greeting) => {}
        }
        self.greet(outside).await;
    }

    /// Sends a request without records, until the first success.
    async fn greet(&mut self, outside: &mut Outside) {
        match self.send(&[]).await {
            Ok(_) => self.reached(),
            // Some backends want records; but they have answered.
            Err(failure) if failure.kind == Kind::Data => self.reached(),
            Err(failure) => {
                self.greeting = Some(clocks::timer() + self.backoff.after(&failure));
                self.failed(&failure, outside);
            }
        }
    }

    fn reached(&mut self) {
        self.greeting = None;
        self.backoff.reset();
        self.news.accepted();
    }

    /// Logs a failure, and publishes it.
    fn failed(&mut self, failure: &Failure, outside: &Outside) {
        self.news.failed(failure, self.shared.queue().len() as u64);
        outside.report(&self.shared, Some(failure.text.clone()));
    }

    /// Lets a batch fill, and keeps a distance from the last request. Records that wait after a
    /// failure have waited enough.
    async fn gather(&self, outside: &mut Outside) {
        let gathered = self.cargo.gather().map(|time| clocks::timer() + time);
        let end = gathered.map_or(self.spaced_until, |end| end.max(self.spaced_until));
        while !outside.is_closing() && clocks::timer() < end && self.has_time_to_fill() {
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
                let error = self.accept(&batch, &partial);
                outside.report(&self.shared, error);
            }
            Err(failure) => {
                let wait = self.fail(batch, &failure);
                self.failed(&failure, outside);
                outside.wait(wait).await;
            }
        }
    }

    async fn send(&mut self, batch: &[Entry]) -> Result<PartialSuccess, Failure> {
        let request = self.envelope.request(batch.iter().map(Entry::record));
        let answer = self.transport.send(request.into()).await;
        self.spaced_until = clocks::timer() + self.cargo.spacing();
        let answer = answer?;
        PartialSuccess::decode(&answer).map_err(|why| {
            let failure = Failure::new(Kind::Refused, Cause::NotOtlp, why.to_string());
            self.transport.at_target(failure)
        })
    }

    /// Records that the collector rejected are not sent again: the specification forbids it, and
    /// it would reject them each time. It does not report which they are, so the state file takes
    /// none of the batch as delivered. Returns what to report.
    fn accept(&mut self, batch: &[Entry], partial: &PartialSuccess) -> Option<String> {
        let sent = batch.len() as u64;
        let rejected = partial.rejected.min(sent);
        let accepted = sent - rejected;
        let settled = match (accepted, rejected) {
            (_, 0) => Settled::Accepted,
            (0, _) => Settled::Refused,
            (_, _) => Settled::Partly,
        };
        let overtaken = self.shared.queue().settle(batch, settled);
        self.shared.tally.accepted(accepted);
        self.shared.tally.rejected(rejected + overtaken);
        self.accepted += accepted;
        self.most = self.most.saturating_mul(2).min(MOST_PER_REQUEST);
        self.reached();
        let (cause, error) = warning(partial, self.cargo.name(), self.transport.target())?;
        self.news.trouble(cause, &error, self.shared.queue().len() as u64);
        Some(error)
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

    /// The next try is as slow as with a collector that refuses everything: this may be one. Each
    /// alert that is lost is logged; of spans only the first, because they are best effort.
    fn drop_for_good(&mut self, batch: &[Entry], failure: &Failure) -> Duration {
        let about = batch.first().and_then(|entry| self.cargo.describe(entry.record()));
        if let Some(about) = about {
            let (count, error) = (batch.len(), &failure.text);
            tracing::warn!(
                count,
                error,
                about,
                "the collector refuses alerts for good: the agent drops them"
            );
        }
        let overtaken = self.shared.queue().settle(batch, Settled::Refused);
        self.shared.tally.rejected(batch.len() as u64 + overtaken);
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

    /// Publishes how delivery goes.
    fn report(&self, shared: &Shared, error: Option<String>) {
        shared.publish_count();
        let new = delivery_state(shared, error);
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
        again: queue.losses.asked().clone(),
    }
}

/// At that time, or never.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

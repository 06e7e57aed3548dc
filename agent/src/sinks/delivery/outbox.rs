//! One signal's way out: a bounded queue, and the courier that empties it.

use std::sync::Arc;

use tokenwatch_core::world::observation::DeliveryState;
use tokenwatch_otlp::Envelope;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::cargo::{Cargo, Tally};
use super::courier::Courier;
use super::entry::{About, Class};
use super::shared::Shared;
use super::transport::Transport;
use crate::config::otlp::Target;
use crate::sinks::SnapshotSource;
use crate::sinks::metrics::Counters;
use crate::state_file::OwedSource;

/// What an outbox is made of.
pub(super) struct Plan<'a> {
    pub(super) cargo: Cargo,
    pub(super) target: Target,
    /// Of waiting records, in bytes.
    pub(super) memory: usize,
    pub(super) envelope: Envelope,
    pub(super) counters: &'a Arc<Counters>,
    pub(super) clock: &'a SnapshotSource,
    pub(super) closing: watch::Receiver<bool>,
}

/// The queue of one signal and the task that empties it. It shares nothing with another signal's:
/// neither memory nor connection nor turn.
#[derive(Debug)]
pub(super) struct Outbox {
    shared: Arc<Shared>,
    state: watch::Receiver<DeliveryState>,
    worker: JoinHandle<()>,
}

impl Outbox {
    /// Starts the courier on the runtime it is called in. It connects at the first record.
    pub(super) fn start(plan: Plan<'_>) -> Self {
        let tally = Tally::new(plan.cargo, plan.counters);
        let shared = Arc::new(Shared::new(plan.memory, tally));
        let (state, published) = watch::channel(DeliveryState::default());
        let transport = Transport::new(plan.target).with_clock(plan.clock);
        let courier = Courier::new(plan.cargo, &shared, transport, plan.envelope);
        let worker = tokio::spawn(courier.run(state, plan.closing));
        Self { shared, state: published, worker }
    }

    /// Queues an encoded alert. Never blocks; what no longer fits is counted.
    pub(super) fn push_alert(&self, class: Class, record: Vec<u8>, about: About) {
        self.shared.push_alert(class, record, about);
    }

    /// Queues an encoded span. Never blocks; what no longer fits is counted.
    pub(super) fn push(&self, class: Class, record: Vec<u8>) {
        self.shared.push(class, record);
    }

    /// The engine has answered this round of [`DeliveryState::again`], and its alerts are queued.
    pub(super) fn answered(&self, round: u64) {
        self.shared.queue().losses.answered(round);
    }

    /// How delivery goes.
    pub(super) fn state(&self) -> watch::Receiver<DeliveryState> {
        self.state.clone()
    }

    /// How many records no collector has accepted yet.
    pub(super) fn undelivered(&self) -> watch::Receiver<u64> {
        self.shared.undelivered.subscribe()
    }

    /// The findings whose last alert no collector has accepted.
    pub(super) fn owed(&self) -> OwedSource {
        let shared = Arc::clone(&self.shared);
        Arc::new(move || shared.queue().owed())
    }

    /// Delivers what is queued until `end`; returns how many records are left.
    pub(super) async fn finish(mut self, end: Instant) -> u64 {
        if timeout_at(end, &mut self.worker).await.is_err() {
            self.worker.abort();
        }
        self.shared.queue().len() as u64
    }
}

//! One signal's way out: a bounded queue, and the courier that empties it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokenwatch_core::world::observation::DeliveryState;
use tokenwatch_otlp::Envelope;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::cargo::{Cargo, Tally};
use super::courier::Courier;
use super::queue::{Class, Queue};
use super::transport::Transport;
use crate::clocks;
use crate::config::otlp::Target;
use crate::sinks::metrics::Counters;

/// What an outbox is made of.
pub(super) struct Plan<'a> {
    pub(super) cargo: Cargo,
    pub(super) target: Target,
    /// Of waiting records, in bytes.
    pub(super) memory: usize,
    pub(super) envelope: Envelope,
    pub(super) counters: &'a Arc<Counters>,
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

/// What the outbox and its courier both use.
#[derive(Debug)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    pub(super) arrived: Notify,
    pub(super) tally: Tally,
    undelivered: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn new(memory: usize, tally: Tally) -> Self {
        Self {
            queue: Mutex::new(Queue::new(memory)),
            arrived: Notify::new(),
            tally,
            undelivered: watch::Sender::new(0),
        }
    }

    /// The lock is never held over anything slow.
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, class: Class, record: Vec<u8>) {
        let given_up = self.queue().push(class, record, clocks::now());
        self.tally.given_up(given_up);
        self.publish_count();
        self.arrived.notify_one();
    }

    /// Publishes how many records wait. Under the lock, so that nobody reads 0 while a record is
    /// being queued.
    pub(super) fn publish_count(&self) {
        let queue = self.queue();
        self.undelivered.send_replace(queue.len() as u64);
    }
}

impl Outbox {
    /// Starts the courier on the runtime it is called in. It connects at the first record.
    pub(super) fn start(plan: Plan<'_>) -> Self {
        let tally = Tally::new(plan.cargo, plan.counters);
        let shared = Arc::new(Shared::new(plan.memory, tally));
        let (state, published) = watch::channel(DeliveryState::default());
        let transport = Transport::new(plan.target);
        let courier = Courier::new(plan.cargo, &shared, transport, plan.envelope);
        let worker = tokio::spawn(courier.run(state, plan.closing));
        Self { shared, state: published, worker }
    }

    /// Queues an encoded record. Never blocks; what no longer fits is counted.
    pub(super) fn push(&self, class: Class, record: Vec<u8>) {
        self.shared.push(class, record);
    }

    /// How delivery goes.
    pub(super) fn state(&self) -> watch::Receiver<DeliveryState> {
        self.state.clone()
    }

    /// How many records no collector has accepted yet.
    pub(super) fn undelivered(&self) -> watch::Receiver<u64> {
        self.shared.undelivered.subscribe()
    }

    /// Delivers what is queued until `end`; returns how many records are left.
    pub(super) async fn finish(mut self, end: Instant) -> u64 {
        if timeout_at(end, &mut self.worker).await.is_err() {
            self.worker.abort();
        }
        self.shared.queue().len() as u64
    }
}

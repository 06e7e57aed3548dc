//! The queue of one signal, as its outbox and its courier share it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::cargo::Tally;
use super::entry::{About, Class};
use super::queue::Queue;
use crate::clocks;

/// What the outbox and its courier both use.
#[derive(Debug)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    pub(super) arrived: Notify,
    pub(super) tally: Tally,
    pub(super) undelivered: watch::Sender<u64>,
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

    pub(super) fn push_alert(&self, class: Class, record: Vec<u8>, about: About) {
        let given_up = self.queue().push_alert(class, record, about, clocks::now());
        self.pushed(given_up);
    }

    pub(super) fn push(&self, class: Class, record: Vec<u8>) {
        let given_up = self.queue().push(class, record, clocks::now());
        self.pushed(given_up);
    }

    fn pushed(&self, given_up: u64) {
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

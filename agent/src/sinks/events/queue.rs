//! What waits to be written, one thing per finding.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokenwatch_core::ledger::{Alert, AlertEvent};
use tokio::sync::Notify;

use super::event::Subject;

/// Findings that may wait: a full node's pods, each with one. Some 1.5 kB each.
const MOST: usize = 256;

/// An alert, and what it is on.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) subject: Subject,
    pub(super) alert: Alert,
}

#[derive(Debug, Default)]
struct Waiting {
    all: VecDeque<Pending>,
    given_up: u64,
}

/// The queue. Locked for a moment at a time.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    news: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one more, or gives it up where there is no room.
    pub(super) fn push(&self, next: Pending) {
        let mut waiting = self.lock();
        waiting.push(next);
        drop(waiting);
        self.news.notify_one();
    }

    /// The oldest, once there is one.
    pub(super) async fn pop(&self) -> Pending {
        loop {
            if let Some(next) = self.lock().all.pop_front() {
                return next;
            }
            self.news.notified().await;
        }
    }

    /// Puts back what could not be written, unless what came meanwhile says more.
    pub(super) fn put_back(&self, first: Pending) {
        let mut waiting = self.lock();
        let place = waiting.all.iter().position(|pending| pending.alert.id == first.alert.id);
        match place.and_then(|place| Some((place, merged(&first, waiting.all.get(place)?)))) {
            Some((place, Merged::One(both))) => waiting.put(place, both),
            Some((place, Merged::Nothing)) => drop(waiting.all.remove(place)),
            Some((_, Merged::Both)) | None => waiting.all.push_front(first),
        }
    }

    /// How many were given up since this was last asked.
    pub(super) fn take_given_up(&self) -> u64 {
        std::mem::take(&mut self.lock().given_up)
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> Vec<(String, AlertEvent)> {
        self.lock()
            .all
            .iter()
            .map(|pending| (pending.alert.id.0.clone(), pending.alert.event))
            .collect()
    }
}

/// What two words about one finding come to.
enum Merged {
    One(Box<Pending>),
    /// It came and went before anybody was told.
    Nothing,
    Both,
}

fn merged(earlier: &Pending, later: &Pending) -> Merged {
    let with = |event| {
        Merged::One(Box::new(Pending {
            alert: Alert { event, ..later.alert.clone() },
            subject: later.subject.clone(),
        }))
    };
    match (earlier.alert.event, later.alert.event) {
        (AlertEvent::Raised, AlertEvent::Cleared) => Merged::Nothing,
        (AlertEvent::Raised, AlertEvent::Reminded) => with(AlertEvent::Raised),
        (AlertEvent::Reminded, event) => with(event),
        _ => Merged::Both,
    }
}

impl Waiting {
    fn push(&mut self, next: Pending) {
        let place = self.all.iter().rposition(|pending| pending.alert.id == next.alert.id);
        match place.and_then(|place| Some((place, merged(self.all.get(place)?, &next)))) {
            Some((place, Merged::One(both))) => self.put(place, both),
            Some((place, Merged::Nothing)) => drop(self.all.remove(place)),
            Some((_, Merged::Both)) | None if self.all.len() < MOST => self.all.push_back(next),
            _ => self.given_up += 1,
        }
    }

    fn put(&mut self, place: usize, both: Box<Pending>) {
        if let Some(earlier) = self.all.get_mut(place) {
            *earlier = *both;
        }
    }
}

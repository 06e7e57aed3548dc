//! Alerts that wait to be written as Events, merged per finding.
//!
//! Few Events may be written. So the pods have them in turn, for each severity: a pod with hundreds
//! of alerts delays none of another one by more than its next. Of several that had no turn yet, the
//! most severe is first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokenwatch_core::base::shares::Shares;
use tokenwatch_core::findings::{FindingId, Severity};
use tokenwatch_core::ledger::{Alert, AlertEvent};
use tokio::sync::Notify;

use super::event::Regarding;

/// Most alerts in the queue: one finding for each pod of a full node. Each takes some 1.5 kB.
const MOST: usize = 256;

/// An alert, and the object that its Event is about.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) regarding: Regarding,
    pub(super) alert: Alert,
}

#[derive(Debug, Default)]
struct Waiting {
    all: VecDeque<Pending>,
    /// The finding whose Event could not be written. It is tried again before any other.
    tried: Option<FindingId>,
    turns: Turns,
    dropped: u64,
}

/// Who had a turn, by severity.
#[derive(Debug, Default)]
struct Turns {
    count: u64,
    /// The last turn of each pod, by its UID; none for the node itself.
    pods: BTreeMap<(Severity, Option<String>), u64>,
    namespaces: BTreeMap<(Severity, Option<String>), u64>,
}

/// The queue. Locked for a moment at a time.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    added: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an alert, or drops it if the queue is full.
    pub(super) fn push(&self, next: Pending) {
        let mut waiting = self.lock();
        waiting.push(next);
        drop(waiting);
        self.added.notify_one();
    }

    /// Removes the alert whose turn it is. Waits while the queue is empty.
    pub(super) async fn pop(&self) -> Pending {
        loop {
            if let Some(next) = self.lock().pop() {
                return next;
            }
            self.added.notified().await;
        }
    }

    /// Puts back an alert that could not be written, merged with what was added meanwhile.
    pub(super) fn put_back(&self, first: Pending) {
        let mut waiting = self.lock();
        waiting.tried = Some(first.alert.id.clone());
        let place = waiting.place(&first.alert.id);
        match place.and_then(|place| Some((place, merged(&first, waiting.all.get(place)?)))) {
            Some((place, Merged::One(both))) => waiting.put(place, *both),
            Some((place, Merged::Nothing)) => drop(waiting.all.remove(place)),
            Some((_, Merged::Both)) | None => waiting.all.push_front(first),
        }
    }

    /// The number of alerts dropped since the last call.
    pub(super) fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.lock().dropped)
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

/// The result of merging two alerts about one finding.
enum Merged {
    /// Both become one.
    One(Box<Pending>),
    /// The finding was raised and cleared before an Event was written: nothing to write.
    Nothing,
    /// Each needs its own Event.
    Both,
}

fn merged(earlier: &Pending, later: &Pending) -> Merged {
    let with = |event| {
        Merged::One(Box::new(Pending {
            alert: Alert { event, ..later.alert.clone() },
            regarding: later.regarding.clone(),
        }))
    };
    match (earlier.alert.event, later.alert.event) {
        (AlertEvent::Raised, AlertEvent::Cleared) => Merged::Nothing,
        (AlertEvent::Raised, AlertEvent::Reminded) => with(AlertEvent::Raised),
        (AlertEvent::Reminded, event) => with(event),
        (AlertEvent::Raised, AlertEvent::Raised) | (AlertEvent::Cleared, _) => Merged::Both,
    }
}

impl Waiting {
    fn push(&mut self, next: Pending) {
        let place = self.all.iter().rposition(|pending| pending.alert.id == next.alert.id);
        match place.and_then(|place| Some((place, merged(self.all.get(place)?, &next)))) {
            Some((place, Merged::One(both))) => self.put(place, *both),
            Some((place, Merged::Nothing)) => drop(self.all.remove(place)),
            Some((_, Merged::Both)) | None => {
                self.all.push_back(next);
                self.make_room();
            }
        }
    }

    fn pop(&mut self) -> Option<Pending> {
        let tried = self.tried.take().and_then(|id| self.place(&id));
        let place = tried.or_else(|| self.next())?;
        let next = self.all.remove(place)?;
        self.turns.note(&next);
        Some(next)
    }

    /// The place of the alert whose turn it is. Those of one finding stay in order.
    fn next(&self) -> Option<usize> {
        let next = self.all.iter().min_by_key(|pending| self.turns.rank(pending))?;
        self.place(&next.alert.id)
    }

    /// The place of the oldest alert about this finding.
    fn place(&self, id: &FindingId) -> Option<usize> {
        self.all.iter().position(|pending| pending.alert.id == *id)
    }

    /// The pod with most alerts loses its last one.
    fn make_room(&mut self) {
        if self.all.len() <= MOST {
            return;
        }
        let mut shares = Shares::of(MOST);
        self.all.iter().for_each(|pending| shares.add(&pending.regarding.tenant(), 1));
        let loser = shares.loser().cloned();
        let is_loser = |pending: &Pending| Some(pending.regarding.tenant().pod) == loser;
        let place = self.all.iter().rposition(is_loser);
        self.dropped += u64::from(place.and_then(|place| self.all.remove(place)).is_some());
    }

    fn put(&mut self, place: usize, both: Pending) {
        if let Some(earlier) = self.all.get_mut(place) {
            *earlier = both;
        }
    }
}

impl Turns {
    /// The lowest is next: of the pod whose last turn is longest ago, or that had none. Among those
    /// that had none: the most severe, and then of the namespace whose last turn is longest ago.
    fn rank(&self, pending: &Pending) -> (u64, Reverse<Severity>, u64) {
        let (severity, tenant) = (pending.alert.finding.severity, pending.regarding.tenant());
        let last = |turns: &BTreeMap<_, u64>, who| turns.get(&(severity, who)).copied();
        let pod = last(&self.pods, tenant.pod).unwrap_or_default();
        let namespace = last(&self.namespaces, tenant.namespace).unwrap_or_default();
        (pod, Reverse(severity), namespace)
    }

    /// This alert has its turn. Whoever had none for as many turns as alerts fit into the queue
    /// counts as one that had none yet.
    fn note(&mut self, pending: &Pending) {
        let (severity, tenant) = (pending.alert.finding.severity, pending.regarding.tenant());
        self.count += 1;
        let now = self.count;
        for (turns, who) in [(&mut self.pods, tenant.pod), (&mut self.namespaces, tenant.namespace)]
        {
            turns.insert((severity, who), now);
            turns.retain(|_, turn| *turn + MOST as u64 > now);
        }
    }
}

//! The records that wait for a collector, in bounded memory.
//!
//! When memory is full, records go in this order: (1) those that the collector has refused one by
//! one, (2) the oldest reminders, (3) the oldest alerts of severity info, (4) the oldest of the
//! rest. Every record that goes is counted as given up. A finding whose alert was given up and that
//! is still active is reported again by its next reminder.
//!
//! An alert that the collector refuses even alone waits apart. If the collector has accepted others
//! since, this one is the problem, and is refused for good. If it accepts nothing at all, the cause
//! may be the configuration (a TLS port, a proxy): the alert is tried again, slowly, for some
//! hours.

use std::collections::VecDeque;

use tokenwatch_core::base::time::Reading;
use tokenwatch_core::findings::Severity;
use tokenwatch_core::ledger::{Alert, AlertEvent};

/// One request holds no more: gRPC servers take 4 MiB by default.
const LARGEST_REQUEST: usize = 1 << 20;
/// Refusals of one alert before it is dropped. At one try a minute that is four hours: by then the
/// default reminder has reported again what is still active.
const MOST_REFUSALS: u16 = 240;

/// In the order in which records are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Refused alone before.
    Isolated,
    /// An alert that repeats another.
    Reminder,
    /// An alert of severity info.
    Info,
    /// Any other alert, and every span.
    Ordinary,
}

const CLASSES: usize = 4;

impl Class {
    pub(super) fn of(alert: &Alert) -> Self {
        match (alert.event, alert.finding.severity) {
            (AlertEvent::Reminded, _) => Self::Reminder,
            (AlertEvent::Raised | AlertEvent::Cleared, Severity::Info) => Self::Info,
            (AlertEvent::Raised | AlertEvent::Cleared, Severity::Warning | Severity::Critical) => {
                Self::Ordinary
            }
        }
    }
}

/// One record that waits. Encoded, because that is a third of the memory.
#[derive(Debug)]
pub(super) struct Entry {
    class: Class,
    number: u64,
    since: Reading,
    record: Vec<u8>,
    refused: Option<Refused>,
}

/// How often a record was refused alone, and how many others the collector had accepted by the
/// first time.
#[derive(Clone, Copy, Debug)]
struct Refused {
    times: u16,
    accepted: u64,
}

impl Entry {
    /// The encoded record.
    pub(super) fn record(&self) -> &[u8] {
        &self.record
    }

    /// Whether it was refused alone before.
    pub(super) fn is_isolated(&self) -> bool {
        self.class == Class::Isolated
    }

    /// Whether the collector will refuse it each time, given that it refused it again and has
    /// accepted `accepted` others so far.
    pub(super) fn is_hopeless(&self, accepted: u64) -> bool {
        self.refused
            .is_some_and(|refused| accepted > refused.accepted || refused.times >= MOST_REFUSALS)
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.record.len()
    }
}

/// The waiting records. Those in flight still wait: they count until they are settled.
#[derive(Debug)]
pub(super) struct Queue {
    most_bytes: usize,
    classes: [VecDeque<Entry>; CLASSES],
    in_flight: Option<InFlight>,
    bytes: usize,
    next_number: u64,
}

/// The batch that is being sent.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    entries: usize,
    bytes: usize,
    since: Reading,
}

impl Queue {
    /// Takes no more memory than this.
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { most_bytes, classes: Default::default(), in_flight: None, bytes: 0, next_number: 0 }
    }

    /// Takes a record; returns how many were given up for it (it may be among them).
    pub(super) fn push(&mut self, class: Class, record: Vec<u8>, since: Reading) -> u64 {
        let entry = Entry { class, number: self.next_number, since, record, refused: None };
        self.next_number += 1;
        self.bytes += entry.bytes();
        self.classes[entry.class as usize].push_back(entry);
        self.make_room()
    }

    /// The oldest records, at most `most`, to be sent. What the collector refused before goes
    /// alone, and after all others.
    pub(super) fn start(&mut self, most: usize) -> Vec<Entry> {
        let mut batch = self.oldest(most);
        if batch.is_empty() {
            batch.extend(self.classes[Class::Isolated as usize].pop_front());
        }
        self.in_flight = in_flight(&batch);
        batch
    }

    /// Those that were not refused before, up to the size of a request.
    fn oldest(&mut self, most: usize) -> Vec<Entry> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < most
            && bytes < LARGEST_REQUEST
            && let Some(entry) = self.pop_oldest()
        {
            bytes += entry.bytes();
            batch.push(entry);
        }
        batch
    }

    /// The collector has answered for this batch.
    pub(super) fn settle(&mut self) {
        if let Some(done) = self.in_flight.take() {
            self.bytes -= done.bytes;
        }
    }

    /// The batch waits again. Returns how many records were given up, because others came in
    /// between.
    pub(super) fn put_back(&mut self, batch: Vec<Entry>) -> u64 {
        self.in_flight = None;
        for entry in batch.into_iter().rev() {
            self.classes[entry.class as usize].push_front(entry);
        }
        self.make_room()
    }

    /// The collector refuses these alone too: they wait apart, so that they do not hold up the
    /// others. Returns how many records were given up.
    pub(super) fn isolate(&mut self, batch: Vec<Entry>, accepted: u64) -> u64 {
        self.in_flight = None;
        let isolated = |entry: Entry| {
            let before = entry.refused.unwrap_or(Refused { times: 0, accepted });
            Entry {
                class: Class::Isolated,
                refused: Some(Refused { times: before.times.saturating_add(1), ..before }),
                ..entry
            }
        };
        self.classes[Class::Isolated as usize].extend(batch.into_iter().map(isolated));
        self.make_room()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.classes.iter().map(VecDeque::len).sum::<usize>()
            + self.in_flight.map_or(0, |batch| batch.entries)
    }

    /// Since when the oldest waits. Each class is in order, except for alerts that were isolated
    /// late.
    pub(super) fn waiting_since(&self) -> Option<Reading> {
        let fronts = self.classes.iter().filter_map(|class| class.front().map(|entry| entry.since));
        fronts.chain(self.in_flight.map(|batch| batch.since)).min_by_key(|since| since.monotonic)
    }

    fn make_room(&mut self) -> u64 {
        let mut given_up = 0;
        while self.bytes > self.most_bytes && self.give_one_up() {
            given_up += 1;
        }
        given_up
    }

    fn give_one_up(&mut self) -> bool {
        let victim = self.classes.iter_mut().find_map(VecDeque::pop_front);
        if let Some(victim) = &victim {
            self.bytes -= victim.bytes();
        }
        victim.is_some()
    }

    /// In the order in which they were pushed, whatever their class.
    fn pop_oldest(&mut self) -> Option<Entry> {
        let first = |class: &VecDeque<Entry>| class.front().map_or(u64::MAX, |entry| entry.number);
        self.classes[Class::Reminder as usize..]
            .iter_mut()
            .min_by_key(|class| first(class))?
            .pop_front()
    }
}

fn in_flight(batch: &[Entry]) -> Option<InFlight> {
    let since = batch.iter().map(|entry| entry.since).min_by_key(|since| since.monotonic)?;
    Some(InFlight { entries: batch.len(), bytes: batch.iter().map(Entry::bytes).sum(), since })
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;

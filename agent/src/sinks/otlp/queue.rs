//! The alerts that wait for a collector, in bounded memory.
//!
//! When it is full, what is said again anyway goes first: (1) alerts that the collector has refused one by one, (2) the oldest reminders,
//! (3) the oldest of severity info, (4) the oldest of the rest. Every one that goes is counted as given up. A finding whose alert is given up
//! and that is still there is said again with the next reminder.

use std::collections::VecDeque;

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use tokenwatch_core::action::{Alert, AlertEvent};
use tokenwatch_core::findings::Severity;
use tokenwatch_core::time::Reading;

/// As many as a node with 500 tokens has to say in an outage of a day, reminders included.
const MOST: usize = 4_096;
/// As protobuf. A record is about 1 kB, so that both bounds are near each other.
const MOST_BYTES: usize = 4 << 20;

/// In the order in which they are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Isolated,
    Reminder,
    Info,
    Important,
}

const CLASSES: usize = 4;

/// One alert that waits. Encoded, because that is a third of the memory.
#[derive(Debug)]
pub(super) struct Entry {
    class: Class,
    number: u64,
    since: Reading,
    record: Vec<u8>,
}

impl Entry {
    /// The record; nothing if memory was damaged.
    pub(super) fn record(&self) -> Option<LogRecord> {
        LogRecord::decode(self.record.as_slice()).ok()
    }
}

/// How much a queue holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { entries: MOST, bytes: MOST_BYTES }
    }
}

/// The waiting alerts. What is under way to the collector still waits: it counts until it is settled.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bounds: Bounds,
    classes: [VecDeque<Entry>; CLASSES],
    under_way: Option<UnderWay>,
    bytes: usize,
    next_number: u64,
}

/// The batch that is being sent.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    entries: usize,
    bytes: usize,
    since: Reading,
}

impl Queue {
    #[cfg(test)]
    pub(super) fn with_bounds(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Takes an alert; says how many were given up for it (it may be the one).
    pub(super) fn push(&mut self, alert: &Alert, record: &LogRecord, since: Reading) -> u64 {
        let entry = Entry { class: class(alert), number: self.next_number, since, record: record.encode_to_vec() };
        self.next_number += 1;
        self.bytes += entry.record.len();
        self.classes[entry.class as usize].push_back(entry);
        self.make_room()
    }

    /// The oldest up to `most`, to be sent. What the collector refused before goes alone, and after all else.
    pub(super) fn start(&mut self, most: usize) -> Vec<Entry> {
        let mut batch = Vec::new();
        while batch.len() < most
            && let Some(entry) = self.pop_oldest()
        {
            batch.push(entry);
        }
        if batch.is_empty() {
            batch.extend(self.classes[Class::Isolated as usize].pop_front());
        }
        self.under_way = under_way(&batch);
        batch
    }

    /// The collector has answered for this batch.
    pub(super) fn settle(&mut self) {
        if let Some(done) = self.under_way.take() {
            self.bytes -= done.bytes;
        }
    }

    /// The batch waits on. Says how many were given up, because others came in between.
    pub(super) fn put_back(&mut self, batch: Vec<Entry>) -> u64 {
        self.under_way = None;
        for entry in batch.into_iter().rev() {
            self.classes[entry.class as usize].push_front(entry);
        }
        self.make_room()
    }

    /// The collector does not want this one alone either: it waits apart, so that it does not hold up the others.
    pub(super) fn isolate(&mut self, batch: Vec<Entry>) -> u64 {
        self.under_way = None;
        let isolated = batch.into_iter().map(|entry| Entry { class: Class::Isolated, ..entry });
        self.classes[Class::Isolated as usize].extend(isolated);
        self.make_room()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.classes.iter().map(VecDeque::len).sum::<usize>() + self.under_way.map_or(0, |batch| batch.entries)
    }

    /// Since when the oldest waits. Each class is in order, but for alerts that were isolated late.
    pub(super) fn waiting_since(&self) -> Option<Reading> {
        let fronts = self.classes.iter().filter_map(|class| class.front().map(|entry| entry.since));
        fronts.chain(self.under_way.map(|batch| batch.since)).min_by_key(|since| since.boot)
    }

    fn make_room(&mut self) -> u64 {
        let mut given_up = 0;
        while (self.len() > self.bounds.entries || self.bytes > self.bounds.bytes) && self.give_one_up() {
            given_up += 1;
        }
        given_up
    }

    fn give_one_up(&mut self) -> bool {
        let victim = self.classes.iter_mut().find_map(VecDeque::pop_front);
        if let Some(victim) = &victim {
            self.bytes -= victim.record.len();
        }
        victim.is_some()
    }

    /// In the order in which they were said, whatever their class.
    fn pop_oldest(&mut self) -> Option<Entry> {
        let first = |class: &VecDeque<Entry>| class.front().map_or(u64::MAX, |entry| entry.number);
        self.classes[Class::Reminder as usize..].iter_mut().min_by_key(|class| first(class))?.pop_front()
    }
}

fn class(alert: &Alert) -> Class {
    match (alert.event, alert.finding.severity) {
        (AlertEvent::Reminded, _) => Class::Reminder,
        (_, Severity::Info) => Class::Info,
        _ => Class::Important,
    }
}

fn under_way(batch: &[Entry]) -> Option<UnderWay> {
    let since = batch.iter().map(|entry| entry.since).min_by_key(|since| since.boot)?;
    Some(UnderWay { entries: batch.len(), bytes: batch.iter().map(|entry| entry.record.len()).sum(), since })
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;

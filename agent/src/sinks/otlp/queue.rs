//! The alerts that wait for a collector, in bounded memory.
//!
//! When it is full, what is said again anyway goes first: (1) alerts that the collector has refused
//! one by one, (2) the oldest reminders, (3) the oldest of severity info, (4) the oldest of the
//! rest. Every one that goes is counted as given up. A finding whose alert is given up and that is
//! still there is said again with the next reminder.
//!
//! An alert that the collector refuses even alone waits apart. If the collector has taken others
//! since, this one is the problem, and is refused for good. If it takes nothing at all, the fault
//! may be the configuration's (a TLS port, a proxy): it is tried again, slowly, but not for ever.

use std::collections::VecDeque;

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use tokenwatch_core::base::time::Reading;
use tokenwatch_core::findings::Severity;
use tokenwatch_core::ledger::{Alert, AlertEvent};

/// One request holds no more: gRPC servers take 4 MiB by default.
const LARGEST_REQUEST: usize = 1 << 20;
/// At one try a minute four hours: by then the default reminder has said again what is still so.
const REFUSALS_BORNE: u16 = 240;

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
    refused: Option<Refused>,
}

/// How often an alert was refused alone, and how many others the collector had accepted when it was
/// for the first time.
#[derive(Clone, Copy, Debug)]
struct Refused {
    times: u16,
    accepted: u64,
}

impl Entry {
    /// The record; nothing if memory was damaged.
    pub(super) fn record(&self) -> Option<LogRecord> {
        LogRecord::decode(self.record.as_slice()).ok()
    }

    /// Whether it was refused alone before.
    pub(super) fn is_isolated(&self) -> bool {
        self.class == Class::Isolated
    }

    /// Whether it would be refused for ever, now that it was again, and the collector has accepted
    /// so many others.
    pub(super) fn is_hopeless(&self, accepted: u64) -> bool {
        self.refused
            .is_some_and(|refused| accepted > refused.accepted || refused.times >= REFUSALS_BORNE)
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.record.len()
    }
}

/// The waiting alerts. What is under way to the collector still waits: it counts until it is
/// settled.
#[derive(Debug)]
pub(super) struct Queue {
    most_bytes: usize,
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
    /// Takes no more memory than this.
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { most_bytes, classes: Default::default(), under_way: None, bytes: 0, next_number: 0 }
    }

    /// Takes an alert; says how many were given up for it (it may be the one).
    pub(super) fn push(&mut self, alert: &Alert, record: &LogRecord, since: Reading) -> u64 {
        let entry = Entry {
            class: class(alert),
            number: self.next_number,
            since,
            record: record.encode_to_vec(),
            refused: None,
        };
        self.next_number += 1;
        self.bytes += entry.bytes();
        self.classes[entry.class as usize].push_back(entry);
        self.make_room()
    }

    /// The oldest up to `most`, to be sent. What the collector refused before goes alone, and after
    /// all else.
    pub(super) fn start(&mut self, most: usize) -> Vec<Entry> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < most
            && bytes < LARGEST_REQUEST
            && let Some(entry) = self.pop_oldest()
        {
            bytes += entry.bytes();
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

    /// The collector does not want these alone either: they wait apart, so that they do not hold up
    /// the others.
    pub(super) fn isolate(&mut self, batch: Vec<Entry>, accepted: u64) -> u64 {
        self.under_way = None;
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

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.classes.iter().map(VecDeque::len).sum::<usize>()
            + self.under_way.map_or(0, |batch| batch.entries)
    }

    /// Since when the oldest waits. Each class is in order, but for alerts that were isolated late.
    pub(super) fn waiting_since(&self) -> Option<Reading> {
        let fronts = self.classes.iter().filter_map(|class| class.front().map(|entry| entry.since));
        fronts.chain(self.under_way.map(|batch| batch.since)).min_by_key(|since| since.monotonic)
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

    /// In the order in which they were said, whatever their class.
    fn pop_oldest(&mut self) -> Option<Entry> {
        let first = |class: &VecDeque<Entry>| class.front().map_or(u64::MAX, |entry| entry.number);
        self.classes[Class::Reminder as usize..]
            .iter_mut()
            .min_by_key(|class| first(class))?
            .pop_front()
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
    let since = batch.iter().map(|entry| entry.since).min_by_key(|since| since.monotonic)?;
    Some(UnderWay { entries: batch.len(), bytes: batch.iter().map(Entry::bytes).sum(), since })
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;

//! The records that wait for a collector, in bounded memory.
//!
//! When memory is full, the pod whose alerts take most of it loses of its own
//! ([`tokenwatch_core::base::shares`]), in this order: (1) those that the collector has refused one
//! by one, (2) the oldest reminders, (3) the oldest alerts of severity info, (4) the oldest of the
//! rest, and (5) those that report that a finding is resolved. Every record that goes is counted as
//! given up. When nothing waits any more, the engine reports again those findings that are
//! still active ([`super::losses`]).
//!
//! An alert that the collector refuses even alone waits apart. If the collector has accepted others
//! since, this one is the problem, and is refused for good. If it accepts nothing at all, the cause
//! may be the configuration (a TLS port, a proxy): the alert is tried again, slowly, for some
//! hours.

use std::collections::{BTreeSet, VecDeque};

use tokenwatch_core::base::shares::Shares;
use tokenwatch_core::base::time::Reading;
use tokenwatch_core::findings::FindingId;

use super::entry::{About, CLASSES, Class, Entry, Refused};
use super::losses::Losses;

/// One request holds no more: gRPC servers take 4 MiB by default.
const LARGEST_REQUEST: usize = 1 << 20;

/// The waiting records. Those in flight still wait: they count until they are settled.
#[derive(Debug)]
pub(super) struct Queue {
    most_bytes: usize,
    classes: [VecDeque<Entry>; CLASSES],
    in_flight: Option<InFlight>,
    bytes: usize,
    /// Of the waiting records without those in flight, in bytes.
    shares: Shares,
    next_number: u64,
    pub(super) losses: Losses,
}

/// The batch that is being sent.
#[derive(Clone, Debug)]
struct InFlight {
    entries: usize,
    about: Vec<FindingId>,
    bytes: usize,
    since: Reading,
}

impl Queue {
    /// Takes no more memory than this.
    pub(super) fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            classes: Default::default(),
            in_flight: None,
            bytes: 0,
            shares: Shares::of(most_bytes),
            next_number: 0,
            losses: Losses::default(),
        }
    }

    /// Takes an alert, unless it is news to nobody. Returns how many records were given up for it
    /// (it may be among them).
    pub(super) fn push_alert(
        &mut self,
        class: Class,
        record: Vec<u8>,
        about: About,
        since: Reading,
    ) -> u64 {
        if !self.losses.replace(&about) {
            return 0;
        }
        self.push_entry(Entry::new(class, self.next_number, since, record, Some(about)))
    }

    /// Takes a span; returns how many records were given up for it (it may be among them).
    pub(super) fn push(&mut self, class: Class, record: Vec<u8>, since: Reading) -> u64 {
        self.push_entry(Entry::new(class, self.next_number, since, record, None))
    }

    fn push_entry(&mut self, entry: Entry) -> u64 {
        self.next_number += 1;
        self.bytes += entry.bytes();
        self.shares.add(&entry.tenant(), entry.bytes());
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
        for entry in &batch {
            self.shares.take(&entry.tenant().pod, entry.bytes());
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

    /// The collector accepts records. If nothing else waits, there is room for what was given up.
    pub(super) fn accepted(&mut self) {
        let was_sent = self.in_flight.is_some();
        self.settle();
        if was_sent && self.is_empty() {
            self.losses.ask();
        }
    }

    /// The batch waits again. Returns how many records were given up, because others came in
    /// between.
    pub(super) fn put_back(&mut self, batch: Vec<Entry>) -> u64 {
        self.in_flight = None;
        for entry in batch.into_iter().rev() {
            self.shares.add(&entry.tenant(), entry.bytes());
            self.classes[entry.class as usize].push_front(entry);
        }
        self.make_room()
    }

    /// The collector refuses these alone too: they wait apart, so that they do not hold up the
    /// others. Returns how many records were given up.
    pub(super) fn isolate(&mut self, batch: Vec<Entry>, accepted: u64) -> u64 {
        self.in_flight = None;
        let isolated = |mut entry: Entry| {
            let before = entry.refused.unwrap_or(Refused { times: 0, accepted });
            entry.class = Class::Isolated;
            entry.refused = Some(Refused { times: before.times.saturating_add(1), ..before });
            entry
        };
        for entry in batch.into_iter().map(isolated) {
            self.shares.add(&entry.tenant(), entry.bytes());
            self.classes[Class::Isolated as usize].push_back(entry);
        }
        self.make_room()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.classes.iter().map(VecDeque::len).sum::<usize>()
            + self.in_flight.as_ref().map_or(0, |batch| batch.entries)
    }

    /// Since when the oldest waits. Each class is in order, except for alerts that were isolated
    /// late.
    pub(super) fn waiting_since(&self) -> Option<Reading> {
        let fronts = self.classes.iter().filter_map(|class| class.front().map(|entry| entry.since));
        fronts
            .chain(self.in_flight.as_ref().map(|batch| batch.since))
            .min_by_key(|since| since.monotonic)
    }

    fn make_room(&mut self) -> u64 {
        let mut given_up = 0;
        while self.bytes > self.most_bytes && self.give_one_up() {
            given_up += 1;
        }
        given_up
    }

    fn give_one_up(&mut self) -> bool {
        let Some(loser) = self.shares.loser().cloned() else { return false };
        let Some(victim) = self.oldest_of(loser.as_deref()) else { return false };
        self.bytes -= victim.bytes();
        self.shares.take(&loser, victim.bytes());
        if let Some(about) = victim.about() {
            self.losses.give_up(about);
        }
        true
    }

    /// The first record that this pod gives up.
    fn oldest_of(&mut self, pod: Option<&str>) -> Option<Entry> {
        self.classes.iter_mut().find_map(|class| {
            let place = class.iter().position(|entry| entry.is_of(pod))?;
            class.remove(place)
        })
    }

    /// The findings whose last alert no collector has accepted: it waits, or it is lost.
    pub(super) fn owed(&self) -> BTreeSet<FindingId> {
        let waiting = self.classes.iter().flatten().filter_map(|entry| Some(&entry.about()?.id));
        let in_flight = self.in_flight.iter().flat_map(|batch| &batch.about);
        waiting.chain(in_flight).chain(self.losses.all()).cloned().collect()
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
    let about = batch.iter().filter_map(|entry| Some(entry.about()?.id.clone())).collect();
    let bytes = batch.iter().map(Entry::bytes).sum();
    Some(InFlight { entries: batch.len(), about, bytes, since })
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;

//! The records that wait for a collector, in bounded memory.
//!
//! When memory is full, the pod whose alerts take most of it loses of its own
//! ([`tokenwatch_core::base::shares`]), in this order: (1) those that the collector has refused one
//! by one, (2) the oldest reminders, (3) the oldest alerts of severity info, (4) the oldest of the
//! rest, and (5) those that report that a finding is resolved. Every record that goes is counted as
//! given up. If a later alert about the same finding waits, that one is enough. Or nobody needs it
//! either, because it resolves what the collector then never gets. When nothing waits any more, the
//! engine reports again those findings that are still active ([`super::losses`]).
//!
//! An alert that the collector refuses even alone waits apart. If the collector has accepted others
//! since, this one is the problem, and is refused for good. If it accepts nothing at all, the cause
//! may be the configuration (a TLS port, a proxy): the alert is tried again, slowly, for some
//! hours.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use tokenwatch_core::base::shares::Shares;
use tokenwatch_core::base::time::Reading;
use tokenwatch_core::findings::FindingId;

use super::entry::{About, CLASSES, Class, Entry, Refused};
use super::losses::{Losses, Settled, joined};

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
    alerts: PerFinding,
    next_number: u64,
    pub(super) losses: Losses,
}

/// How many alerts of each finding wait without those in flight, by a hash of its id. Few have more
/// than one, and only for these all that waits is searched.
#[derive(Debug, Default)]
struct PerFinding(BTreeMap<u64, u32>);

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
            alerts: PerFinding::default(),
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
        mut about: About,
        since: Reading,
    ) -> u64 {
        if !self.losses.replace(&mut about, self.next_number) {
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
        self.wait(entry, VecDeque::push_back);
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
            self.left(entry);
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

    /// The collector has answered for this batch, which is not sent again. Returns how many records
    /// go that it had refused before, because it has now accepted later ones in their place. If
    /// nothing else waits, there is room for what was given up.
    pub(super) fn settle(&mut self, batch: &[Entry], settled: Settled) -> u64 {
        self.bytes -= self.in_flight.take().map_or(0, |done| done.bytes);
        for entry in batch {
            if let Some(about) = entry.about() {
                self.losses.settle(about, entry.number, settled);
            }
        }
        let overtaken = match settled {
            Settled::Accepted => self.drop_overtaken(batch),
            Settled::Partly | Settled::Refused => 0,
        };
        match settled {
            Settled::Accepted | Settled::Partly => self.losses.accepted(),
            Settled::Refused => {}
        }
        if !batch.is_empty() && self.is_empty() {
            self.losses.ask();
        }
        overtaken
    }

    /// An alert that was refused before goes once a later one about its finding is accepted: it
    /// would report what no longer holds.
    fn drop_overtaken(&mut self, batch: &[Entry]) -> u64 {
        let isolated = std::mem::take(&mut self.classes[Class::Isolated as usize]);
        if isolated.is_empty() {
            return 0;
        }
        let number = |entry: &Entry| Some((entry.about()?.id.clone(), entry.number));
        let accepted: BTreeMap<FindingId, u64> = batch.iter().filter_map(number).collect();
        let is_overtaken = |entry: &Entry| {
            let later = entry.about().and_then(|about| accepted.get(&about.id));
            later.is_some_and(|later| *later > entry.number)
        };
        let (gone, kept) = isolated.into_iter().partition::<VecDeque<_>, _>(is_overtaken);
        self.classes[Class::Isolated as usize] = kept;
        for entry in &gone {
            self.forget(entry);
        }
        gone.len() as u64
    }

    /// The batch waits again. Returns how many records were given up, because others came in
    /// between.
    pub(super) fn put_back(&mut self, batch: Vec<Entry>) -> u64 {
        self.in_flight = None;
        for entry in batch.into_iter().rev() {
            self.wait_again(entry, VecDeque::push_front);
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
            self.wait_again(entry, VecDeque::push_back);
        }
        self.make_room()
    }

    /// This record was in flight. An earlier one about the same finding may have been lost since.
    fn wait_again(&mut self, mut entry: Entry, push: fn(&mut VecDeque<Entry>, Entry)) {
        let number = entry.number;
        if entry.about_mut().is_none_or(|about| self.losses.replace(about, number)) {
            self.wait(entry, push);
        } else {
            self.bytes -= entry.bytes(); // it is news to nobody
        }
    }

    fn wait(&mut self, entry: Entry, push: fn(&mut VecDeque<Entry>, Entry)) {
        self.shares.add(&entry.tenant(), entry.bytes());
        self.alerts.add(entry.about());
        push(&mut self.classes[entry.class as usize], entry);
    }

    /// This record does not wait any more: it is in flight, or gone.
    fn left(&mut self, entry: &Entry) {
        self.shares.take(&entry.tenant().pod, entry.bytes());
        self.alerts.take(entry.about());
    }

    /// This record, which was waiting, is gone.
    fn forget(&mut self, entry: &Entry) {
        self.left(entry);
        self.bytes -= entry.bytes();
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
        self.forget(&victim);
        if let Some(about) = victim.about() {
            self.give_up(about, victim.number);
        }
        true
    }

    /// There is no room for this alert. The next one about its finding has to do.
    fn give_up(&mut self, about: &About, number: u64) {
        let Some((class, place)) = self.next_about(&about.id, number) else {
            return self.losses.give_up(about, number);
        };
        let next = self.classes[class].get_mut(place).and_then(Entry::about_mut);
        let Some(next) = next else { return };
        if let Some(event) = joined(about.event, next.event) {
            next.event = event;
        } else if let Some(unneeded) = self.classes[class].remove(place) {
            self.forget(&unneeded);
        }
    }

    /// Class and place of the next alert about this finding.
    fn next_about(&self, id: &FindingId, number: u64) -> Option<(usize, usize)> {
        if !self.alerts.has(id) {
            return None;
        }
        let places = self.classes.iter().enumerate().flat_map(|(class, entries)| {
            entries.iter().enumerate().map(move |(place, entry)| (entry, (class, place)))
        });
        places
            .filter(|(entry, _)| entry.number > number && entry.is_about(id))
            .min_by_key(|(entry, _)| entry.number)
            .map(|(_, place)| place)
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

impl PerFinding {
    fn add(&mut self, about: Option<&About>) {
        if let Some(about) = about {
            *self.0.entry(hash(&about.id)).or_default() += 1;
        }
    }

    fn take(&mut self, about: Option<&About>) {
        let Some(hash) = about.map(|about| hash(&about.id)) else { return };
        let Some(count) = self.0.get_mut(&hash) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.0.remove(&hash);
        }
    }

    /// False only if none waits.
    fn has(&self, id: &FindingId) -> bool {
        self.0.contains_key(&hash(id))
    }
}

fn hash(id: &FindingId) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
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

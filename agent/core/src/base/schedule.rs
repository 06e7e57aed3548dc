//! A schedule: an ordered set of times, whose entries can be moved and removed.

use std::collections::{BTreeMap, BTreeSet};

use super::time::Monotonic;

/// The next time of each key. A key has at most one entry.
#[derive(Debug)]
pub(crate) struct Schedule<Key> {
    by_time: BTreeSet<(Monotonic, Key)>,
    by_key: BTreeMap<Key, Monotonic>,
}

impl<Key> Default for Schedule<Key> {
    fn default() -> Self {
        Self { by_time: BTreeSet::new(), by_key: BTreeMap::new() }
    }
}

impl<Key: Clone + Ord> Schedule<Key> {
    /// Schedules `key` at `at`, instead of an earlier entry.
    pub(crate) fn at(&mut self, key: &Key, at: impl Into<Option<Monotonic>>) {
        self.remove(key);
        if let Some(at) = at.into() {
            self.by_time.insert((at, key.clone()));
            self.by_key.insert(key.clone(), at);
        }
    }

    /// Schedules `keys` at once.
    pub(crate) fn due_now<'a>(&mut self, keys: impl IntoIterator<Item = &'a Key>)
    where
        Key: 'a,
    {
        keys.into_iter().for_each(|key| self.at(key, Monotonic::default()));
    }

    /// Removes `key` from the schedule.
    pub(crate) fn remove(&mut self, key: &Key) {
        if let Some(at) = self.by_key.remove(key) {
            self.by_time.remove(&(at, key.clone()));
        }
    }

    /// Removes and returns the keys that are due at `now`.
    pub(crate) fn take_due(&mut self, now: Monotonic) -> Vec<Key> {
        let mut due = Vec::new();
        while self.by_time.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.by_time.pop_first() {
                self.by_key.remove(&key);
                due.push(key);
            }
        }
        due
    }

    /// When the next key is due.
    pub(crate) fn next(&self) -> Option<Monotonic> {
        self.by_time.first().map(|(at, _)| *at)
    }
}

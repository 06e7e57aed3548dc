//! The schedule of diagnoses: an ordered set of times, whose entries can be moved and removed.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::time::Monotonic;
use crate::world::tokens::TokenKey;

/// The next diagnosis of each token. A token has at most one entry.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    by_time: BTreeSet<(Monotonic, TokenKey)>,
    by_token: BTreeMap<TokenKey, Monotonic>,
}

impl Schedule {
    /// Schedules the diagnosis of `key` at `at`, instead of an earlier entry.
    pub(super) fn at(&mut self, key: &TokenKey, at: impl Into<Option<Monotonic>>) {
        self.remove(key);
        if let Some(at) = at.into() {
            self.by_time.insert((at, key.clone()));
            self.by_token.insert(key.clone(), at);
        }
    }

    /// Schedules the diagnosis of `keys` in this step.
    pub(super) fn due_now<'a>(&mut self, keys: impl IntoIterator<Item = &'a TokenKey>) {
        keys.into_iter().for_each(|key| self.at(key, Monotonic::default()));
    }

    /// Removes `key` from the schedule.
    pub(super) fn remove(&mut self, key: &TokenKey) {
        if let Some(at) = self.by_token.remove(key) {
            self.by_time.remove(&(at, key.clone()));
        }
    }

    /// Removes and returns the tokens that are due at `now`.
    pub(super) fn take_due(&mut self, now: Monotonic) -> Vec<TokenKey> {
        let mut due = Vec::new();
        while self.by_time.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.by_time.pop_first() {
                self.by_token.remove(&key);
                due.push(key);
            }
        }
        due
    }

    /// When the next token is due.
    pub(super) fn next(&self) -> Option<Monotonic> {
        self.by_time.first().map(|(at, _)| *at)
    }
}

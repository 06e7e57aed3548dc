//! Which token is to be judged when: a deadline heap that can be told to change its mind.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::time::Monotonic;
use crate::world::tokens::TokenKey;

/// One wake-up per token at most.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    by_time: BTreeSet<(Monotonic, TokenKey)>,
    by_token: BTreeMap<TokenKey, Monotonic>,
}

impl Schedule {
    /// Judge `key` at `at`, and not before.
    pub(super) fn at(&mut self, key: &TokenKey, at: Monotonic) {
        self.forget(key);
        self.by_time.insert((at, key.clone()));
        self.by_token.insert(key.clone(), at);
    }

    /// Judge `key` in this step.
    pub(super) fn due_now(&mut self, key: &TokenKey) {
        self.at(key, Monotonic::default());
    }

    /// Never judge `key` again.
    pub(super) fn forget(&mut self, key: &TokenKey) {
        if let Some(at) = self.by_token.remove(key) {
            self.by_time.remove(&(at, key.clone()));
        }
    }

    /// Takes out what is due at `now`.
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

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Monotonic> {
        self.by_time.first().map(|(at, _)| *at)
    }
}

//! What is remembered of one server.

use std::collections::VecDeque;

use super::bound::{Fix, Range};
use super::types::{Exchange, ExchangeError, Sample, ServerName};
use crate::base::time::{Delta, Monotonic, Reading};

/// RFC 5905's clock filter keeps eight.
const KEPT: usize = 8;

/// A server's last result, and the fixes of its last answers: a slow answer does not spoil what a
/// fast one proved a minute ago.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) server: ServerName,
    pub(crate) result: Result<Sample, ExchangeError>,
    /// When its last exchange was over.
    heard: Monotonic,
    fixes: VecDeque<Fix>,
}

impl Peer {
    /// What `exchange` adds to what was known of the same server before.
    pub(crate) fn after(exchange: &Exchange, before: Option<Self>) -> Self {
        let mut fixes = before.map(|peer| peer.fixes).unwrap_or_default();
        if let Ok(sample) = &exchange.result {
            if fixes.len() == KEPT {
                fixes.pop_front();
            }
            fixes.push_back(Fix::of_sample(sample));
        }
        Self {
            server: exchange.server.clone(),
            result: exchange.result.clone(),
            heard: exchange.ended.monotonic,
            fixes,
        }
    }

    /// Whether anything of it is still worth knowing: it was asked, or answered, not too long ago.
    pub(crate) fn is_recent(&self, now: &Reading, max_age: Delta) -> bool {
        now.monotonic - self.heard < max_age
            || self.answered().is_some_and(|boot| now.monotonic - boot < max_age)
    }

    /// When it last gave a usable answer.
    pub(crate) fn answered(&self) -> Option<Monotonic> {
        self.fixes.back().map(|fix| fix.monotonic)
    }

    /// UTC itself was stepped by `size`, as in a leap second.
    pub(crate) fn follow(&mut self, size: Delta) {
        self.fixes.iter_mut().for_each(|fix| fix.follow(size));
    }

    /// The narrowest range its answers still support. The newest rules: an older one that
    /// contradicts it is no longer true, for the server may have been repaired in between.
    pub(crate) fn range(&self, now: &Reading, ppm: i64, max_age: Delta) -> Option<Range> {
        let newest = self.fixes.back().filter(|fix| fix.age(now) < max_age)?.range(now, ppm);
        let older =
            self.fixes.iter().filter(|fix| fix.age(now) < max_age).map(|fix| fix.range(now, ppm));
        older.filter(|range| range.meets(&newest)).min_by_key(Range::half)
    }
}

//! The state of one time server: its last result and its recent measurements.

use std::collections::VecDeque;

use super::bound::{Fix, Range};
use super::server::ServerName;
use super::types::{Exchange, ExchangeError, Sample};
use crate::base::time::{Delta, Monotonic, Reading};

/// Measurements that are kept per server, as in the clock filter (RFC 5905, section 10).
const CAPACITY: usize = 8;

/// A server's last result and its recent measurements. With several, one slow answer does not widen
/// the bound that a fast answer proved a minute ago.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) server: ServerName,
    pub(crate) result: Result<Sample, ExchangeError>,
    /// When its last exchange ended.
    pub(crate) last_exchange: Monotonic,
    fixes: VecDeque<Fix>,
}

impl Peer {
    /// The state after `exchange`, given the state of the same server before it.
    pub(crate) fn after(exchange: &Exchange, before: Option<Self>) -> Self {
        let mut fixes = before.map(|peer| peer.fixes).unwrap_or_default();
        fixes.extend(exchange.result.as_ref().ok().map(Fix::of_sample));
        if fixes.len() > CAPACITY {
            fixes.pop_front();
        }
        Self {
            server: exchange.server.clone(),
            result: exchange.result.clone(),
            last_exchange: exchange.ended.monotonic,
            fixes,
        }
    }

    /// Whether its last exchange or its last usable answer is younger than `max_age`.
    pub(crate) fn is_recent(&self, now: &Reading, max_age: Delta) -> bool {
        now.monotonic - self.last_exchange < max_age
            || self.answered().is_some_and(|at| now.monotonic - at < max_age)
    }

    /// When it last gave a usable answer.
    pub(crate) fn answered(&self) -> Option<Monotonic> {
        self.fixes.back().map(|fix| fix.monotonic)
    }

    /// Moves all measurements by `size`, because UTC itself was stepped: a leap second.
    pub(crate) fn shift(&mut self, size: Delta) {
        self.fixes.iter_mut().for_each(|fix| fix.shift(size));
    }

    /// The narrowest range that its answers support at `now`. An older answer that contradicts the
    /// newest one is ignored: the server may have been repaired in between.
    pub(crate) fn range(&self, now: &Reading, ppm: i64, max_age: Delta) -> Option<Range> {
        let newest = self.fixes.back().filter(|fix| fix.age(now) < max_age)?.range(now, ppm);
        let older =
            self.fixes.iter().filter(|fix| fix.age(now) < max_age).map(|fix| fix.range(now, ppm));
        older.filter(|range| range.meets(&newest)).min_by_key(Range::half)
    }
}

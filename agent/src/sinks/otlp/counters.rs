//! What became of what was to be sent; shown as metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the agent started.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Alerts that the collector accepted.
    pub(super) accepted: Counter,
    /// Alerts that the collector took and threw away (partial success).
    pub(super) rejected: Counter,
    /// Alerts that bounded memory cost.
    pub(super) given_up: Counter,
    /// Spans that were not delivered.
    pub(super) spans_dropped: Counter,
    /// Exports of metrics that were not delivered.
    pub(super) metrics_dropped: Counter,
}

/// Counts up.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

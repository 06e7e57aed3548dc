//! What became of what was to be sent; shown as metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the agent started.
#[derive(Debug, Default)]
pub(in crate::sinks) struct Counters {
    /// Alerts that the collector accepted.
    pub(in crate::sinks) accepted: Counter,
    /// Alerts that the collector took and threw away (partial success).
    pub(in crate::sinks) rejected: Counter,
    /// Alerts that bounded memory cost.
    pub(in crate::sinks) given_up: Counter,
    /// Spans that were not delivered.
    pub(in crate::sinks) spans_dropped: Counter,
    /// Exports of metrics that were not delivered.
    pub(in crate::sinks) metrics_dropped: Counter,
}

/// Counts up.
#[derive(Debug, Default)]
pub(in crate::sinks) struct Counter(AtomicU64);

impl Counter {
    pub(in crate::sinks) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(in crate::sinks) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

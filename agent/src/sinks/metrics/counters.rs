//! The outcome of deliveries, exported as metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the agent started.
#[derive(Debug, Default)]
pub(in crate::sinks) struct Counters {
    /// Alerts that the collector accepted.
    pub(in crate::sinks) accepted: Counter,
    /// Alerts that the collector refused for good (partial success).
    pub(in crate::sinks) rejected: Counter,
    /// Alerts that were dropped because memory for them was full.
    pub(in crate::sinks) given_up: Counter,
    /// Spans that were not delivered.
    pub(in crate::sinks) spans_dropped: Counter,
    /// Batches of metrics that were not delivered.
    pub(in crate::sinks) metrics_dropped: Counter,
}

/// A count that only grows.
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

//! The two signals that couriers carry, and what became of their records.

use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::base::text::escaped;
use tokenwatch_otlp::logs;

use crate::sinks::metrics::Counters;

/// Memory of undelivered spans, in bytes. Some 4,000 spans: every generation of a node with 1,000
/// tokens ends at once, with three spans each, and room. Claims may be long, and anybody can write
/// a file that looks like a token: hence a bound on bytes.
pub(super) const SPAN_MEMORY: usize = 2 << 20;
/// The specification's default wait for a batch of spans to fill (`OTEL_BSP_SCHEDULE_DELAY`).
const GATHER_SPANS: Duration = Duration::from_secs(5);
/// Shortest time between two requests with alerts. With the spans (one in five seconds) and the
/// metrics, a node then sends less than one request a second: when one cause stalls the tokens of
/// 150 nodes within seconds, the collector gets no flood. The first alert does not wait.
const SPACE_ALERTS: Duration = Duration::from_millis(1_500);

/// What a courier carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cargo {
    /// At least once, and the first at once.
    Alerts,
    /// Best effort, in batches: what the collector refuses is dropped.
    Spans,
}

impl Cargo {
    /// For log lines.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Spans => "spans",
        }
    }

    /// How long the first record of a batch waits for others; nothing where it does not wait.
    pub(super) fn gather(self) -> Option<Duration> {
        match self {
            Self::Alerts => None,
            Self::Spans => Some(GATHER_SPANS),
        }
    }

    /// How long a record waits after the last request; nothing where its batch gathers anyway.
    pub(super) fn spacing(self) -> Duration {
        match self {
            Self::Alerts => SPACE_ALERTS,
            Self::Spans => Duration::ZERO,
        }
    }

    /// What one record is about, for a log line about it alone: the sentence of an alert.
    pub(super) fn describe(self, record: &[u8]) -> Option<String> {
        match self {
            Self::Alerts => Some(escaped(&logs::sentence(record)?).into_owned()),
            Self::Spans => None,
        }
    }
}

/// Counts what became of one cargo's records.
#[derive(Debug)]
pub(super) struct Tally {
    cargo: Cargo,
    counters: Arc<Counters>,
}

impl Tally {
    pub(super) fn new(cargo: Cargo, counters: &Arc<Counters>) -> Self {
        Self { cargo, counters: Arc::clone(counters) }
    }

    /// The collector took them.
    pub(super) fn accepted(&self, count: u64) {
        match self.cargo {
            Cargo::Alerts => self.counters.accepted.add(count),
            Cargo::Spans => {} // the schema counts only those that were dropped
        }
    }

    /// The collector refused them for good.
    pub(super) fn rejected(&self, count: u64) {
        match self.cargo {
            Cargo::Alerts => self.counters.rejected.add(count),
            Cargo::Spans => self.counters.spans_dropped.add(count),
        }
    }

    /// Memory was full.
    pub(super) fn given_up(&self, count: u64) {
        match self.cargo {
            Cargo::Alerts => self.counters.given_up.add(count),
            Cargo::Spans => self.counters.spans_dropped.add(count),
        }
    }

    /// How many the collector refused for good, and how many memory had no room for. Spans are
    /// counted together.
    pub(super) fn lost(&self) -> (u64, u64) {
        match self.cargo {
            Cargo::Alerts => (self.counters.rejected.get(), self.counters.given_up.get()),
            Cargo::Spans => (0, self.counters.spans_dropped.get()),
        }
    }
}

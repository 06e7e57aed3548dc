//! What the agent's log reports about delivery: that the collector was reached, what fails, and
//! that it works again.

use tokenwatch_otlp::PartialSuccess;
use tokenwatch_otlp::protocol::Signal;

use super::cause::Cause;
use super::failure::Failure;
use super::reason;
use crate::clocks;
use crate::config::otlp::Target;
use crate::recurring::{Notice, Outage, Recurring};

/// The news of one signal.
#[derive(Debug)]
pub(super) struct News {
    signal: Signal,
    collector: String,
    was_reached: bool,
    trouble: Recurring<Cause>,
}

impl News {
    pub(super) fn new(signal: Signal, collector: String) -> Self {
        Self { signal, collector, was_reached: false, trouble: Recurring::default() }
    }

    /// Whether the collector has answered since the start.
    pub(super) fn was_reached(&self) -> bool {
        self.was_reached
    }

    /// The collector accepted a request.
    pub(super) fn accepted(&mut self) {
        let ended = self.trouble.succeeded(clocks::timer());
        let (signal, collector) = (self.what(), &self.collector);
        let failures = ended.map(|outage| outage.failures);
        let lasted = ended.map(|outage| seconds(&outage));
        if !std::mem::replace(&mut self.was_reached, true) {
            tracing::info!(collector, signal, failures, lasted, "the collector was reached");
        } else if ended.is_some() {
            tracing::info!(collector, failures, lasted, "{signal} are delivered again");
        }
    }

    /// A request failed while so many records wait.
    pub(super) fn failed(&mut self, failure: &Failure, waiting: u64) {
        self.trouble(failure.cause, &failure.text, waiting);
    }

    /// The same of a failure that is no failed request.
    pub(super) fn trouble(&mut self, cause: Cause, error: &str, waiting: u64) {
        let Some(notice) = self.trouble.failed(cause, clocks::timer()) else {
            tracing::debug!(waiting, error, "{}", self.headline());
            return;
        };
        match notice {
            Notice::Begins => tracing::warn!(waiting, error, "{}", self.headline()),
            Notice::Lasts(outage) => {
                let (failures, lasted) = (outage.failures, seconds(&outage));
                tracing::warn!(waiting, failures, lasted, error, "{}", self.headline());
            }
        }
    }

    fn what(&self) -> &'static str {
        match self.signal {
            Signal::Logs => "alerts",
            Signal::Traces => "spans",
            Signal::Metrics => "metrics",
        }
    }

    fn headline(&self) -> &'static str {
        match self.signal {
            Signal::Logs => "alerts are not delivered",
            Signal::Traces => "spans are not delivered",
            Signal::Metrics => "metrics were not delivered",
        }
    }
}

/// `612s`
fn seconds(outage: &Outage) -> String {
    format!("{}s", outage.lasted.as_secs())
}

/// What a success leaves to report. A message without rejected records is a warning.
pub(super) fn warning(
    partial: &PartialSuccess,
    name: &str,
    target: &Target,
) -> Option<(Cause, String)> {
    let message = reason::safe(&partial.message, target);
    match partial.rejected {
        0 if message.is_empty() => None,
        0 => Some((Cause::Warned, format!("{target}: accepted, with a warning: {message}"))),
        rejected => {
            let error = format!("{target}: {rejected} {name} rejected for good: {message}");
            Some((Cause::Rejected, error))
        }
    }
}

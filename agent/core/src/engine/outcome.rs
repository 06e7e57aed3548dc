//! The outcome of one step: reports to deliver, and queries to answer. These are values only; the
//! caller acts on them.

use serde::Serialize;

use crate::base::time::{Delta, Wall};
use crate::ledger::Alert;
use crate::traces::Span;
use crate::world::Query;

/// The outcome of one step.
#[must_use = "the engine never acts: its reports and queries are for the caller to carry out"]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// The reports, in the order of delivery.
    pub reports: Vec<Report>,
    /// The queries. The engine works without an answer to any of them.
    pub queries: Vec<Query>,
}

impl Outcome {
    pub(super) fn spans(&mut self, spans: impl IntoIterator<Item = Span>) {
        self.reports.extend(spans.into_iter().map(|span| Report::Span(Box::new(span))));
    }

    pub(super) fn alerts(&mut self, alerts: Vec<Alert>) {
        self.reports.extend(alerts.into_iter().map(|alert| Report::Alert(Box::new(alert))));
    }

    /// Adds the rotation of a generation that was due at `due` and replaced at `at`.
    pub(super) fn rotated(&mut self, due: Wall, at: Wall) {
        self.reports.push(Report::Rotation { delay: at - due });
    }
}

/// One report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// A finished span.
    Span(Box<Span>),
    /// An alert. The caller delivers it at least once.
    Alert(Box<Alert>),
    /// One rotation of a token.
    Rotation {
        /// Time from due to the replacement. Negative where kubelet was early: jitter, a restart.
        delay: Delta,
    },
}

//! What one step of the engine gives: reports to deliver, and queries to answer. Only values: whoever
//! drives the engine acts on them.

use serde::Serialize;

use crate::base::time::{Delta, Wall};
use crate::ledger::Alert;
use crate::traces::Span;
use crate::world::cluster::AccountName;

/// Everything that one step gave.
#[must_use = "the engine never acts: its reports and queries are for the caller to carry out"]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// What to deliver, in this order.
    pub reports: Vec<Report>,
    /// What the engine would like to know. A query that nobody answers loses nothing.
    pub queries: Vec<Query>,
}

impl Outcome {
    pub(super) fn spans(&mut self, spans: impl IntoIterator<Item = Span>) {
        self.reports.extend(spans.into_iter().map(|span| Report::Span(Box::new(span))));
    }

    pub(super) fn alerts(&mut self, alerts: Vec<Alert>) {
        self.reports.extend(alerts.into_iter().map(|alert| Report::Alert(Box::new(alert))));
    }

    /// A generation that was due at `due` was replaced at `at`.
    pub(super) fn rotated(&mut self, due: Wall, at: Wall) {
        self.reports.push(Report::Rotation { delay: at - due });
    }
}

/// One thing to deliver.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// A finished span.
    Span(Box<Span>),
    /// An alert; delivered at least once.
    Alert(Box<Alert>),
    /// One rotation, `delay` after it was due. A negative delay is early: kubelet's jitter, or a
    /// restart of kubelet.
    Rotation {
        /// Due to replaced.
        delay: Delta,
    },
}

/// One question to the outside. It carries no fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// Request this service account from the API server: its token is late, and the account may be
    /// the reason.
    ServiceAccount(AccountName),
}

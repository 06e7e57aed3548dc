//! A finding with what happened to it: what is delivered.

use serde::{Deserialize, Serialize};

use crate::base::time::Wall;
use crate::findings::{Finding, FindingId};

/// What happened to a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertEvent {
    /// It is new.
    Raised,
    /// It is still there, or got worse.
    Reminded,
    /// It is gone.
    Cleared,
}

impl AlertEvent {
    /// The `event.name` of the log record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raised => "tokenwatch.finding.raised",
            Self::Reminded => "tokenwatch.finding.reminded",
            Self::Cleared => "tokenwatch.finding.cleared",
        }
    }
}

/// A finding with what happened to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alert {
    /// What happened.
    pub event: AlertEvent,
    /// The finding's id.
    pub id: FindingId,
    /// When, on the node's clock.
    pub at: Wall,
    /// When the finding was first raised.
    pub raised_at: Wall,
    /// The finding as it is now; when cleared, as it last was, with a summary that says so.
    pub finding: Finding,
}

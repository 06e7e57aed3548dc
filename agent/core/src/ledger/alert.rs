//! Alerts: reports of a finding that was raised, reminded or cleared.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::time::Wall;
use crate::findings::{Finding, FindingId};

/// What an alert reports about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertEvent {
    /// The finding is new.
    Raised,
    /// The finding is still active, or its severity increased.
    Reminded,
    /// The finding is resolved.
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

/// A report about one finding. Sinks deliver it at least once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alert {
    /// What is reported.
    pub event: AlertEvent,
    /// The id of the finding.
    pub id: FindingId,
    /// Time of the report, on the node's clock.
    pub at: Wall,
    /// True time of the report, where the node's clock is known to be off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub true_time: Option<Wall>,
    /// When the finding was raised, on the node's clock.
    pub raised_at: Wall,
    /// The finding as it is now. If it is cleared: as it last was, with a summary of how it was
    /// resolved.
    pub finding: Arc<Finding>,
}

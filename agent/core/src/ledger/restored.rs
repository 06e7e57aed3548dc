//! The state file: the active findings, so that a restarted agent neither raises one twice nor
//! leaves one uncleared.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::time::Wall;
use crate::findings::{Finding, FindingId};
use crate::ledger::{Alert, AlertEvent};

/// Name of the state file, in the directory of the setting `state.dir`.
pub const FILE: &str = "findings.json";
/// Version of the format of the state file.
pub const VERSION: u32 = 1;

/// An active finding as it was last reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restored {
    /// The finding.
    pub finding: Arc<Finding>,
    /// When it was raised, on the node's clock.
    pub raised_at: Wall,
    /// When it was last reported, on the node's clock.
    #[serde(rename = "said_at")] // as in version 1 of the file
    pub reported_at: Wall,
}

/// What an alert changes in the state file: the entry of the active finding, or none if the finding
/// is cleared.
pub fn after(alert: &Alert) -> (FindingId, Option<Restored>) {
    let active = alert.event != AlertEvent::Cleared;
    let one = || Restored {
        finding: Arc::clone(&alert.finding),
        raised_at: alert.raised_at,
        reported_at: alert.at,
    };
    (alert.id.clone(), active.then(one))
}

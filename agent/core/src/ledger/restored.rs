//! What an agent leaves to the next one: the findings that were raised, so that none is raised
//! twice, and none stays unresolved.

use serde::{Deserialize, Serialize};

use crate::base::time::Wall;
use crate::findings::{Finding, FindingId};
use crate::ledger::{Alert, AlertEvent};

/// Name of the state file, in the directory `state.dir`.
pub const FILE: &str = "findings.json";
/// Version of its format.
pub const VERSION: u32 = 1;

/// An active finding, as it was last reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restored {
    /// The finding.
    pub finding: Finding,
    /// When it was raised, on the node's clock.
    pub raised_at: Wall,
    /// When it was last reported.
    #[serde(rename = "said_at")] // as in the first version of the file
    pub reported_at: Wall,
}

/// What an alert changes in the state file: the active finding, or nothing where it is resolved.
pub fn after(alert: &Alert) -> (FindingId, Option<Restored>) {
    let active = alert.event != AlertEvent::Cleared;
    let one = || Restored {
        finding: alert.finding.clone(),
        raised_at: alert.raised_at,
        reported_at: alert.at,
    };
    (alert.id.clone(), active.then(one))
}

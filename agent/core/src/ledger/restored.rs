//! What an agent tells the one after it: the findings that were raised, so that none is raised
//! twice or never cleared.

use serde::{Deserialize, Serialize};

use crate::base::time::Wall;
use crate::findings::{Finding, FindingId};
use crate::ledger::{Alert, AlertEvent};

/// The file that it is left in, in the directory that is set.
pub const FILE: &str = "findings.json";
/// What that file is, should it ever become something else.
pub const VERSION: u32 = 1;

/// An active finding, as it was last said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restored {
    /// The finding.
    pub finding: Finding,
    /// When it was raised, on the node's clock.
    pub raised_at: Wall,
    /// When it was last said.
    pub said_at: Wall,
}

/// What an alert leaves to be remembered: the finding, or that it is over.
pub fn after(alert: &Alert) -> (FindingId, Option<Restored>) {
    let active = alert.event != AlertEvent::Cleared;
    let one = || Restored {
        finding: alert.finding.clone(),
        raised_at: alert.raised_at,
        said_at: alert.at,
    };
    (alert.id.clone(), active.then(one))
}

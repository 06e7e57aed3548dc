//! The delivery of alerts.

use serde::{Deserialize, Serialize};

use crate::base::time::Reading;

/// The state of the delivery of alerts, as the sink reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryState {
    /// Since when the oldest undelivered alert waits; nothing if none waits.
    pub waiting_since: Option<Reading>,
    /// Number of undelivered alerts.
    pub waiting: u64,
    /// Number of alerts that were dropped since the start, because the memory for them was full.
    pub given_up: u64,
    /// Number of alerts that the collector rejected for good since the start.
    #[serde(default)]
    pub rejected: u64,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Findings that are to be reported again, because their alerts were dropped.
    #[serde(default, skip_serializing_if = "Again::is_empty")]
    pub again: Again,
}

/// Findings that are to be reported again if they are not cleared, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// The number of the request. Each is answered once.
    pub round: u64,
    /// Those of which the alert was dropped that raised them.
    pub raised: Vec<String>,
    /// Those of which only a reminder was dropped.
    pub reminded: Vec<String>,
}

impl Again {
    fn is_empty(&self) -> bool {
        self.raised.is_empty() && self.reminded.is_empty()
    }
}

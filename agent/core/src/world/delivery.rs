//! How alerts get out.

use serde::{Deserialize, Serialize};

use crate::base::time::Reading;

/// How alerts get out, as the delivering sink knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryState {
    /// Since when the oldest alert that no collector has accepted waits; nothing if none waits.
    pub waiting_since: Option<Reading>,
    /// How many wait.
    pub waiting: u64,
    /// How many were given up because memory is bounded.
    pub given_up: u64,
    /// How many the collector refused for good.
    #[serde(default)]
    pub rejected: u64,
    /// Why the last try failed.
    pub last_error: Option<String>,
}

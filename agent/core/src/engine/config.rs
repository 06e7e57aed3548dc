//! What the engine is told once.

use serde::{Deserialize, Serialize};

use crate::base::time::Delta;
use crate::world::clocks::Limits;
use crate::world::tokens::KubeletPolicy;

/// What the engine has to know about this node and its operator's wishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The node's name.
    pub node: String,
    /// How kubelet works here.
    pub kubelet: KubeletPolicy,
    /// Where a good clock ends.
    pub clock: Limits,
    /// An active finding is said again this often.
    pub remind_every: Delta,
    /// Alerts that wait longer than this for a collector are a finding.
    pub delivery_limit: Delta,
    /// A file that cannot be read or parsed is a finding after this long: files that are being
    /// replaced settle sooner.
    pub settle: Delta,
    /// Whether the API server is asked about this node's pods.
    pub cluster_configured: bool,
    /// Tokens are not accused until the time servers and the API server that are configured were
    /// heard, or had this long to answer.
    pub grace: Delta,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: "localhost".to_owned(),
            kubelet: KubeletPolicy::default(),
            clock: Limits::default(),
            remind_every: Delta::from_secs(4 * 3_600), /* often enough to survive a shift change,
                                                        * rarely enough to be read */
            delivery_limit: Delta::from_secs(60),
            settle: Delta::from_secs(10),
            cluster_configured: false,
            grace: Delta::from_secs(10), /* a burst to every server with time-outs, and a slow
                                          * resolver */
        }
    }
}

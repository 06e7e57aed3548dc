//! What does not change while the agent runs: this node, and the settings that judgements rest on.

use serde::{Deserialize, Serialize};

use crate::base::time::Delta;
use crate::world::clocks::Limits;
use crate::world::tokens::KubeletPolicy;

/// The node's name and the settings of the core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The node's name.
    pub node: String,
    /// How kubelet works here.
    pub kubelet: KubeletPolicy,
    /// Limits of a good clock.
    pub clock: Limits,
    /// Interval after which an active finding is reported again.
    pub remind_every: Delta,
    /// Age of the oldest undelivered alert from which delayed delivery is a finding.
    pub delivery_limit: Delta,
    /// Time that a file may be unreadable or malformed without being a finding: a file that is
    /// being replaced settles sooner.
    pub settle: Delta,
    /// Whether the agent asks the API server about this node's pods.
    pub cluster_configured: bool,
    /// Time that the configured time servers and the API server have for their first answer. No
    /// token is accused before that.
    pub grace: Delta,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: "localhost".to_owned(),
            kubelet: KubeletPolicy::default(),
            clock: Limits::default(),
            // Often enough to survive a shift change, rarely enough to be read.
            remind_every: Delta::from_secs(4 * 3_600),
            delivery_limit: Delta::from_secs(60),
            settle: Delta::from_secs(10),
            cluster_configured: false,
            // A burst to every server with its time-outs, and a slow resolver.
            grace: Delta::from_secs(10),
        }
    }
}

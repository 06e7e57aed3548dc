//! The configuration of the core: the node's name and the settings that affect findings.

use serde::{Deserialize, Serialize};

use crate::base::time::Delta;
use crate::world::clocks::Limits;
use crate::world::tokens::KubeletPolicy;

/// The node's name and the settings of the core. They do not change while the agent runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)] // a recording of an older agent lacks newer settings
pub struct Config {
    /// The node's name.
    pub node: String,
    /// Settings of this node's kubelet.
    pub kubelet: KubeletPolicy,
    /// Limits of a good clock.
    pub clock: Limits,
    /// Interval after which an active finding is reported again. Default 4 h.
    pub remind_every: Delta,
    /// Age of the oldest undelivered alert from which the delay is a finding. Default 60 s.
    pub delivery_limit: Delta,
    /// Time for which a malformed or unreadable file is not a finding yet. A file that is being
    /// replaced is good again sooner. Default 10 s.
    pub settle: Delta,
    /// Whether access to the API server is configured.
    pub cluster_configured: bool,
    /// Whether the source of files reports the end of its first scan. Findings about tokens wait
    /// for it, because one cause may explain many tokens.
    pub scan_expected: bool,
    /// Time that the configured time servers and the API server have for their first answer, and
    /// the first scan for its end. There are no findings about tokens before that. Default 10 s.
    pub grace: Delta,
    /// Seed of the jitter of timers, drawn at random when the agent starts.
    pub jitter_seed: u16,
}

impl Config {
    /// Interval between reminders on this node: up to an eighth shorter than `remind_every`, so
    /// that 5,000 agents that started together do not remind together.
    pub fn reminder_interval(&self) -> Delta {
        let most = self.remind_every.fraction(1, 8);
        self.remind_every - most.fraction(i64::from(self.jitter_seed), 1 << 16)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: "localhost".to_owned(),
            kubelet: KubeletPolicy::default(),
            clock: Limits::default(),
            // At least two reminders per 8-hour shift, and few enough to be read.
            remind_every: Delta::from_secs(4 * 3_600),
            delivery_limit: Delta::from_secs(60),
            settle: Delta::from_secs(10),
            cluster_configured: false,
            scan_expected: false,
            // One request to every server with its timeout, and a slow resolver.
            grace: Delta::from_secs(10),
            jitter_seed: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reminders_of_nodes_are_spread_over_an_eighth_of_the_interval() {
        let every = Delta::from_secs(3_600);
        let interval = |node: u16| {
            let jitter_seed = node * 655; // 100 seeds over the whole range
            Config { remind_every: every, jitter_seed, ..Config::default() }.reminder_interval()
        };
        let all: std::collections::BTreeSet<_> = (0..100).map(interval).collect();
        assert!(all.len() > 90, "{} different intervals", all.len());
        assert!(all.iter().all(|one| (Delta::from_secs(3_150)..=every).contains(one)), "{all:?}");
        let without = Config { remind_every: every, ..Config::default() };
        assert_eq!(without.reminder_interval(), every);
    }
}

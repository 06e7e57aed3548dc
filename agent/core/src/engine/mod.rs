//! The one thing the outside drives: observations in, actions out. Deterministic: the same steps give the same actions.

mod view;

pub use view::{Snapshot, TokenView};

use crate::action::Action;
use crate::clock::{Estimate, Limits, ServerReport};
use crate::findings::Finding;
use crate::observation::Observation;
use crate::time::{Boot, Delta, Reading};
use crate::token::KubeletPolicy;

/// What the engine has to know about this node and its operator's wishes.
#[derive(Clone, Debug)]
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
    /// A file that cannot be read or parsed is a finding after this long: files that are being replaced settle sooner.
    pub settle: Delta,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: "localhost".to_owned(),
            kubelet: KubeletPolicy::default(),
            clock: Limits::default(),
            remind_every: Delta::from_secs(4 * 3_600), // often enough to survive a shift change, rarely enough to be read
            delivery_limit: Delta::from_secs(60),
            settle: Delta::from_secs(10),
        }
    }
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    config: Config,
}

impl Engine {
    /// Knows nothing yet.
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// Takes one observation, made at `now`.
    #[must_use = "the engine never acts: its actions are for the caller to carry out"]
    pub fn step(&mut self, _now: &Reading, _observation: Observation) -> Vec<Action> {
        Vec::new()
    }

    /// When to step with [`Observation::Tick`] if nothing is seen before.
    pub fn next_wake(&self, _now: &Reading) -> Option<Boot> {
        None
    }

    /// The agent stops: what is open is told as far as it went.
    #[must_use = "the engine never acts: its actions are for the caller to carry out"]
    pub fn close(&mut self, _now: &Reading) -> Vec<Action> {
        Vec::new()
    }

    /// What metrics show.
    pub fn snapshot(&self, now: &Reading) -> Snapshot {
        Snapshot { clock: self.clock(now), ..Snapshot::default() }
    }

    /// Every token, in a fixed order, as `check` shows it.
    pub fn tokens(&self, _now: &Reading) -> Vec<TokenView> {
        Vec::new()
    }

    /// Active findings, worst first.
    pub fn findings(&self, _now: &Reading) -> Vec<Finding> {
        Vec::new()
    }

    /// What is believed about the clock.
    pub fn clock(&self, _now: &Reading) -> Estimate {
        Estimate { offset: Delta::ZERO, bound: self.config.clock.assumed_bound, assumed: true, state: crate::clock::ClockState::Unknown }
    }

    /// The time servers' last answers.
    pub fn servers(&self) -> Vec<ServerReport> {
        Vec::new()
    }
}

//! What is known of this node's kubelet: what it has to catch up with after a step of the clock.

use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::world::clocks::Step;
use crate::world::tokens::{Deadlines, KubeletPolicy, State};

/// The node's clock was set forward. Only from then on does kubelet see what has come due
/// meanwhile, and it needs its time for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatchingUp {
    /// How far the clock was set forward.
    pub size: Delta,
    /// A healthy kubelet has caught up by then.
    pub until: Monotonic,
}

impl CatchingUp {
    /// Whether the token is late only because the clock was set forward.
    pub fn excuses(&self, deadlines: &Deadlines, now: Wall) -> bool {
        match deadlines.state(now - self.size) {
            State::Late | State::Stalled | State::Expired => false,
            State::Fresh | State::Due | State::NotYetValid => true,
        }
    }
}

/// This node's kubelet.
#[derive(Clone, Copy, Debug)]
pub struct Kubelet {
    policy: KubeletPolicy,
    catching_up: Option<CatchingUp>,
}

impl Kubelet {
    /// A kubelet that has nothing to catch up with.
    pub fn new(policy: KubeletPolicy) -> Self {
        Self { policy, catching_up: None }
    }

    /// How it works.
    pub fn policy(&self) -> KubeletPolicy {
        self.policy
    }

    /// What it has to catch up with at `now`.
    pub fn catching_up(&self, now: &Reading) -> Option<CatchingUp> {
        self.catching_up.filter(|step| now.monotonic < step.until)
    }

    /// The wall clock was set. Steps that follow one another before kubelet has caught up add up.
    pub(super) fn clock_stepped(&mut self, step: &Step) {
        let pending = self.catching_up(&step.after).map_or(Delta::ZERO, |before| before.size);
        let (size, until) = (pending + step.size, step.after.monotonic + self.policy.patience());
        self.catching_up = (size > Delta::ZERO).then_some(CatchingUp { size, until });
    }
}

//! This node's kubelet: its settings, the step of the clock that it has to catch up with, its syncs
//! of volumes, the errors that it logged, and its metrics.

pub mod errors;
mod judge;
pub mod metrics;
mod rhythm;
mod seen;
mod silence;
mod syncs;

pub use seen::{SyncsSeen, VolumeSync};
pub use silence::{Extent, Silence};
pub use syncs::Syncs;
pub(crate) use syncs::SyncsChanged;

use errors::Errors;
use metrics::Metrics;

use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::world::clocks::Step;
use crate::world::tokens::{Deadlines, KubeletPolicy, State};

/// A forward step of the node's clock. kubelet goes by this clock, so tokens become due all at once
/// with the step, and kubelet needs time to replace them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatchingUp {
    /// The size of the step.
    pub size: Delta,
    /// When a healthy kubelet has caught up.
    pub until: Monotonic,
}

impl CatchingUp {
    /// Whether the token is late only because of the step.
    pub fn excuses(&self, deadlines: &Deadlines, now: Wall) -> bool {
        match deadlines.state(now - self.size) {
            State::Late | State::Stalled | State::Expired => false,
            State::Fresh | State::Due | State::NotYetValid => true,
        }
    }
}

/// The state of this node's kubelet.
#[derive(Clone, Debug)]
pub struct Kubelet {
    policy: KubeletPolicy,
    catching_up: Option<CatchingUp>,
    /// Its syncs of the volumes with tokens.
    pub syncs: Syncs,
    /// What it logged about them.
    pub errors: Errors,
    /// What its metrics show.
    pub metrics: Metrics,
}

impl Kubelet {
    /// A kubelet with nothing to catch up with.
    pub fn new(policy: KubeletPolicy) -> Self {
        let (syncs, errors) = (Syncs::default(), Errors::default());
        let metrics = Metrics::new(policy.metrics);
        Self { policy, catching_up: None, syncs, errors, metrics }
    }

    /// The settings that affect rotation.
    pub fn policy(&self) -> KubeletPolicy {
        self.policy
    }

    /// Takes a report about syncs. `ends` tells of a pod, by its UID, whether it comes to its end.
    pub(super) fn synced(
        &mut self,
        seen: SyncsSeen,
        ends: impl Fn(&str) -> bool,
        now: &Reading,
    ) -> SyncsChanged {
        self.syncs.see(seen, self.policy, ends, now)
    }

    /// The step that kubelet still has to catch up with at `now`.
    pub fn catching_up(&self, now: &Reading) -> Option<CatchingUp> {
        self.catching_up.filter(|step| now.monotonic < step.until)
    }

    /// Takes a step of the wall clock. Steps add up until kubelet has caught up.
    pub(super) fn clock_stepped(&mut self, step: &Step) {
        let pending = self.catching_up(&step.after).map_or(Delta::ZERO, |before| before.size);
        let (size, until) = (pending + step.size, step.after.monotonic + self.policy.patience());
        self.catching_up = (size > Delta::ZERO).then_some(CatchingUp { size, until });
    }
}

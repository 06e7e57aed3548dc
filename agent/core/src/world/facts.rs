//! The facts about one token at one moment, as the diagnosis needs them.

use crate::base::time::{Delta, Monotonic, Wall};
use crate::world::clocks::{ClockState, Estimate};
use crate::world::cluster::{AccountLoss, AccountName, Known, Phase, Pod, PodRef};
use crate::world::kubelet::CatchingUp;
use crate::world::tokens::{Generation, Tracked};

/// One token, with everything that affects its diagnosis.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The token file.
    pub tracked: &'a Tracked,
    /// The token's pod, if the cluster knows it.
    pub known: Option<Known<'a>>,
    /// Why the API server rejects the token because of its service account, if it does.
    pub lost: Option<AccountLoss>,
    /// When a loss of the account that was just observed starts to count.
    pub lost_from: Option<Monotonic>,
    /// The estimate of the node's clock.
    pub clock: &'a Estimate,
    /// The step of the clock that kubelet still has to catch up with.
    pub catching_up: Option<CatchingUp>,
    /// Time for which a malformed or unreadable file is not a finding yet.
    pub settle: Delta,
}

impl<'a> Facts<'a> {
    /// The last generation that could be read from the file.
    pub fn generation(&self) -> Option<&'a Generation> {
        self.tracked.current.as_ref()
    }

    /// The pod, if the cluster knows it.
    pub fn pod(&self) -> Option<&'a Pod> {
        self.known.map(|known| known.pod)
    }

    /// The pod's names, for the subject of a finding.
    pub fn pod_ref(&self) -> PodRef {
        PodRef::of(self.tracked, self.pod())
    }

    /// When kubelet kills the pod's containers at the latest, if the pod is terminating.
    pub fn deletion(&self) -> Option<Wall> {
        self.pod().and_then(|pod| pod.deletion)
    }

    /// True time when the node's clock reads `node`, if the two are known to differ.
    pub fn true_time(&self, node: Wall) -> Option<Wall> {
        let differs = match self.clock.state {
            ClockState::Off | ClockState::Drifting | ClockState::Stepped => {
                self.clock.offset != Delta::ZERO
            }
            ClockState::Synchronised | ClockState::Disagreeing | ClockState::Unknown => false,
        };
        differs.then(|| node + self.clock.offset)
    }

    /// The error bound of the clock if a source confirms it, else zero. An assumed bound must not
    /// hide that the clocks of the node and of the API server differ.
    pub fn proven_bound(&self) -> Delta {
        if self.clock.assumed { Delta::ZERO } else { self.clock.bound }
    }

    /// The token's service account, if the cluster confirms that it is the pod's. The claims alone
    /// are not enough: anybody who can write a file into a pod could then make the agent request
    /// any account and report the answer.
    pub fn account(&self) -> Option<AccountName> {
        confirmed_account(self.generation()?, self.pod()?)
    }
}

/// The account that a token names, if it is the pod's and the pod has not ended: nothing uses the
/// token of an ended pod.
pub(super) fn confirmed_account(generation: &Generation, pod: &Pod) -> Option<AccountName> {
    let has_ended = match pod.phase {
        Phase::Succeeded | Phase::Failed => true,
        Phase::Pending | Phase::Running | Phase::Unknown => false,
    };
    let claimed = AccountName::of(&generation.claims);
    let is_of_pod =
        pod.namespace == claimed.namespace && pod.service_account.as_ref() == Some(&claimed.name);
    (is_of_pod && !has_ended).then_some(claimed)
}

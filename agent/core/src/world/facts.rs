//! What the judgement on one token rests on.

use crate::base::time::{Delta, Wall};
use crate::world::clocks::{ClockState, Estimate};
use crate::world::cluster::{AccountLoss, AccountName, Known, Pod, PodRef};
use crate::world::kubelet::CatchingUp;
use crate::world::tokens::{Generation, Tracked};

/// A token and what it is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The token file.
    pub tracked: &'a Tracked,
    /// What the cluster knows of the token's pod.
    pub known: Option<Known<'a>>,
    /// What became of the token's service account, if that makes the API server refuse the token.
    pub lost: Option<AccountLoss>,
    /// What is believed about the node's clock.
    pub clock: &'a Estimate,
    /// What kubelet has to catch up with.
    pub catching_up: Option<CatchingUp>,
    /// How long a broken file may be settling.
    pub settle: Delta,
}

impl<'a> Facts<'a> {
    /// The generation in the file.
    pub fn generation(&self) -> Option<&'a Generation> {
        self.tracked.current.as_ref()
    }

    /// The pod, if the cluster knows it.
    pub fn pod(&self) -> Option<&'a Pod> {
        self.known.map(|known| known.pod)
    }

    /// The pod as a subject.
    pub fn pod_ref(&self) -> PodRef {
        PodRef::of(self.tracked, self.pod())
    }

    /// When the pod's containers are killed at the latest, if it is terminating.
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

    /// How far the clock can be off by proof. An assumed bound proves nothing either way: that the
    /// signer's clock and the node's differ is a fact without it.
    pub fn proven_bound(&self) -> Delta {
        if self.clock.assumed { Delta::ZERO } else { self.clock.bound }
    }

    /// The token's service account, if the cluster knows it to be the pod's. The agent does not
    /// believe claims alone: whoever may write a file into a pod could have it request any account
    /// and report the answer.
    pub fn account(&self) -> Option<AccountName> {
        let (claimed, pod) = (AccountName::of(&self.generation()?.claims), self.pod()?);
        let is_of_pod = pod.namespace == claimed.namespace
            && pod.service_account.as_ref() == Some(&claimed.name);
        is_of_pod.then_some(claimed)
    }
}

//! The facts about one token at one moment, as the diagnosis needs them.

use crate::base::time::{Delta, Interval, Monotonic, Wall};
use crate::world::clocks::Estimate;
use crate::world::cluster::{AccountLoss, AccountName, Known, Pod, PodRef, PodStage};
use crate::world::kubelet::CatchingUp;
use crate::world::tokens::{Generation, LEEWAY, Tracked, Verdict, verdict};

/// One token, with everything that affects its diagnosis.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The token file.
    pub tracked: &'a Tracked,
    /// The token's pod, if the cluster knows it.
    pub known: Option<Known<'a>>,
    /// The stage of the token's pod.
    pub stage: PodStage,
    /// Why the API server rejects the token because of its service account, if it does.
    pub lost: Option<AccountLoss>,
    /// When a loss of the account that was just observed starts to count.
    pub lost_from: Option<Monotonic>,
    /// The estimate of the node's clock.
    pub clock: &'a Estimate,
    /// The step of the clock that kubelet still has to catch up with.
    pub catching_up: Option<CatchingUp>,
    /// Whether the finding `kubelet.stalled` already explains why the token is not replaced.
    pub kubelet_stalled: bool,
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

    /// `deletionTimestamp` of the pod, if it is being deleted.
    pub fn deletion(&self) -> Option<Wall> {
        self.pod()?.deletion
    }

    /// When the API server starts to reject the token because its pod is deleted, on true time. It
    /// rejects tokens of a pod that it does not know, and of one whose `deletionTimestamp` passed
    /// more than its leeway ago (Validate in pkg/serviceaccount/claims.go).
    pub fn rejected_from(&self) -> Option<Wall> {
        match self.stage {
            PodStage::Deleted(deleted) => Some(deleted.at),
            PodStage::Unknown
            | PodStage::Active
            | PodStage::Terminating { .. }
            | PodStage::Ended(_) => self.deletion().map(|deletion| deletion + LEEWAY),
        }
    }

    /// The verdict of the API server, if true time is in `interval`.
    pub fn verdict(&self, generation: &Generation, interval: &Interval) -> Verdict {
        let is_unknown = matches!(self.stage, PodStage::Deleted(_));
        if self.lost.is_some() || is_unknown {
            return Verdict::Dead;
        }
        let by_itself = verdict(&generation.claims, interval);
        let Some(from) = self.rejected_from() else { return by_itself };
        if interval.lo > from {
            return Verdict::Dead;
        }
        let may_be_rejected = by_itself == Verdict::Live && interval.hi > from;
        if may_be_rejected { Verdict::Uncertain } else { by_itself }
    }

    /// True time when the node's clock reads `node`, if the two are known to differ.
    pub fn true_time(&self, node: Wall) -> Option<Wall> {
        self.clock.true_time(node)
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

/// The account that a token names, if it is the pod's.
pub(super) fn confirmed_account(generation: &Generation, pod: &Pod) -> Option<AccountName> {
    let claimed = AccountName::of(&generation.claims);
    let is_of_pod =
        pod.namespace == claimed.namespace && pod.service_account.as_ref() == Some(&claimed.name);
    is_of_pod.then_some(claimed)
}

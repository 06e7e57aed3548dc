//! The facts about one token at one moment, as the diagnosis needs them.

use super::{Misfit, World};
use crate::base::time::{Delta, Interval, Monotonic, Reading, Wall};
use crate::world::clocks::{ClockState, Estimate};
use crate::world::cluster::{AccountLoss, AccountName, Known, Loss, Pod, PodRef, PodStage};
use crate::world::keys::KeyState;
use crate::world::kubelet::errors::Logged;
use crate::world::kubelet::metrics::MetricsShown;
use crate::world::kubelet::{CatchingUp, Silence};
use crate::world::readers::ReaderFacts;
use crate::world::tokens::{Bound, Generation, LEEWAY, State, TokenKey, Tracked, Verdict, verdict};

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
    /// What is known of those who verify it.
    pub verifier: VerifierFacts,
    /// The estimate of the node's clock.
    pub clock: &'a Estimate,
    /// What kubelet does with it.
    pub kubelet: KubeletFacts<'a>,
    /// Who reads it.
    pub readers: ReaderFacts<'a>,
    /// Time for which a malformed or unreadable file is not a finding yet.
    pub settle: Delta,
}

/// What is known of those who verify a token.
#[derive(Clone, Copy, Debug)]
pub struct VerifierFacts {
    /// What the API servers show of the key that signed it.
    pub key: KeyState,
    /// How its audience fails to fit the clients that read it.
    pub misfit: Option<Misfit>,
    /// The clock of an API server that is ahead of the node's, if that has a finding.
    pub ahead: Option<AheadClock>,
}

/// The clock of an API server that is ahead of the node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AheadClock {
    /// By how much, at most; where tokens alone show it, at least.
    pub by: Delta,
    /// Whether it answers the agent. Then it accepts its own tokens. Else another one, whose clock
    /// is right, may answer the pods.
    pub answers: bool,
}

/// What kubelet does with a token.
#[derive(Clone, Copy, Debug, Default)]
pub struct KubeletFacts<'a> {
    /// The step of the clock that kubelet still has to catch up with.
    pub catching_up: Option<CatchingUp>,
    /// Set if kubelet does not sync the volume.
    pub unsynced: Option<Silence>,
    /// Whether a sync of the volume was seen.
    pub is_synced: bool,
    /// How often kubelet synced the volume since the token was due, and did not replace it; none if
    /// it is not due, or the agent does not see syncs.
    pub failed_renewals: Option<u32>,
    /// The error that kubelet logged about it, if that may be why it is not replaced.
    pub logged: Option<Logged<'a>>,
    /// What kubelet's metrics show.
    pub metrics: Option<MetricsShown<'a>>,
    /// Whether the finding `kubelet.stalled` already explains why the token is not replaced.
    pub is_stalled: bool,
    /// Whether the finding `kubelet.stalled` may explain it within moments.
    pub is_pending: bool,
}

impl World {
    /// The facts about one token, with `clock` as the estimate of the clock. Nothing if the agent
    /// does not track the token.
    pub fn facts<'a>(
        &'a self,
        key: &TokenKey,
        now: &Reading,
        clock: &'a Estimate,
    ) -> Option<Facts<'a>> {
        let tracked = self.tokens.get(key)?;
        let known = self.cluster.known(&key.pod_uid, now);
        let current = tracked.current.as_ref();
        let token = current.map(|token| (token.claims.issued_at, token.seen));
        let mut facts = Facts {
            tracked,
            known,
            stage: self.cluster.stage(&key.pod_uid, token, now),
            lost: None,
            lost_from: None,
            verifier: self.verifier_facts(tracked, known),
            kubelet: self.kubelet_facts(tracked, now),
            clock,
            readers: self.readers.facts(key),
            settle: self.startup.settle(),
        };
        let loss = current.and_then(|current| self.loss(&facts, current));
        let from = loss.map(|loss| self.counts_from(loss, &facts, now));
        facts.lost_from = from.filter(|from| *from > now.monotonic);
        facts.lost = loss.filter(|_| facts.lost_from.is_none()).map(|loss| loss.kind);
        Some(facts)
    }

    /// The moment of which the agent knows the file of this token: `now`, unless the source of
    /// token files stands still. Then it is when that began, or when it reported the file since.
    pub fn known_at(&self, key: &TokenKey, now: &Reading) -> Reading {
        let known = self.visibility.files_known_at(now);
        let reported = self.tokens.get(key).and_then(|token| token.current.as_ref());
        let since = reported.map_or(known.monotonic, |of| of.seen.monotonic.max(known.monotonic));
        now.after((since - now.monotonic).min(Delta::ZERO))
    }

    /// The facts about one token as of the moment at which its file is known, and that moment.
    /// While no file is read, what time alone would bring is neither raised nor resolved: kubelet
    /// may have replaced the token. Once files are read again, every token is diagnosed.
    pub fn known_facts<'a>(
        &'a self,
        key: &TokenKey,
        now: &Reading,
        clock: &'a Estimate,
    ) -> Option<(Facts<'a>, Reading)> {
        let known = self.known_at(key, now);
        Some((self.facts(key, &known, clock)?, known))
    }

    fn verifier_facts(&self, tracked: &Tracked, known: Option<Known<'_>>) -> VerifierFacts {
        let known = tracked.current.as_ref().zip(known);
        let misfit =
            known.and_then(|(token, known)| self.misfit(&tracked.key, &token.claims, known.pod));
        VerifierFacts { key: self.cluster.key_state(tracked), misfit, ahead: None }
    }

    fn kubelet_facts(&self, tracked: &Tracked, now: &Reading) -> KubeletFacts<'_> {
        let (key, syncs) = (&tracked.key, &self.kubelet.syncs);
        let due = tracked.current.as_ref().map(|current| current.deadlines.due);
        let due = due.filter(|due| now.wall > *due);
        KubeletFacts {
            catching_up: self.kubelet.catching_up(now),
            unsynced: syncs.silence(key, now),
            is_synced: syncs.has_seen(key),
            failed_renewals: due.and_then(|due| syncs.count(key, due, now)),
            logged: self.kubelet_error(key, now),
            metrics: self.kubelet_metrics(now),
            is_stalled: false,
            is_pending: false,
        }
    }

    /// How the account of a token was lost. Before the API server has answered, a loss from before
    /// a restart still counts.
    fn loss(&self, facts: &Facts<'_>, generation: &Generation) -> Option<Loss> {
        let is_confirmed = facts.account().is_some() || self.startup.lacks_cluster();
        is_confirmed.then(|| self.accounts.loss(&facts.tracked.key, generation)).flatten()
    }

    /// When a loss starts to count: at once if the token is late. Else later, because a release
    /// that is removed loses its account just before its pods terminate.
    fn counts_from(&self, loss: Loss, facts: &Facts<'_>, now: &Reading) -> Monotonic {
        let state = facts.generation().map(|generation| generation.deadlines.state(now.wall));
        match state {
            Some(State::Late | State::Stalled | State::Expired) => loss.since,
            Some(State::Fresh | State::Due | State::NotYetValid) | None => {
                loss.since + self.startup.settle()
            }
        }
    }
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
        if self.lost.is_some() || is_unknown || self.verifier.key == KeyState::Unknown {
            return Verdict::Dead;
        }
        let by_itself = match verdict(&generation.claims, interval) {
            // One of several API servers refuses it, or most likely all do. Or it is bound to a
            // Secret, and no agent may know whether that exists.
            Verdict::Live if self.verifier.key.is_bad() || is_sealed(generation) => {
                Verdict::Uncertain
            }
            alone @ (Verdict::Live | Verdict::Uncertain | Verdict::Dead) => alone,
        };
        let Some(from) = self.rejected_from() else { return by_itself };
        if interval.lo > from {
            return Verdict::Dead;
        }
        let may_be_rejected = by_itself == Verdict::Live && interval.hi > from;
        if may_be_rejected { Verdict::Uncertain } else { by_itself }
    }

    /// True time when the node's clock reads `node`, if the two are proven to differ.
    pub fn true_time(&self, node: Wall) -> Option<Wall> {
        self.clock.true_time(node)
    }

    /// The same, also where one time server alone claims it. It may add to what is known of a
    /// token, and take nothing away.
    pub fn claimed_time(&self, node: Wall) -> Option<Wall> {
        self.clock.claimed_time(node)
    }

    /// The error bound of the clock if a source confirms it, else zero. A bound that is assumed, or
    /// that of a lone server which contradicts the node, must not hide that the clocks of the node
    /// and of the API server differ.
    pub fn proven_bound(&self) -> Delta {
        let is_in_doubt = self.clock.alone && self.clock.state != ClockState::Synchronised;
        if self.clock.assumed || is_in_doubt { Delta::ZERO } else { self.clock.bound }
    }

    /// The token's service account, if the cluster confirms that it is the pod's. The claims alone
    /// are not enough: anybody who can write a file into a pod could then make the agent request
    /// any account and report the answer.
    pub fn account(&self) -> Option<AccountName> {
        confirmed_account(self.generation()?, self.pod()?)
    }

    /// The token's service account, if the cluster or the token's signature confirms it.
    pub fn proven_account(&self) -> Option<AccountName> {
        let signed = self.generation().filter(|_| self.tracked.is_verified());
        self.account().or_else(|| signed.map(|token| AccountName::of(&token.claims)))
    }
}

/// Whether the API server refuses the token when a Secret is deleted.
fn is_sealed(generation: &Generation) -> bool {
    match generation.claims.binding.bound() {
        Bound::Secret(_) => true,
        Bound::Pod(_) | Bound::Node(_) | Bound::Nothing => false,
    }
}

/// The account that a token names, if it is the pod's.
pub(super) fn confirmed_account(generation: &Generation, pod: &Pod) -> Option<AccountName> {
    let claimed = AccountName::of(&generation.claims);
    let is_of_pod =
        pod.namespace == claimed.namespace && pod.service_account.as_ref() == Some(&claimed.name);
    is_of_pod.then_some(claimed)
}

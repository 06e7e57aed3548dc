//! Requests that the API servers on this node refused (401), as their logs show them. Only an agent
//! on a control-plane node has such logs, and they are about the pods of all nodes.
//!
//! No log has everything. A line of the server's log has the reason, and nobody's name. An audit
//! event of a refused request has the address, and neither a user nor a reason. What was accepted
//! from the same address names the pod behind it.

mod addresses;
mod counts;
mod facts;
mod issued;
#[cfg(test)]
mod issued_tests;
mod join;
#[cfg(test)]
mod join_tests;
mod seen;
mod stale;
#[cfg(test)]
mod tests;
mod users;

pub use addresses::{PodAtAddress, PodsAtAddress};
pub use facts::{Match, RefusedFacts, RefusedPod};
pub use seen::{
    Accepted, AcceptedAccount, AcceptedPod, AuditedRefusal, IssuedToken, RefusalReason,
    ServerLogSeen, Suspect, TimedRefusals,
};
pub use stale::{StaleBy, StaleUser};

use std::collections::{BTreeMap, VecDeque};

use super::{Changed, World};
use crate::base::time::{Delta, Monotonic, Reading};
use addresses::Addresses;
use counts::Counts;
use issued::IssuedTokens;
use join::{Joined, Joins};
use stale::StaleUsers;
use users::Users;

/// Time for which a refused request counts. A client that fails repeats its request within
/// minutes: client-go waits for at most 10 minutes between two watches (reflector.go).
pub const WINDOW: Delta = Delta::from_secs(600);
/// Time that is counted together.
const STEP: Delta = Delta::from_secs(30);
/// Refused requests from which a pod counts as named. A client that reads its token again after a
/// 401 causes one for each rotation, and two where its request is repeated before that.
const NAMED: u64 = 3;
/// Most pods whose refusals were judged. Beyond that, a pod is judged again.
const MAX_JUDGED: usize = 1_024;

/// The refused requests of the last minutes.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    /// Oldest first, each with its begin.
    steps: VecDeque<(Monotonic, Counts)>,
    /// Who uses which address.
    users: Users,
    /// Which pods have addresses that no accepted request is known from.
    addresses: Addresses,
    /// The tokens that kubelets have requested.
    issued: IssuedTokens,
    /// Who uses tokens past `warnafter`, or tokens that were replaced.
    stale: StaleUsers,
    /// What waits for the other log.
    joins: Joins,
    /// When the last request was refused; before the first one, when the agent started.
    last: Option<Monotonic>,
    /// Since the start, by reason.
    totals: BTreeMap<RefusalReason, u64>,
    /// The pods of this node behind refusals, by UID, and whether a warning had named each.
    judged: BTreeMap<String, Foresight>,
    /// The pods that no warning had named, since the start.
    missed: u64,
}

/// Whether a warning had named a pod before its requests were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foresight {
    /// A warning was active.
    Foreseen,
    /// None was: the agent missed it.
    Missed,
}

/// Figures about refused requests since the start, for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusalFigures {
    /// Refused requests by reason.
    pub by_reason: BTreeMap<RefusalReason, u64>,
    /// Pods of this node whose requests were refused, and that no warning had named.
    pub missed: u64,
}

impl Refusals {
    /// The agent started: what an agent before it reported may last.
    pub(super) fn begin(&mut self, now: &Reading) {
        self.last.get_or_insert(now.monotonic);
    }

    /// Takes what the logs showed. Returns whether a request was refused, or a stale token used.
    fn see(&mut self, seen: ServerLogSeen, now: &Reading) -> bool {
        for issued in seen.issued {
            self.issued.see(issued, now.monotonic);
        }
        let is_stale = self.stale.see(&seen.accepted, &self.issued, now.monotonic);
        for accepted in seen.accepted {
            self.users.see(accepted, now.monotonic);
        }
        self.joins.take(seen.timed, now.monotonic);
        let new = Counts::of(seen.reasons, seen.refused, seen.others);
        if new.is_empty() {
            return is_stale;
        }
        self.count(&new);
        self.last = Some(now.monotonic);
        self.expire(now);
        self.step(now).add(new);
        true
    }

    /// Joins the requests of both logs that have waited long enough. Call it at each step.
    pub(super) fn settle(&mut self, now: &Reading) {
        for Joined { address, reason, seen } in self.joins.settle(now.monotonic) {
            // The step in which the request itself was counted.
            let step = self.steps.iter_mut().rev().find(|(since, _)| *since <= seen);
            if let Some((_, counts)) = step {
                counts.join(address, reason);
            }
        }
    }

    fn count(&mut self, new: &Counts) {
        for (reason, count) in new.reasons() {
            let total = self.totals.entry(reason).or_default();
            *total = total.saturating_add(count);
        }
    }

    fn expire(&mut self, now: &Reading) {
        while self.steps.front().is_some_and(|(since, _)| now.monotonic - *since > WINDOW) {
            self.steps.pop_front();
        }
    }

    fn step(&mut self, now: &Reading) -> &mut Counts {
        let is_current = |since: Monotonic| now.monotonic - since < STEP;
        if !self.steps.back().is_some_and(|(since, _)| is_current(*since)) {
            self.steps.push_back((now.monotonic, Counts::default()));
        }
        // There is one: it was added above if it was missing.
        let last = self.steps.len() - 1;
        &mut self.steps[last].1
    }

    /// What was refused within [`WINDOW`].
    fn recent(&self, now: &Reading) -> Counts {
        let mut recent = Counts::default();
        let steps = self.steps.iter().filter(|(since, _)| now.monotonic - *since <= WINDOW);
        steps.for_each(|(_, counts)| recent.add(counts.clone()));
        recent
    }

    /// Whether no request was refused for [`WINDOW`].
    pub fn is_quiet(&self, now: &Reading) -> bool {
        self.last.is_none_or(|last| now.monotonic - last > WINDOW)
    }

    /// When it becomes quiet, or the oldest refusals do not count any more.
    pub fn next_change(&self, now: &Reading) -> Option<Monotonic> {
        let begins = self.steps.iter().map(|(since, _)| *since);
        let last = self.last.filter(|_| !self.steps.is_empty());
        // One nanosecond later, because the limit is exclusive.
        let ends = begins.chain(last).map(|at| at + WINDOW + Delta::from_nanos(1));
        let ends = ends.filter(|at| *at > now.monotonic);
        let joined = self.joins.next().into_iter();
        ends.chain(joined).chain(self.stale.next_change(now.monotonic)).min()
    }

    /// Whether a finding had named this pod, if that was judged.
    pub fn foresight(&self, uid: &str) -> Option<Foresight> {
        self.judged.get(uid).copied()
    }

    /// Figures since the start; none while no log has shown anything.
    pub fn figures(&self) -> Option<RefusalFigures> {
        let has_log = !(self.steps.is_empty() && self.totals.is_empty() && self.users.is_empty());
        let figures = || RefusalFigures { by_reason: self.totals.clone(), missed: self.missed };
        has_log.then(figures)
    }
}

impl World {
    /// Takes what the logs of an API server showed.
    pub(super) fn server_log(&mut self, now: &Reading, seen: ServerLogSeen) -> Changed {
        let stale = self.used_again(&seen.accepted, now);
        let changed = Changed::of(stale);
        Changed { node: self.readers.refusals.see(seen, now), ..changed }
    }

    /// Judges each pod of this node whose requests are refused, once: whether a finding had named
    /// it. A pod that is not refused any more is judged again next time.
    pub fn judge_refusals(&mut self, now: &Reading, is_foreseen: impl Fn(&str) -> bool) {
        let facts = self.refused(now);
        let proven = facts.named().filter(|pod| pod.is_proven());
        let here: Vec<String> = proven.filter_map(RefusedPod::uid_here).collect();
        let Refusals { judged, missed, .. } = &mut self.readers.refusals;
        judged.retain(|uid, _| here.contains(uid));
        for uid in here {
            if judged.len() >= MAX_JUDGED || judged.contains_key(&uid) {
                continue;
            }
            let is_missed = !is_foreseen(&uid);
            *missed += u64::from(is_missed);
            judged.insert(uid, if is_missed { Foresight::Missed } else { Foresight::Foreseen });
        }
    }
}

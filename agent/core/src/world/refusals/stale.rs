//! Who uses tokens past `warnafter`: the API server notes that in the audit event of each request
//! (`authentication.k8s.io/stale-token`). Such a token was extended, and kubelet has replaced it.

use std::collections::BTreeMap;

use super::{Accepted, AcceptedAccount, AcceptedPod};
use crate::base::time::{Delta, Monotonic, Reading};
use crate::world::World;
use crate::world::cluster::AccountName;

/// Most users that are kept.
const MAX_USERS: usize = 256;
/// Time after which a request shows nothing about the present: a client that only watches, and
/// gives no time for it, sends one every 30 to 60 min.
const LASTS: Delta = Delta::from_secs(3_660);

/// An account, and the pod of the token, if it is bound to one.
type Who = (AccountName, Option<AcceptedPod>);

/// The users of tokens past `warnafter`.
#[derive(Clone, Debug, Default)]
pub(super) struct StaleUsers(BTreeMap<Who, (Delta, Monotonic)>);

/// A user of a token past `warnafter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleUser {
    /// Its service account.
    pub account: AccountName,
    /// Its pod, if the token is bound to one.
    pub pod: Option<AcceptedPod>,
    /// How long the token was past `warnafter`.
    pub past: Delta,
}

impl StaleUsers {
    /// Takes what was accepted. Returns whether a token was past `warnafter`.
    pub(super) fn see(&mut self, accepted: &[Accepted], now: Monotonic) -> bool {
        self.0.retain(|_, (_, at)| now - *at < LASTS);
        let users = accepted.iter().filter_map(|accepted| accepted.user.as_ref());
        let stale = |user: &AcceptedAccount| Some((user.clone(), user.stale_for?));
        let stale: Vec<(AcceptedAccount, Delta)> = users.filter_map(stale).collect();
        let is_any = !stale.is_empty();
        for (user, past) in stale {
            let who = (user.account, user.pod);
            if self.0.len() < MAX_USERS || self.0.contains_key(&who) {
                self.0.insert(who, (past, now));
            }
        }
        is_any
    }

    /// When the next one does not count any more.
    pub(super) fn next_change(&self, now: Monotonic) -> Option<Monotonic> {
        let ends = self.0.values().map(|(_, at)| *at + LASTS);
        ends.filter(|at| *at > now).min()
    }
}

impl World {
    /// The pods and accounts that use tokens past `warnafter`. Those of this node are left out:
    /// what the agent sees of their reads tells more.
    pub fn stale_elsewhere(&self, now: &Reading) -> Vec<StaleUser> {
        let users = self.readers.refusals.stale.0.iter();
        let recent = users.filter(|(_, (_, at))| now.monotonic - *at < LASTS);
        let is_here = |pod: &AcceptedPod| self.tokens.has_pod(&pod.uid);
        let elsewhere = recent.filter(|((_, pod), _)| !pod.as_ref().is_some_and(is_here));
        elsewhere
            .map(|((account, pod), (past, _))| StaleUser {
                account: account.clone(),
                pod: pod.clone(),
                past: *past,
            })
            .collect()
    }
}

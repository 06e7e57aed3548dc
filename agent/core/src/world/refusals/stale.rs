//! Who uses old tokens, on any node. The API server notes in the audit event of a request that its
//! token is past `warnafter` (`authentication.k8s.io/stale-token`): such a token was extended, and
//! kubelet has replaced it. And the audit events of TokenRequest show which token was replaced.

use std::collections::BTreeMap;

use super::issued::IssuedTokens;
use super::{Accepted, AcceptedPod};
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

/// The users of old tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct StaleUsers(BTreeMap<Who, (StaleUse, Monotonic)>);

/// A use of an old token.
#[derive(Clone, Debug)]
struct StaleUse {
    by: StaleBy,
    node: Option<String>,
    agent: Option<String>,
}

/// What shows that a token is old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleBy {
    /// It was past `warnafter` for so long.
    Extended(Delta),
    /// kubelet had requested a newer one so long before.
    Replaced(Delta),
}

/// A user of an old token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleUser {
    /// Its service account.
    pub account: AccountName,
    /// Its pod, if the token is bound to one.
    pub pod: Option<AcceptedPod>,
    /// What shows that the token is old.
    pub by: StaleBy,
    /// The node of the pod.
    pub node: Option<String>,
    /// The begin of the user agent.
    pub agent: Option<String>,
}

impl StaleUse {
    /// None: the token may be the newest one.
    fn of(accepted: &Accepted, issued: &IssuedTokens, now: Monotonic) -> Option<(Who, Self)> {
        let user = accepted.user.as_ref()?;
        let replaced = issued.replaced(user, accepted.at, now).map(StaleBy::Replaced);
        let by = replaced.or(user.stale_for.map(StaleBy::Extended))?;
        let who = (user.account.clone(), user.pod.clone());
        Some((who, Self { by, node: user.node.clone(), agent: accepted.agent.clone() }))
    }
}

impl StaleUsers {
    /// Takes what was accepted. Returns whether a token was an old one.
    pub(super) fn see(
        &mut self,
        accepted: &[Accepted],
        issued: &IssuedTokens,
        now: Monotonic,
    ) -> bool {
        self.0.retain(|_, (_, at)| now - *at < LASTS);
        let uses = accepted.iter().filter_map(|accepted| StaleUse::of(accepted, issued, now));
        let uses: Vec<(Who, StaleUse)> = uses.collect();
        let is_any = !uses.is_empty();
        for (who, new) in uses {
            if self.0.len() < MAX_USERS || self.0.contains_key(&who) {
                self.0.insert(who, (new, now));
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
    /// The pods and accounts that use old tokens. Those of this node are left out:
    /// what the agent sees of their reads tells more.
    pub fn stale_elsewhere(&self, now: &Reading) -> Vec<StaleUser> {
        let users = self.readers.refusals.stale.0.iter();
        let recent = users.filter(|(_, (_, at))| now.monotonic - *at < LASTS);
        let is_here = |pod: &AcceptedPod| self.tokens.has_pod(&pod.uid);
        let elsewhere = recent.filter(|((_, pod), _)| !pod.as_ref().is_some_and(is_here));
        elsewhere
            .map(|((account, pod), (of, _))| StaleUser {
                account: account.clone(),
                pod: pod.clone(),
                by: of.by,
                node: of.node.clone(),
                agent: of.agent.clone(),
            })
            .collect()
    }
}

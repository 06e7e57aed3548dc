//! What the agent asks the API server for, and what the answers change: service accounts, and keys.

use std::collections::BTreeSet;

use super::cluster::{AccountName, AccountSeen, PodStage};
use super::facts::confirmed_account;
use super::keys::KeysSeen;
use super::tokens::{Generation, TokenKey, Tracked};
use super::{Changed, ChangedTokens, World};
use crate::base::time::{Monotonic, Reading};

impl World {
    /// Takes an answer about a service account. It may be why the tokens of the account are not
    /// replaced.
    pub(super) fn account(&mut self, now: &Reading, seen: AccountSeen) -> Changed {
        let account = seen.account.clone();
        if !self.accounts.see(seen, now) {
            return Changed::node();
        }
        let is_of = |generation: &Generation| AccountName::of(&generation.claims) == account;
        let keys = self.tokens.keys_of(|tracked| tracked.current.as_ref().is_some_and(is_of));
        Changed::node().with(ChangedTokens::These(keys))
    }

    /// Takes an answer about the keys of the API servers. It may tell something else about every
    /// token.
    pub(super) fn published(&mut self, now: &Reading, seen: KeysSeen) -> Changed {
        let truth = self.clock.estimate(now).interval(now.wall);
        let verifier = self.cluster.verifiers.last(now);
        self.cluster.keys.see(seen, &truth, verifier);
        let keys = self.tokens.keys_of(|_| true);
        self.want_keys(keys.iter(), now);
        self.want_keys_of_copies(now);
        Changed::node().with(ChangedTokens::All)
    }

    /// Asks for the keys again soon, where the answers leave something open about one of these
    /// tokens.
    pub(super) fn want_keys<'a>(
        &mut self,
        tokens: impl Iterator<Item = &'a TokenKey>,
        now: &Reading,
    ) {
        for key in tokens {
            if let Some(tracked) = self.tokens.get(key) {
                let state = self.cluster.key_state(tracked);
                self.cluster.keys.want(state, now);
            }
        }
    }

    /// The service account to request now out of turn, unless that was done recently; and when it
    /// may be requested again.
    pub fn query(
        &mut self,
        account: Option<AccountName>,
        now: &Reading,
    ) -> (Option<AccountName>, Option<Monotonic>) {
        let Some(account) = account else { return (None, None) };
        let is_due = self.accounts.query(&account, now);
        let next = self.accounts.next(&account);
        (is_due.then_some(account), next)
    }

    /// The service account to request now because it is its turn: an account may be lost while its
    /// tokens are fresh.
    pub fn take_turn(&mut self, now: &Reading) -> Option<AccountName> {
        if !self.accounts.is_turn(now) {
            return None;
        }
        let used = self.accounts_in_use();
        self.accounts.take_turn(&used, now)
    }

    /// Every service account that tokens on this node use, for a caller that looks only once.
    pub fn take_all_accounts(&mut self, now: &Reading) -> Vec<AccountName> {
        let used = self.accounts_in_use();
        self.accounts.take_all(&used, now)
    }

    /// The accounts that tokens on this node use, as far as the API server confirms them. Those of
    /// pods that come to their end are left out: kubelet does not replace their tokens.
    fn accounts_in_use(&self) -> BTreeSet<AccountName> {
        let account = |tracked: &Tracked| {
            let pod = self.cluster.pod(&tracked.key.pod_uid)?;
            let is_active = PodStage::of(pod) == PodStage::Active;
            let generation = tracked.current.as_ref().filter(|_| is_active)?;
            confirmed_account(generation, pod)
        };
        self.tokens.iter().filter_map(account).collect()
    }
}

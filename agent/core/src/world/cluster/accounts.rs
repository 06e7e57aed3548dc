//! The service accounts that tokens on this node use: when the agent requests each from the API
//! server, and what the API server answered. It knows no others.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::turns::Turns;
use crate::base::time::{Delta, Monotonic, Reading};
use crate::world::tokens::{Claims, Generation, TokenKey, kept_name};

/// Time between two requests out of turn for the same account. An account that was deleted by
/// mistake may be created again.
const REQUEST_INTERVAL: Delta = Delta::from_secs(300);
/// Shortest time between two turns of the same account. It matters on a node with one or two.
const TURN_INTERVAL: Delta = Delta::from_secs(200);
/// Most accounts that are kept: more than a full node (250 pods) has.
const MAX_ACCOUNTS: usize = 256;

/// The name of a service account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl AccountName {
    /// The service account that a token names.
    pub fn of(claims: &Claims) -> Self {
        Self {
            namespace: claims.binding.namespace.clone(),
            name: claims.binding.service_account.name.clone(),
        }
    }
}

/// The answer of the API server about one service account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSeen {
    /// The account that was requested.
    pub account: AccountName,
    /// The UID of the account that has this name now; nothing if there is none.
    pub uid: Option<String>,
}

impl AccountSeen {
    /// An answer about this account. The UID is cut as those in tokens are, with which it is
    /// compared.
    pub fn new(account: AccountName, uid: Option<&str>) -> Self {
        Self { account, uid: uid.map(kept_name) }
    }
}

/// Why the API server rejects a token because of its service account. It looks up the account and
/// compares the UIDs (Validate in pkg/serviceaccount/claims.go).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountLoss {
    /// The account does not exist. kubelet gets no new token for it, either.
    Missing,
    /// The account was deleted and created again, and the token belongs to the old one.
    Replaced,
}

impl AccountLoss {
    const ALL: [Self; 2] = [Self::Missing, Self::Replaced];

    /// The loss with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|loss| loss.name() == name)
    }

    /// The name in the evidence of a finding.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Replaced => "replaced",
        }
    }
}

/// A loss, and since when the agent knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// How the account was lost.
    pub kind: AccountLoss,
    /// When the API server first answered so.
    pub since: Monotonic,
}

/// The accounts in use, with the last answer about each.
#[derive(Clone, Debug)]
pub struct Accounts {
    known: BTreeMap<AccountName, Known>,
    turns: Turns,
    /// Losses that were reported before a restart, by token.
    restored: BTreeMap<TokenKey, Restored>,
}

#[derive(Clone, Debug)]
struct Known {
    /// When its turn comes.
    due: Monotonic,
    requested: Option<Monotonic>,
    answer: Option<Answer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    at: Monotonic,
    /// When the API server first gave this answer.
    since: Monotonic,
    uid: Option<String>,
    /// The answer before this one, and since when the API server gave it.
    before: Option<(Option<String>, Monotonic)>,
}

#[derive(Clone, Debug)]
struct Restored {
    /// The generation that the API server rejects.
    generation: String,
    kind: AccountLoss,
}

impl Known {
    fn new(now: Monotonic) -> Self {
        Self { due: now, requested: None, answer: None }
    }

    fn request(&mut self, now: Monotonic, turn_after: Delta) {
        self.requested = Some(now);
        self.due = now + turn_after;
    }
}

impl Answer {
    /// Why the API server rejects a token of the account with this UID. An account that was missing
    /// and has been created again is lost since it was missing.
    fn loss(&self, uid: Option<&String>) -> Option<Loss> {
        let kind = loss(self.uid.as_ref(), uid)?;
        let before = self.before.as_ref();
        let before = before.filter(|(is, _)| loss(is.as_ref(), uid).is_some());
        Some(Loss { kind, since: before.map_or(self.since, |(_, since)| *since) })
    }

    /// The answer that follows this one.
    fn followed_by(self, uid: Option<String>, at: Monotonic) -> Self {
        if self.uid == uid {
            return Self { at, ..self };
        }
        Self { at, since: at, uid, before: Some((self.uid, self.since)) }
    }
}

/// How a token is lost whose account had the UID `was`, where the account has `is` now.
fn loss(is: Option<&String>, was: Option<&String>) -> Option<AccountLoss> {
    match (is, was) {
        (None, _) => Some(AccountLoss::Missing),
        (Some(is), Some(was)) if is != was => Some(AccountLoss::Replaced),
        (Some(_), _) => None,
    }
}

impl Accounts {
    /// Without accounts. `jitter_seed` spreads the first requests of many nodes.
    pub fn new(jitter_seed: u16) -> Self {
        let turns = Turns::new(jitter_seed);
        Self { known: BTreeMap::new(), turns, restored: BTreeMap::new() }
    }

    /// The API server answered for the first time: turns begin.
    pub(crate) fn begin(&mut self, now: &Reading) {
        self.turns.begin(now.monotonic);
    }

    /// When the next account has its turn, if turns have begun.
    pub fn next_turn(&self) -> Option<Monotonic> {
        self.turns.next()
    }

    /// Whether an account has its turn now.
    pub fn is_turn(&self, now: &Reading) -> bool {
        self.turns.is_now(now.monotonic)
    }

    /// The account to request in this turn: of those in use, the one that waits longest. It counts
    /// as requested.
    pub fn take_turn(
        &mut self,
        used: &BTreeSet<AccountName>,
        now: &Reading,
    ) -> Option<AccountName> {
        self.keep(used, now);
        let due = self.known.iter().filter(|(_, known)| known.due <= now.monotonic);
        let next = due.min_by_key(|(_, known)| known.due).map(|(name, _)| name.clone());
        if let Some(known) = next.as_ref().and_then(|name| self.known.get_mut(name)) {
            known.request(now.monotonic, TURN_INTERVAL);
        }
        let unknown = self.known.values().filter(|known| known.requested.is_none()).count();
        self.turns.taken(now.monotonic, self.known.len(), unknown);
        next
    }

    /// Every account in use, for a caller that looks only once. All count as requested.
    pub fn take_all(&mut self, used: &BTreeSet<AccountName>, now: &Reading) -> Vec<AccountName> {
        self.keep(used, now);
        self.known.values_mut().for_each(|known| known.request(now.monotonic, TURN_INTERVAL));
        self.known.keys().cloned().collect()
    }

    /// Forgets the accounts that no token uses any more, and adds new ones while there is room.
    fn keep(&mut self, used: &BTreeSet<AccountName>, now: &Reading) {
        self.known.retain(|name, _| used.contains(name));
        for name in used {
            if self.known.len() < MAX_ACCOUNTS && !self.known.contains_key(name) {
                self.known.insert(name.clone(), Known::new(now.monotonic));
            }
        }
    }

    /// Returns whether the account must be requested now, out of turn. If so, it counts as
    /// requested.
    pub fn query(&mut self, account: &AccountName, now: &Reading) -> bool {
        let due = self.next(account).is_none_or(|next| next <= now.monotonic);
        let room = self.known.len() < MAX_ACCOUNTS || self.known.contains_key(account);
        if due && room {
            let known = self.known.entry(account.clone());
            let known = known.or_insert_with(|| Known::new(now.monotonic));
            known.request(now.monotonic, REQUEST_INTERVAL);
        }
        due && room
    }

    /// When the account may be requested again; nothing if it never was.
    pub fn next(&self, account: &AccountName) -> Option<Monotonic> {
        Some(self.known.get(account)?.requested? + REQUEST_INTERVAL)
    }

    /// Takes an answer. Returns whether it differs from the one before; false for an account that
    /// no token is known to use.
    pub fn see(&mut self, seen: AccountSeen, now: &Reading) -> bool {
        let Some(known) = self.known.get_mut(&seen.account) else { return false };
        let (at, uid) = (now.monotonic, seen.uid);
        let before = known.answer.take();
        let is_same = before.as_ref().is_some_and(|before| before.uid == uid);
        known.answer = Some(match before {
            Some(before) => before.followed_by(uid, at),
            None => Answer { at, since: at, uid, before: None },
        });
        !is_same
    }

    /// Takes a loss that was reported before a restart. It counts until the API server answers, or
    /// until the token is replaced.
    pub(crate) fn restore(&mut self, key: TokenKey, generation: String, kind: AccountLoss) {
        self.restored.insert(key, Restored { generation, kind });
    }

    /// Why the API server rejects this generation because of its account, if that is known. The
    /// last answer counts, however old it is: a UID does not come back. An answer from before the
    /// generation was first seen is out of date, because the account existed when the token was
    /// issued.
    pub fn loss(&self, key: &TokenKey, generation: &Generation) -> Option<Loss> {
        let claims = &generation.claims;
        let known = self.known.get(&AccountName::of(claims));
        let answer = known.and_then(|known| known.answer.as_ref());
        match answer.filter(|answer| answer.at > generation.seen.monotonic) {
            Some(answer) => answer.loss(claims.binding.service_account.uid.as_ref()),
            None => self.restored_loss(key, generation),
        }
    }

    /// Whether the API server has answered that the account of this generation exists, since the
    /// agent first saw the generation.
    pub fn is_confirmed(&self, generation: &Generation) -> bool {
        let claims = &generation.claims;
        let known = self.known.get(&AccountName::of(claims));
        let answer = known.and_then(|known| known.answer.as_ref());
        let uid = claims.binding.service_account.uid.as_ref();
        answer.is_some_and(|of| {
            of.at > generation.seen.monotonic && of.uid.as_ref() == uid && uid.is_some()
        })
    }

    fn restored_loss(&self, key: &TokenKey, generation: &Generation) -> Option<Loss> {
        let restored = self.restored.get(key)?;
        let is_it = restored.generation == generation.claims.generation().as_str();
        is_it.then(|| Loss { kind: restored.kind, since: Monotonic::default() })
    }
}

#[cfg(test)]
#[path = "accounts_tests.rs"]
mod tests;

//! The keys with which API servers verify tokens, and what they say about the tokens of this node.
//!
//! An API server publishes every key that it verifies with (`/openid/v1/jwks`, KEP-1393; both come
//! from `--service-account-key-file`). It answers 401 to a token whose key is not among them,
//! whatever the token's age. Behind one address there may be several API servers, and each answers
//! for itself.

mod seen;
mod turns;

pub use seen::{KeySet, KeysAnswer, KeysSeen};

use std::collections::VecDeque;

use crate::base::time::{Delta, Interval, Monotonic, Reading};
use crate::world::tokens::{Generation, TokenKey, Verdict, verdict};
use turns::Turns;

/// Answers that are kept. A round has three, each on a connection of its own. If one of two API
/// servers lacks a key, eight answers in a row hide that in one case of 256.
const KEPT: usize = 8;
/// Answers without a key, and none with it since, from which it is missing everywhere.
const ALL_LACK: u32 = 3;
/// Time over which an API server must refuse the agent's own token before that counts: while it
/// starts, it may not know the objects yet that a token is bound to.
const REFUSES: Delta = Delta::from_secs(50);

/// The answers of the API servers, and when to ask again.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Oldest first.
    answers: VecDeque<Answer>,
    /// The refusal of the agent's own token, until an API server publishes its keys again.
    refusal: Option<Refusal>,
    /// The issuer that an API server named last.
    issuer: Option<String>,
    turns: Turns,
}

#[derive(Clone, Debug)]
struct Answer {
    sent: Monotonic,
    keys: KeySet,
}

/// The agent's own token, which an API server refuses.
#[derive(Clone, Debug)]
struct Refusal {
    first: Monotonic,
    last: Monotonic,
    key_id: String,
}

/// What the answers say about the key of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyState {
    /// Nothing: they cannot tell it for this token.
    NotChecked,
    /// Nothing yet: no answer is new enough.
    Open,
    /// The API servers have it.
    Known,
    /// Some answers have it, and some that came since have not.
    Split,
    /// An API server refuses the agent's own token, which has the same key.
    Suspected,
    /// No API server that answers has it.
    Unknown,
}

impl KeyState {
    /// Whether requests with the token fail for this reason, as far as the agent can tell.
    pub fn is_bad(self) -> bool {
        match self {
            Self::NotChecked | Self::Open | Self::Known => false,
            Self::Split | Self::Suspected | Self::Unknown => true,
        }
    }
}

impl Keys {
    /// Without answers. `seed` spreads the first requests of many agents. Without access to the API
    /// server there are none.
    pub(super) fn new(is_enabled: bool, seed: u16) -> Self {
        let turns = Turns::new(is_enabled, seed);
        Self { answers: VecDeque::new(), refusal: None, issuer: None, turns }
    }

    /// The agent started: requests begin.
    pub(super) fn begin(&mut self, now: &Reading) {
        self.turns.begin(now);
    }

    /// Whether the agent has access to an API server.
    pub fn is_enabled(&self) -> bool {
        self.turns.is_enabled()
    }

    /// When to ask next, if at all.
    pub fn next_turn(&self) -> Option<Monotonic> {
        self.turns.next()
    }

    /// Whether to ask now. If so, it counts as asked.
    pub(crate) fn take_turn(&mut self, now: &Reading) -> bool {
        let is_now = self.turns.is_now(now);
        if is_now {
            self.turns.taken(now);
        }
        is_now
    }

    /// Takes an answer. True time is in `interval`: that an API server refuses an own token outside
    /// of its lifetime tells nothing about keys.
    pub(super) fn see(&mut self, seen: KeysSeen, interval: &Interval) {
        self.turns.answered();
        let sent = seen.sent.monotonic;
        match seen.answer {
            KeysAnswer::Published(keys) => self.publishes_now(Answer { sent, keys }),
            KeysAnswer::Refused(own) => {
                let is_within_life =
                    verdict(&own, interval) != Verdict::Dead && interval.hi < own.expires_at;
                self.refused(sent, own.key.id.filter(|_| is_within_life));
            }
        }
    }

    fn publishes_now(&mut self, answer: Answer) {
        self.refusal = None;
        self.issuer = answer.keys.issuer.clone().or(self.issuer.take());
        self.answers.push_back(answer);
        if self.answers.len() > KEPT {
            self.answers.pop_front();
        }
    }

    fn refused(&mut self, sent: Monotonic, key_id: Option<String>) {
        let before = self.refusal.take();
        let same = before.filter(|before| Some(&before.key_id) == key_id.as_ref());
        let first = same.map_or(sent, |before| before.first);
        self.refusal = key_id.map(|key_id| Refusal { first, last: sent, key_id });
    }

    /// Asks again soon if this state of a token leaves something open.
    pub(super) fn want(&mut self, state: KeyState, now: &Reading) {
        if state == KeyState::Open || state.is_bad() {
            self.turns.soon(now);
        }
    }

    /// The API server answered another request, or did not.
    pub(super) fn reached(&mut self, is_answer: bool, now: &Reading) {
        self.turns.reached(is_answer, now);
    }

    /// Whether any answer came since the agent started.
    pub fn has_answers(&self) -> bool {
        !self.answers.is_empty() || self.refusal.is_some()
    }

    /// The key set of the last answer.
    pub fn published(&self) -> Option<&KeySet> {
        self.answers.back().map(|answer| &answer.keys)
    }

    /// Whether the last key set has this key.
    pub fn publishes(&self, id: &str) -> bool {
        self.published().is_some_and(|set| set.ids.iter().any(|known| known == id))
    }

    /// The issuer of new tokens, as an API server named it last.
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// What the answers say about the key of this generation.
    pub fn state(&self, key: &TokenKey, generation: &Generation) -> KeyState {
        let Some(id) = checkable_key(key, generation) else { return KeyState::NotChecked };
        match &self.refusal {
            // The answers are from before it.
            Some(refusal) if refusal.key_id == id && refusal.lasts() => KeyState::Suspected,
            Some(refusal) if refusal.key_id == id => KeyState::Open,
            Some(_) | None => self.published_state(id, generation.seen.monotonic),
        }
    }

    /// Answers without the key show that it was removed. If a later one has it, they are of two API
    /// servers.
    fn published_state(&self, id: &str, seen: Monotonic) -> KeyState {
        let (mut has, mut lack, mut has_again) = (0, 0_u32, 0);
        for answer in self.answers.iter().filter_map(|answer| answer.has(id, seen)) {
            match answer {
                false => lack += 1,
                true if lack == 0 => has += 1,
                true => has_again += 1,
            }
        }
        match (has, lack, has_again) {
            (0, 0, _) => KeyState::Open,
            (_, 0, _) => KeyState::Known,
            (_, ALL_LACK.., 0) => KeyState::Unknown,
            (_, _, 0) => KeyState::Open, // the rest of the round will tell
            (_, _, _) => KeyState::Split,
        }
    }
}

impl Refusal {
    /// Whether it has lasted longer than a start of the API server.
    fn lasts(&self) -> bool {
        self.last - self.first >= REFUSES
    }
}

impl Answer {
    /// Whether it has a key; none if it may be too old to have it.
    fn has(&self, id: &str, seen: Monotonic) -> Option<bool> {
        let has = self.keys.ids.iter().any(|known| known == id);
        (has || self.sent > seen).then_some(has)
    }
}

/// The id of the key that signed the token, if an API server of this cluster should have it. A
/// virtual cluster writes tokens into pods that are bound to pods of its own. A signer outside of
/// the API server may keep good keys to itself (KEP-740).
fn checkable_key<'a>(key: &TokenKey, generation: &'a Generation) -> Option<&'a str> {
    let claims = &generation.claims;
    let pod = claims.binding.pod.as_ref()?;
    let is_of_pod = pod.uid.as_deref() == Some(&*key.pod_uid);
    let id = claims.key.id.as_deref().filter(|id| !id.is_empty());
    id.filter(|_| is_of_pod && !claims.key.is_external)
}

#[cfg(test)]
mod tests;

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
use crate::world::config::Config;
use crate::world::tokens::{Claims, Generation, LEEWAY, TokenKey, Verdict, verdict};
use turns::Turns;

/// Answers that are kept: those of 16 rounds, each on a connection of its own. If one of five API
/// servers lacks a key, as many answers in a row hide that in one case of 40,000.
const KEPT: usize = 48;
/// Answers without a key, and none with it since, from which it is missing: those of one round.
const LACK: u32 = 3;
/// The same from which it is missing everywhere: those of three rounds.
const ALL_LACK: u32 = 9;
/// Answers with a key in a row, after a refusal that did not last or after an old answer without
/// the key, from which an API server that was starting explains it: those of two rounds.
const FORGIVEN: u32 = 6;
/// How many times longer than a file may settle an API server must refuse the agent's own token
/// before that counts: while it starts, it may not know the objects yet that a token is bound to.
const REFUSES: i64 = 5;

/// The answers of the API servers, and when to ask again.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Oldest first.
    answers: VecDeque<Answer>,
    /// The issuer that an API server named last.
    issuer: Option<String>,
    /// Time over which a refusal must last.
    patience: Delta,
    turns: Turns,
}

#[derive(Clone, Debug)]
struct Answer {
    sent: Monotonic,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Set(KeySet),
    /// A refusal of the agent's own token, which this key signed.
    Refusal(String),
}

/// What an answer shows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    Has,
    Lacks,
    /// It lacked the key before the agent saw the token: it may have it by now.
    Lacked,
    /// It refuses a token with this key.
    Refuses,
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
    /// The last answers do not have it.
    Missing,
    /// No API server that answers has it.
    Unknown,
}

impl KeyState {
    /// Whether requests with the token fail for this reason, as far as the agent can tell.
    pub fn is_bad(self) -> bool {
        match self {
            Self::NotChecked | Self::Open | Self::Known => false,
            Self::Split | Self::Suspected | Self::Missing | Self::Unknown => true,
        }
    }
}

impl Keys {
    /// Without answers. Without access to the API server there are none.
    pub(super) fn new(config: &Config) -> Self {
        let turns = Turns::new(config.cluster_configured, config.jitter_seed);
        Self { turns, patience: config.settle.fraction(REFUSES, 1), ..Self::default() }
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

    /// Takes an answer. True time is in `truth`, and the API server's clock in `verifier`, if that
    /// is known: that an API server refuses an own token outside of its lifetime tells nothing
    /// about keys.
    pub(super) fn see(&mut self, seen: KeysSeen, truth: &Interval, verifier: Option<Interval>) {
        self.turns.answered();
        let content = match seen.answer {
            KeysAnswer::Published(keys) => {
                self.issuer = keys.issuer.clone().or(self.issuer.take());
                Some(Content::Set(keys))
            }
            KeysAnswer::Refused(own) => {
                let is_alive = is_alive(&own, truth, verifier);
                own.key.id.filter(|_| is_alive).map(Content::Refusal)
            }
        };
        let sent = seen.sent.monotonic;
        self.answers.extend(content.map(|content| Answer { sent, content }));
        if self.answers.len() > KEPT {
            self.answers.pop_front();
        }
    }

    /// The last key set.
    pub fn published(&self) -> Option<&KeySet> {
        self.answers.iter().rev().find_map(|answer| match &answer.content {
            Content::Set(set) => Some(set),
            Content::Refusal(_) => None,
        })
    }

    /// Asks again soon if this state of a token leaves something open.
    pub(super) fn want(&mut self, state: KeyState, now: &Reading) {
        if state == KeyState::Open || state.is_bad() {
            self.turns.soon(now);
        }
    }

    /// Asks again soon, because an answer was not like those before.
    pub(super) fn ask_soon(&mut self, now: &Reading) {
        self.turns.soon(now);
    }

    /// The API server answered another request, or did not.
    pub(super) fn reached(&mut self, is_answer: bool, now: &Reading) {
        self.turns.reached(is_answer, now);
    }

    /// Whether any answer came since the agent started.
    pub fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Whether there is a key set, and the last one lacks this key.
    pub fn lacked(&self, id: &str) -> bool {
        self.published().is_some_and(|set| set.ids.iter().all(|known| known != id))
    }

    /// The issuer of new tokens, as an API server named it last.
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// What the answers say about the key of this generation.
    pub fn state(&self, key: &TokenKey, generation: &Generation) -> KeyState {
        let id = checkable_key(key, generation);
        id.map_or(KeyState::NotChecked, |id| self.state_of(id, generation.seen.monotonic))
    }

    /// What the answers say about the key of a token that the agent saw at `seen`.
    pub fn state_of(&self, id: &str, seen: Monotonic) -> KeyState {
        let mut tally = Tally { patience: self.patience, ..Tally::default() };
        for answer in &self.answers {
            tally.take(answer.sent, answer.shows(id, seen));
        }
        tally.state()
    }
}

/// What the answers show of one key, oldest first.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    has: u32,
    lack: u32,
    /// Answers with the key after one without it: they are of two API servers.
    has_again: u32,
    refused: Option<(Monotonic, Monotonic)>,
    /// Answers with the key since the last one that lacked it before the token came, if others had
    /// it even before that: they are of two API servers, of which one may still lack it.
    since_lacked: Option<u32>,
    /// Another key was refused after the first answer without this one: an API server that refuses
    /// the agent shows no keys, and may have this one.
    is_partial: bool,
    /// Time over which a refusal must last.
    patience: Delta,
}

impl Tally {
    fn take(&mut self, sent: Monotonic, shows: Option<Shows>) {
        let is_missing = self.lack > 0 || self.refused.is_some();
        match shows {
            Some(Shows::Lacked) => self.since_lacked = (self.has > 0).then_some(0),
            Some(Shows::Has) if is_missing => self.has_again += 1,
            Some(Shows::Has) => {
                self.has += 1;
                self.since_lacked = self.since_lacked.map(|answers| answers + 1);
            }
            Some(Shows::Lacks) => self.lack += 1,
            Some(Shows::Refuses) => {
                self.refused = Some((self.refused.map_or(sent, |(first, _)| first), sent));
            }
            None => self.is_partial |= self.lack > 0,
        }
        if self.has_again == FORGIVEN && self.is_short() {
            (self.refused, self.has_again, self.has) = (None, 0, self.has + FORGIVEN);
        }
    }

    /// Whether nothing but a refusal speaks against the key, and it has not lasted: an API server
    /// that starts refuses tokens until it knows their objects.
    fn is_short(&self) -> bool {
        let short = |(first, last): (Monotonic, Monotonic)| last - first < self.patience;
        self.lack == 0 && self.refused.is_some_and(short)
    }

    fn state(&self) -> KeyState {
        match (self.has, self.lack, self.has_again) {
            (_, 0, _) if self.is_short() => KeyState::Open,
            (_, 0, 0) if self.refused.is_some() => KeyState::Suspected,
            (0, 0, 0) => KeyState::Open,
            (_, 0, 0) if self.since_lacked.is_some_and(|had| had < FORGIVEN) => KeyState::Open,
            (_, 0, 0) => KeyState::Known,
            (_, ALL_LACK.., 0) if !self.is_partial => KeyState::Unknown,
            (_, LACK.., 0) => KeyState::Missing,
            (_, _, 0) => KeyState::Open, // the rest of the round will show it
            (_, _, _) => KeyState::Split,
        }
    }
}

impl Answer {
    /// What it shows of a key of a token that the agent saw at `seen`; none if nothing.
    fn shows(&self, id: &str, seen: Monotonic) -> Option<Shows> {
        match &self.content {
            Content::Set(keys) if keys.ids.iter().any(|known| known == id) => Some(Shows::Has),
            Content::Set(_) if self.sent > seen => Some(Shows::Lacks),
            Content::Set(_) => Some(Shows::Lacked),
            Content::Refusal(key) => (key == id).then_some(Shows::Refuses),
        }
    }
}

/// Whether the agent's own token is within its lifetime, by true time and by the clock of the API
/// server, which may be wrong.
fn is_alive(own: &Claims, truth: &Interval, verifier: Option<Interval>) -> bool {
    let accepts =
        |clock: Interval| own.not_before - LEEWAY <= clock.lo && clock.hi < own.expires_at;
    let is_alive = verdict(own, truth) != Verdict::Dead && truth.hi < own.expires_at;
    is_alive && verifier.is_none_or(accepts)
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

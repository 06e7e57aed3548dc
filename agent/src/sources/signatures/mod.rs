//! Signatures of tokens, checked against the public keys that API servers publish. The reader of
//! token files asks while it still has the bytes; nothing of a signature leaves this room.
//!
//! - `jwk`: from a published key to one that can verify;
//! - `spki`: the id that the API server derives from a key;
//! - `verify`: one signature and one key;
//! - `es512`: the same for the curve that `ring` does not have;
//! - this file: the keys of the last answers, shared between the source that requests them and the
//!   reader.

mod es512;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod jwk;
mod spki;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::tokens::{ParsedToken, Signature, SignatureResult};

pub use jwk::{Jwk, Jwks};
use verify::Fits;

/// Answers for which a key stays after the last one that had it, as in the core (`world/keys`):
/// behind one address there may be several API servers with different keys, and one answer shows
/// the keys of one of them.
const KEPT: u64 = 48;
/// Most keys: those of two API servers, each of which has as many as one answer may have (128).
/// With their longest moduli (1 kB) they take 0.3 MB.
const MAX_KEYS: usize = 256;

/// One key that an API server publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    /// Whether the id is the hash of the key with which the API server names it. Then no other key
    /// has it.
    is_derived: bool,
    public: jwk::PublicKey,
}

/// A key, and the number of the last answer that had it.
#[derive(Clone, Debug)]
struct Held {
    key: Key,
    answer: u64,
}

/// What is checked: the parts of a token that the signature covers, and what the header names.
#[derive(Clone, Copy)]
pub(crate) struct Signed<'a> {
    /// The whole token, trimmed.
    pub(crate) token: &'a [u8],
    /// `alg`
    pub(crate) algorithm: &'a str,
    /// `kid`
    pub(crate) key_id: Option<&'a str>,
}

impl<'a> Signed<'a> {
    /// What is checked of the token in `bytes`.
    pub(crate) fn of(bytes: &'a [u8], token: &'a ParsedToken<'_>) -> Self {
        let algorithm = token.algorithm().unwrap_or_default();
        Self { token: bytes.trim_ascii(), algorithm, key_id: token.key_id() }
    }
}

/// The keys of the last answers.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    held: Vec<Held>,
    /// Number of answers.
    answers: u64,
    /// Changes when the keys do. Zero: there are none yet.
    version: u64,
    /// When the last answer was requested, on the node's clock.
    at: Wall,
}

impl KeyRing {
    /// The version of the keys: another one has other keys. Zero: there are none yet.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Takes the keys of one answer. A key that no API server has shown for long is dropped.
    fn take(&mut self, keys: &Jwks, at: Wall) {
        (self.answers, self.at) = (self.answers + 1, at);
        let mut is_other = false;
        for key in keys.keys.iter().map(Key::of) {
            is_other |= self.hold(key);
        }
        let before = self.held.len();
        let (answers, oldest) = (self.answers, self.oldest_of_too_many());
        self.held.retain(|held| answers - held.answer < KEPT && held.answer > oldest);
        if is_other || self.held.len() != before {
            self.version += 1;
        }
    }

    /// Keeps one key; whether it is a new one.
    fn hold(&mut self, key: Key) -> bool {
        let answer = self.answers;
        if let Some(known) = self.held.iter_mut().find(|held| held.key == key) {
            known.answer = answer;
            return false;
        }
        self.held.push(Held { key, answer });
        true
    }

    /// The last answer whose keys have no place any more; zero if there is room for all.
    fn oldest_of_too_many(&self) -> u64 {
        let mut answers: Vec<u64> = self.held.iter().map(|held| held.answer).collect();
        answers.sort_unstable_by(|one, other| other.cmp(one));
        answers.get(MAX_KEYS).copied().unwrap_or_default()
    }

    /// Checks a signature; nothing if there are no keys.
    pub(crate) fn check(&self, signed: Signed<'_>) -> Option<Signature> {
        let result = (self.version > 0).then(|| self.result(signed))?;
        Some(Signature { result, keys_at: self.at })
    }

    /// As the API server does: all keys with the id that the token names, and all keys if it names
    /// none (pkg/serviceaccount/jwt.go, openidmetadata.go).
    fn result(&self, signed: Signed<'_>) -> SignatureResult {
        let id = signed.key_id.filter(|id| !id.is_empty());
        let mut result = SignatureResult::NoSuchKey;
        for Held { key, .. } in self.held.iter().filter(|held| held.key.is_named(id)) {
            let of_key = match key.public.fits(signed) {
                Fits::Yes => return SignatureResult::Verified,
                Fits::No if id.is_none() => SignatureResult::NoSuchKey,
                Fits::No if key.is_derived => SignatureResult::Damaged,
                Fits::No => SignatureResult::OtherKey,
                Fits::Unknown(why) => SignatureResult::Unsupported(why),
            };
            result = weaker(result, of_key);
        }
        result
    }
}

impl Key {
    fn of(jwk: &Jwk) -> Self {
        let (id, public) = (jwk.id().map(jwk::cut), jwk.public());
        let is_derived = id.is_some() && id == spki::key_id(&public).as_deref();
        Self { id: id.map(ToOwned::to_owned), is_derived, public }
    }

    fn is_named(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.id.as_deref() == Some(jwk::cut(id)))
    }
}

/// Of what two keys of one id show, what accuses less.
fn weaker(one: SignatureResult, other: SignatureResult) -> SignatureResult {
    let accuses = |result: SignatureResult| match result {
        SignatureResult::Verified => 0,
        SignatureResult::Unsupported(_) => 1,
        SignatureResult::OtherKey => 2,
        SignatureResult::Damaged => 3,
        SignatureResult::NoSuchKey => 4, // nothing yet
    };
    if accuses(other) < accuses(one) { other } else { one }
}

/// The key ring, shared: one source writes it, and the reader of token files reads it.
#[derive(Clone, Debug, Default)]
pub struct SharedKeys {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// That of `ring`, so that a scan of unchanged files takes no lock.
    version: AtomicU64,
    ring: Mutex<Arc<KeyRing>>,
}

impl SharedKeys {
    /// Takes the keys of one answer, which was requested at `at`.
    pub fn take(&self, keys: &Jwks, at: Wall) {
        let mut ring = self.shared.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let new = Arc::make_mut(&mut ring);
        new.take(keys, at);
        self.shared.version.store(new.version, Ordering::Release);
    }

    /// The version of the keys.
    pub(crate) fn version(&self) -> u64 {
        self.shared.version.load(Ordering::Acquire)
    }

    /// The keys as they are now.
    pub(crate) fn current(&self) -> Arc<KeyRing> {
        Arc::clone(&self.shared.ring.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

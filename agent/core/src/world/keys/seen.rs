//! What API servers show of the keys with which they verify tokens.

use serde::{Deserialize, Serialize};

use crate::base::time::Reading;
use crate::world::tokens::{Claims, kept_issuer, kept_name};

/// Most keys of an API server. It has one for each replacement of the last lifetime of a token.
const MAX_KEYS: usize = 128;

/// An answer of an API server to the question for its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysSeen {
    /// When the agent sent the request. A token that the agent saw before has a key that the
    /// answer should have.
    pub sent: Reading,
    /// The answer.
    pub answer: KeysAnswer,
}

/// What an API server answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeysAnswer {
    /// Its key set and its issuer (KEP-1393).
    Published(KeySet),
    /// It refused the agent's own token (401), which has these claims.
    Refused(Box<Claims>),
}

/// The keys with which an API server verifies tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    /// The issuer that it writes into new tokens, if it publishes one. It may accept others
    /// (`--service-account-issuer` can be given several times).
    pub issuer: Option<String>,
    /// The id of every key (`kid`).
    pub ids: Vec<String>,
}

impl KeySet {
    /// The keys with these ids, cut like the ids in tokens. Nothing if there is none, or if there
    /// are too many to keep: with a part of them, good tokens would seem to lack their key.
    pub fn new(issuer: Option<&str>, ids: impl IntoIterator<Item = String>) -> Option<Self> {
        let ids: Vec<String> =
            ids.into_iter().take(MAX_KEYS + 1).map(|id| kept_name(&id)).collect();
        let issuer = issuer.map(kept_issuer);
        (!ids.is_empty() && ids.len() <= MAX_KEYS).then_some(Self { issuer, ids })
    }
}

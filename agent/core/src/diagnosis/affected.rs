//! The tokens that a wrong node clock affects, by effect.

use std::collections::BTreeSet;

use super::ClockEffect;
use crate::findings::Affected;
use crate::world::tokens::TokenKey;

/// The tokens that a wrong node clock affects, by effect.
#[derive(Debug, Default)]
pub struct AffectedTokens {
    look_wrong: BTreeSet<TokenKey>,
    refused: BTreeSet<TokenKey>,
}

impl AffectedTokens {
    /// Sets the effect on the token `key`.
    pub fn set(&mut self, key: &TokenKey, effect: ClockEffect) {
        self.remove(key);
        match effect {
            ClockEffect::None => {}
            ClockEffect::LooksWrong => drop(self.look_wrong.insert(key.clone())),
            ClockEffect::Refused => drop(self.refused.insert(key.clone())),
        }
    }

    /// Removes a token that no longer exists.
    pub fn remove(&mut self, key: &TokenKey) {
        self.look_wrong.remove(key);
        self.refused.remove(key);
    }

    /// Number of affected tokens.
    pub fn count(&self) -> Affected {
        Affected { look_wrong: self.look_wrong.len(), refused: self.refused.len() }
    }
}

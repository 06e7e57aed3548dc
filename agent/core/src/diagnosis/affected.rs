//! The tokens that a wrong clock of the node has an effect of its own on.

use std::collections::BTreeSet;

use super::ClockEffect;
use crate::findings::Affected;
use crate::world::tokens::TokenKey;

/// Tokens by effect.
#[derive(Debug, Default)]
pub struct AffectedTokens {
    look_wrong: BTreeSet<TokenKey>,
    refused: BTreeSet<TokenKey>,
}

impl AffectedTokens {
    /// The effect on `key` is this one now.
    pub fn set(&mut self, key: &TokenKey, effect: ClockEffect) {
        self.forget(key);
        match effect {
            ClockEffect::None => {}
            ClockEffect::LooksWrong => drop(self.look_wrong.insert(key.clone())),
            ClockEffect::Refused => drop(self.refused.insert(key.clone())),
        }
    }

    /// There is no such token any more.
    pub fn forget(&mut self, key: &TokenKey) {
        self.look_wrong.remove(key);
        self.refused.remove(key);
    }

    /// How many there are.
    pub fn count(&self) -> Affected {
        Affected { look_wrong: self.look_wrong.len(), refused: self.refused.len() }
    }
}

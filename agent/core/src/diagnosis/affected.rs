//! The tokens that a wrong node clock affects, by effect.

use std::collections::BTreeSet;

use super::ClockEffect;
use crate::findings::{Affected, MAX_NAMED};
use crate::world::World;
use crate::world::cluster::PodRef;
use crate::world::tokens::TokenKey;

/// The tokens that a wrong node clock affects, by effect.
#[derive(Debug, Default)]
pub(super) struct AffectedTokens {
    look_wrong: BTreeSet<TokenKey>,
    refused: BTreeSet<TokenKey>,
}

impl AffectedTokens {
    /// Sets the effect on the token `key`.
    pub(super) fn set(&mut self, key: &TokenKey, effect: ClockEffect) {
        self.remove(key);
        match effect {
            ClockEffect::None => {}
            ClockEffect::LooksWrong => drop(self.look_wrong.insert(key.clone())),
            ClockEffect::Refused => drop(self.refused.insert(key.clone())),
        }
    }

    /// Removes a token that no longer exists.
    pub(super) fn remove(&mut self, key: &TokenKey) {
        self.look_wrong.remove(key);
        self.refused.remove(key);
    }

    /// The affected tokens, with the first refused ones by name.
    pub(super) fn named(&self, world: &World) -> Affected {
        let name = |key: &TokenKey| {
            let pod = PodRef::of(world.tokens.get(key)?, world.cluster.pod(&key.pod_uid));
            Some(pod.full_name())
        };
        Affected {
            look_wrong: self.look_wrong.len(),
            refused: self.refused.len(),
            refused_pods: self.refused.iter().filter_map(name).take(MAX_NAMED).collect(),
        }
    }
}

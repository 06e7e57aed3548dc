//! Symptoms of keys and issuers.

use std::collections::BTreeSet;

use super::Severity;
use crate::base::time::Wall;
use crate::world::keys::KeyState;

/// The symptom of keys that an API server does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySymptom {
    /// What shows it: one of the bad states.
    pub state: KeyState,
    /// The ids of the keys.
    pub key_ids: BTreeSet<String>,
    /// The tokens that they signed.
    pub tokens: TokenGroup,
    /// Whether another key signed the newest token of the node.
    pub has_newer: bool,
}

impl KeySymptom {
    /// Critical where requests certainly fail: one of several API servers may have given all of the
    /// first answers. That an API server refuses the agent's own token may have
    /// another cause, but hardly if another key signs new tokens now.
    pub fn severity(&self) -> Severity {
        match self.state {
            KeyState::Unknown => Severity::Critical,
            KeyState::Suspected if self.has_newer => Severity::Critical,
            KeyState::Suspected | KeyState::Split | KeyState::Missing => Severity::Warning,
            KeyState::NotChecked | KeyState::Open | KeyState::Known => Severity::Info,
        }
    }
}

/// The symptom of tokens that name another issuer than new tokens do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSymptom {
    /// The issuers that they name.
    pub issuers: BTreeSet<String>,
    /// The issuer of new tokens.
    pub published: String,
    /// The tokens.
    pub tokens: TokenGroup,
}

/// Tokens of the node that share a cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenGroup {
    /// Number of tokens.
    pub count: usize,
    /// Their pods, each as `namespace/name`.
    pub pods: BTreeSet<String>,
    /// When the last of them is due, by the node's clock: kubelet replaces it then.
    pub last_due: Wall,
}

//! The observation of a file with copies of tokens.

use serde::{Deserialize, Serialize};

use super::Plugin;
use crate::base::time::Wall;
use crate::world::tokens::{Claims, Signature};

/// What one file on the host holds. Sent when something about it changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiesSeen {
    /// Its path on the host.
    pub path: String,
    /// Its form.
    pub kind: CopyKind,
    /// The plugin that writes it, if its path shows that.
    pub plugin: Option<Plugin>,
    /// Whether anything is known to use it.
    pub mention: Mention,
    /// When it was last written (its mtime, on the node's clock).
    pub written_at: Option<Wall>,
    /// Its tokens. None: the file does not exist, or holds no token that expires.
    pub tokens: Vec<CopiedToken>,
}

impl CopiesSeen {
    /// Whether `other` has the same generations.
    pub(super) fn has_tokens_of(&self, other: &Self) -> bool {
        let mine = self.tokens.iter().map(|token| token.claims.generation());
        mine.eq(other.tokens.iter().map(|token| token.claims.generation()))
    }
}

/// One token in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedToken {
    /// The user of the kubeconfig, or the key, that has the token.
    pub user: Option<String>,
    /// The file that a kubeconfig names as `tokenFile`, by its path on the host.
    pub token_file: Option<String>,
    /// Its claims.
    pub claims: Claims,
    /// Whose API server the kubeconfig names, as far as that can be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_server: Option<CopyServer>,
    /// What a check of its signature showed; none if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

impl CopiedToken {
    /// Of a file that holds nothing but this token.
    pub fn new(claims: Claims) -> Self {
        Self { user: None, token_file: None, claims, api_server: None, signature: None }
    }
}

/// The API server that a kubeconfig names beside a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyServer {
    /// The one that the agent asks, or that pods on this node use.
    Own,
    /// At another address. It may be the same one by another name.
    Other,
}

/// The form of a file with tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyKind {
    /// A kubeconfig.
    Kubeconfig,
    /// Only a token.
    Token,
    /// The configuration of a CNI plugin.
    Configuration,
    /// Another text.
    Text,
}

impl CopyKind {
    /// The name in evidence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kubeconfig => "kubeconfig",
            Self::Token => "token",
            Self::Configuration => "cni configuration",
            Self::Text => "text",
        }
    }
}

/// Whether anything is known to use a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mention {
    /// The agent's settings name the file, or its directory.
    Configured,
    /// A CNI configuration names it, or its plugin without another kubeconfig.
    Named,
    /// CNI configurations name another kubeconfig of its plugin, and not this one.
    OtherNamed,
    /// There are CNI configurations, and none names it or its plugin.
    NotNamed,
    /// There is no CNI configuration that could be read.
    Unknown,
}

impl Mention {
    /// The name in evidence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Configured => "settings",
            Self::Named => "cni configuration",
            Self::OtherNamed => "none, but another of the plugin",
            Self::NotNamed => "none",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::tokens::claims_for_tests;

    /// As earlier versions recorded it, and as they can read what this one records.
    #[test]
    fn a_recording_without_servers_and_signatures_is_read() {
        let token = CopiedToken::new(claims_for_tests(1_800_000_000, 3_600, None));
        let text = serde_json::to_string(&token).unwrap();
        assert!(!text.contains("api_server") && !text.contains("signature"), "{text}");
        assert_eq!(serde_json::from_str::<CopiedToken>(&text).unwrap(), token);
    }
}

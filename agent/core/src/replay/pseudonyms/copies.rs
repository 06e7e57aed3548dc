//! Copies of tokens without names. The plugin stays: without it the findings would differ.

use super::Pseudonyms;
use super::names::Kind;
use crate::world::copies::{CopiedToken, CopiesSeen};

impl Pseudonyms {
    pub(super) fn copies(&self, seen: CopiesSeen) -> CopiesSeen {
        let CopiesSeen { path, kind, plugin, mention, written_at, tokens } = seen;
        CopiesSeen {
            path: self.directory(&path),
            kind,
            plugin,
            mention,
            written_at,
            tokens: tokens.into_iter().map(|token| self.copied(token)).collect(),
        }
    }

    fn copied(&self, token: CopiedToken) -> CopiedToken {
        let CopiedToken { user, token_file, claims, api_server, signature } = token;
        CopiedToken {
            user: self.some_name(Kind::Name, user),
            token_file: token_file.map(|path| self.directory(&path)),
            claims: self.claims(claims),
            api_server,
            signature,
        }
    }
}

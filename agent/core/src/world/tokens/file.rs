//! A token file as a source found it.

use serde::{Deserialize, Serialize};

use super::{Claims, TokenKey};
use crate::base::time::Wall;

/// A token file as it was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileSeen {
    /// Where.
    pub key: TokenKey,
    /// When `..data` was last renamed (its ctime, on the node's clock), if it could be told.
    pub written_at: Option<Wall>,
    /// What was in it.
    pub content: FileContent,
}

/// What was in a token file. Files that are simply something else (a key, a ConfigMap) are never
/// reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileContent {
    /// A bound service-account token.
    Token(Box<Claims>),
    /// It starts like a token, or a token was here, and it does not parse.
    Malformed {
        /// What is wrong with it, without a byte of it.
        reason: String,
    },
    /// It is there and cannot be read.
    Unreadable {
        /// What the kernel said, and about which step.
        reason: String,
    },
}

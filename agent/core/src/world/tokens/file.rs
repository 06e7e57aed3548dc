//! The observation of a token file.

use serde::{Deserialize, Serialize};

use super::{Claims, Signature, TokenKey};
use crate::base::time::Wall;

/// The observed content of a token file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileSeen {
    /// The place of the file.
    pub key: TokenKey,
    /// When kubelet last renamed `..data` (its ctime, on the node's clock), if that is known.
    pub written_at: Option<Wall>,
    /// Name of the directory that `..data` leads to (`..2026_11_28_…`), if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Its content.
    pub content: FileContent,
    /// What a check of the token's signature showed; none if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// The content of a token file. Sources do not report files that are something else, such as a key
/// or a ConfigMap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileContent {
    /// A bound service-account token.
    Token(Box<Claims>),
    /// It does not decode as a token, although it starts like one or the file held one before.
    Malformed {
        /// Why it does not decode, without a byte of the content.
        reason: String,
    },
    /// The file exists and cannot be read.
    Unreadable {
        /// The step that failed, and the kernel's error.
        reason: String,
    },
    /// There is no file, and the volume shows that one should be there.
    Missing(Absence),
}

/// How a token is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// The pod's spec has a token there, and the agent finds none.
    NotFound,
    /// kubelet has written the volume, and the token's file is not in it.
    NoFile,
    /// The volume is empty, and the agent never saw anything else in it.
    EmptyVolume,
    /// The volume had the token and is empty now. kubelet would have removed the directory, too.
    Emptied,
}

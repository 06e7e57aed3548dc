//! Secret-based tokens that pods mount. They have no expiry, and kubelet does not renew them
//! (pkg/serviceaccount/legacy.go).

use serde::{Deserialize, Serialize};

use super::{LegacyClaims, TokenKey};

/// Most of them that are kept of a node. Those after it are not counted: a node with so many has
/// the same finding.
pub const MAX_LEGACY: usize = 1_000;

/// A Secret-based token that a pod mounts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LegacyToken {
    /// The place of its file.
    pub key: TokenKey,
    /// Whose it is.
    #[serde(flatten)]
    pub claims: LegacyClaims,
}

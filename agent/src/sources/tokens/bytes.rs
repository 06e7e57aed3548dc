//! The bytes of one token, in a buffer that is wiped when it is dropped.

use std::fmt;

use zeroize::Zeroizing;

/// The bytes of one token. They are never shown.
pub(crate) struct TokenBytes(Zeroizing<Vec<u8>>);

impl TokenBytes {
    /// A copy, without white space around it.
    pub(super) fn copied(token: &[u8]) -> Self {
        Self(Zeroizing::new(token.trim_ascii().to_vec()))
    }

    pub(in crate::sources) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TokenBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenBytes(wiped)")
    }
}

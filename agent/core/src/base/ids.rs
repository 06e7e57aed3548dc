//! Identities that survive a restart of the agent, because they are derived and never drawn.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// W3C trace id, 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceId(pub [u8; 16]);

/// W3C span id, 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpanId(pub [u8; 8]);

/// Where in which trace something belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span in it.
    pub span_id: SpanId,
}

impl TraceId {
    /// The trace named by `parts`; equal parts, equal trace.
    pub fn derived(parts: &[&str]) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&digest("tokenwatch/trace/1", parts)[..16]);
        Self(id)
    }

    /// The span `name` of this trace.
    pub fn span(self, name: &str) -> SpanId {
        let mut id = [0; 8];
        id.copy_from_slice(&digest("tokenwatch/span/1", &[&hex(&self.0), name])[..8]);
        SpanId(id)
    }
}

/// A short stable id for the thing named by `parts`.
pub fn stable_id(kind: &str, parts: &[&str]) -> String {
    hex(&digest(kind, parts)[..8])
}

/// Length-prefixed, so that ("a", "bc") and ("ab", "c") differ.
fn digest(kind: &str, parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in std::iter::once(&kind).chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}"); // writing to a String cannot fail
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_parts_do_not_run_together() {
        assert_eq!(TraceId::derived(&["a", "bc"]), TraceId::derived(&["a", "bc"]));
        assert_ne!(TraceId::derived(&["a", "bc"]), TraceId::derived(&["ab", "c"]));
        assert_ne!(TraceId::derived(&["a"]).span("x"), TraceId::derived(&["a"]).span("y"));
    }
}

//! Identifiers that stay the same when the agent restarts: each is derived from names, and none is
//! random.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Trace id of 16 bytes (W3C Trace Context, section 3.2.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceId(pub [u8; 16]);

/// Span id of 8 bytes (W3C Trace Context, section 3.2.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpanId(pub [u8; 8]);

/// One span of one trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span in it.
    pub span_id: SpanId,
}

impl TraceId {
    /// The trace id derived from `parts`. Equal parts give equal ids, on every node.
    pub fn derived(parts: &[&str]) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&digest("tokenwatch/trace/1", parts)[..16]);
        Self(id)
    }

    /// The id of the span `name` in this trace.
    pub fn span(self, name: &str) -> SpanId {
        let mut id = [0; 8];
        id.copy_from_slice(&digest("tokenwatch/span/1", &[&hex(&self.0), name])[..8]);
        SpanId(id)
    }
}

/// A stable id of 16 hex digits for `parts`. Ids of different kinds differ.
pub fn stable_id(kind: &str, parts: &[&str]) -> String {
    hex(&digest(kind, parts)[..8])
}

/// SHA-256 over the parts, each with its length in front: ("a", "bc") and ("ab", "c") differ.
fn digest(kind: &str, parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in std::iter::once(&kind).chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The bytes in lower-case hex.
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
    fn ids_are_stable_and_depend_on_where_the_parts_end() {
        assert_eq!(TraceId::derived(&["a", "bc"]), TraceId::derived(&["a", "bc"]));
        assert_ne!(TraceId::derived(&["a", "bc"]), TraceId::derived(&["ab", "c"]));
        assert_ne!(TraceId::derived(&["a"]).span("x"), TraceId::derived(&["a"]).span("y"));
    }
}

//! Texts of errors as the source of kubelet's errors reports them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::base::secrecy::redacted_input;

/// What JSON escapes, and parts of what looks like a token.
const HARD: [&str; 14] = [
    "\"",
    "\\",
    "\n",
    "\t",
    "\u{1b}",
    "%20",
    "\u{202e}",
    "{\"",
    "\\n",
    "eyJ",
    ".e30.",
    "Bearer ",
    "ewo",
    "eyJhbGciOiJSUzI1NiJ9",
];

/// Any text as the source keeps it (`kept` in sources/kubelet_log/found.rs).
pub(super) fn error_text() -> impl Strategy<Value = String> {
    let hard = select(HARD.to_vec()).prop_map(str::to_owned);
    let piece = prop_oneof!["\\PC", "[a-m0-9 .:/=_-]{1,20}", hard];
    let text = vec(piece, 0..120).prop_map(|pieces| pieces.concat());
    text.prop_map(|text| redacted_input(&text).chars().take(512).collect())
}

//! The format of the state file, shared by reading and writing: one JSON object.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::ledger::FILE;
pub(super) use tokenwatch_core::ledger::VERSION;

/// Bytes of the largest file that is read: more than a writer makes of the parts below.
pub(super) const MAX_BYTES: u64 = 8 << 20;
/// Bytes of the findings that are written, the most severe first. One takes some 1.5 kB, and there
/// are not thousands of them.
pub(super) const FINDINGS_BYTES: usize = 4 << 20;
/// Bytes of the habits that are written. One takes some 0.3 kB.
pub(super) const HABITS_BYTES: usize = 1 << 20;
/// Bytes of the held paths that are written. The 2,048 that the engine follows take some 0.2 MB.
pub(super) const HELD_BYTES: usize = 1 << 20;

/// Content of the file. A reader takes findings as JSON first, so that one that it does not know
/// does not cost the others.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Content<Node, Finding, Habit, Key> {
    /// Version of the format.
    pub(super) version: u32,
    /// Node on which it was written.
    pub(super) node: Node,
    /// When it was written, on the node's clock.
    pub(super) alive_at: Wall,
    /// Active findings.
    pub(super) findings: Vec<Finding>,
    /// Habits of readers that the agent learned.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub(super) habits: Vec<Habit>,
    /// Paths that hold a token, or held one and still should. Earlier versions wrote none.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub(super) held: Vec<Key>,
}

/// The first of these as JSON, as many as fit into so many bytes.
pub(super) fn fitting<T: Serialize>(
    all: impl IntoIterator<Item = T>,
    bytes: usize,
) -> serde_json::Result<Vec<Box<RawValue>>> {
    let mut fitting = Vec::new();
    let mut left = bytes;
    for one in all {
        let text = serde_json::value::to_raw_value(&one)?;
        let length = text.get().len() + 1; // and a comma
        if length > left {
            break;
        }
        left -= length;
        fitting.push(text);
    }
    Ok(fitting)
}

/// Path of the state file in its directory.
pub(super) fn path_in(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

//! The format of the state file, shared by reading and writing: one JSON object.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::ledger::FILE;
pub(super) use tokenwatch_core::ledger::VERSION;

/// Bytes of the largest file that is read. A finding takes some 1.5 kB, and there are not thousands
/// of them.
pub(super) const MAX_BYTES: u64 = 4 << 20;

/// Content of the file. A reader takes findings as JSON first, so that one that it does not know
/// does not cost the others.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Content<Node, Finding, Habit> {
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
}

/// Path of the state file in its directory.
pub(super) fn path_in(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

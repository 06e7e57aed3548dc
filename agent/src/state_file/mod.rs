//! The state file: active findings on the node's disk, so that a restarted agent neither raises
//! them again nor forgets to clear them.
//!
//! It also holds which paths held a token, so that whatever takes the place of one is
//! reported after a restart, too.
//!
//! It holds only findings whose last alert was delivered. An alert that still waits for a collector
//! when the agent dies is raised again by the next agent ("at least once"). Findings contain no
//! byte of a token.

mod error;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod lock;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use error::Error;
pub use lock::{InUse, Lock, lock};
pub use read::{RestoredState, read, restore};
pub use write::{
    Change, Config, Delivery, LearnedSource, OwedSource, StateFile, changes, nothing_owed,
};

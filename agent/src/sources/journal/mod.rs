//! The journal of systemd (systemd.io/JOURNAL_FILE_FORMAT), read without systemd's library.
//!
//! journald only appends to the objects of a file, and counts an entry after it is complete. So the
//! count is read first, and then each entry that is new. All of it is read with pread(2): a file
//! that is truncated while it is mapped would end the agent (SIGBUS).
//!
//! - `file`: the header, and objects of bounded size;
//! - `entries`: the entries of one file, one after the other;
//! - `units`: of which units the messages are read;
//! - `compressed`: texts that systemd has compressed;
//! - `tail`: what was appended to one file, through rotations.

mod compressed;
mod entries;
mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod tail;
#[cfg(test)]
pub(super) mod tests;
mod units;

use std::path::PathBuf;

use super::logs::LogFiles;
pub(super) use tail::{Begin, JournalTail};
pub(super) use units::Units;

/// Where systemd keeps the journal of its units, with a disk and without one. journald renames a
/// file that is full, and writes another one under this name.
const FILES: [&str; 2] = ["/var/log/journal/*/system.journal", "/run/log/journal/*/system.journal"];

/// How to read the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// Mount point of the host's root file system.
    pub prefix: PathBuf,
    /// Units whose messages are read beside those that are known.
    pub units: Vec<String>,
}

impl JournalConfig {
    /// The files of the journal.
    pub(super) fn files(&self) -> LogFiles {
        LogFiles { prefix: self.prefix.clone(), paths: FILES.map(PathBuf::from).into() }
    }
}

//! What was appended to one file of the journal. A file that was renamed is read to its end before
//! the new one.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tokenwatch_core::base::time::Wall;

use super::entries::{BACKLOG, Entries, Now};
use super::file::JournalFile;
use super::units::Units;
use crate::sources::logs::tail::{Identity, KnownFiles, Turn, open};

/// Entries that are read before another file has its turn.
const MAX_TURN: u64 = 20_000;
/// Entries that a file may be ahead: some minutes of a node that logs 1,000 lines a second. Of a
/// file that is written faster than it is read, the rest is skipped.
const MAX_BACKLOG: u64 = 500_000;

/// One file, and how far it was read.
#[derive(Debug)]
pub(super) struct JournalTail {
    path: PathBuf,
    open: Option<Open>,
    /// Whether the file may have been there before: only its last entries are read.
    is_old: bool,
}

#[derive(Debug)]
struct Open {
    file: JournalFile,
    identity: Identity,
    entries: Entries,
}

impl JournalTail {
    pub(super) fn new(path: PathBuf, is_old: bool) -> Self {
        Self { path, open: None, is_old }
    }

    /// Whether there is a file.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Reads what was appended, and gives each message of kubelet away, with its time.
    pub(super) fn read(
        &mut self,
        (prefix, known): (&Path, &mut KnownFiles),
        units: &Units,
        now: Wall,
        mut take: impl FnMut(&[u8], Wall),
    ) -> io::Result<Turn> {
        let read = self.open.as_mut().map(|open| open.read(units, &mut take)).transpose();
        let has_more = read.as_ref().is_ok_and(|turn| turn.is_some_and(|turn| turn.has_more));
        // A file that cannot be read may have been replaced.
        if has_more || !self.renew(prefix, known, now)? {
            return read.map(Option::unwrap_or_default);
        }
        let Some(open) = &mut self.open else { return Ok(Turn::default()) };
        let next = open.read(units, &mut take)?;
        let before = read.ok().flatten().unwrap_or_default();
        Ok(Turn { skipped: before.skipped + next.skipped, ..next })
    }

    /// Opens the file that is at the path now, if it is another one. Returns whether it is.
    fn renew(&mut self, prefix: &Path, known: &mut KnownFiles, now: Wall) -> io::Result<bool> {
        let file = match open(prefix, &self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (self.open, self.is_old) = (None, false);
                return Ok(false);
            }
            opened => opened?,
        };
        let found = file.metadata()?;
        let identity = (found.dev(), found.ino());
        if self.open.as_ref().is_some_and(|open| open.identity == identity) {
            return Ok(false);
        }
        let is_old = known.see(identity) || self.is_old;
        let since = if is_old { now - BACKLOG } else { Wall::from_nanos(0) };
        self.open = Some(Open::new(file, identity, since)?);
        self.is_old = false;
        Ok(true)
    }
}

impl Open {
    /// A file whose entries are read from `since` on.
    fn new(file: File, identity: Identity, since: Wall) -> io::Result<Self> {
        let (file, mut entries) = (JournalFile(file), Entries::default());
        let header = file.header()?;
        entries.seek(&file, header, since)?;
        Ok(Self { file, identity, entries })
    }

    /// Reads the entries that are new. One that is damaged is skipped.
    fn read(&mut self, units: &Units, take: &mut impl FnMut(&[u8], Wall)) -> io::Result<Turn> {
        let Self { file, entries, .. } = self;
        let header = file.header()?;
        if header.entries < entries.read {
            *entries = Entries::from(header.entries); // written again
        }
        let mut skipped = (header.entries - entries.read).saturating_sub(MAX_BACKLOG);
        entries.read += skipped;
        let end = header.entries.min(entries.read + MAX_TURN);
        while entries.read < end {
            match entries.next(Now { file, header, units }) {
                Ok(Some((message, at))) => take(&message, at),
                Ok(None) => {}
                Err(_) => skipped += 1,
            }
        }
        Ok(Turn { has_more: end < header.entries, skipped })
    }
}

//! What was appended to one file of the journal. A file that was renamed is read to its end before
//! the new one.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use tokenwatch_core::base::time::{Delta, Wall};

use super::entries::{Entries, Now};
use super::file::JournalFile;
use super::units::Units;
use crate::sources::logs::tail::{At, Identity, KnownFiles, Turn, identity_of};

/// Entries that are read before another file has its turn.
const MAX_TURN: u64 = 20_000;
/// Entries that a file may be ahead: some minutes of a node that logs 1,000 lines a second. Of a
/// file that is written faster than it is read, the rest is skipped.
const MAX_BACKLOG: u64 = 500_000;

/// Where reading begins in a file that exists when the agent starts.
#[derive(Clone, Copy, Debug)]
pub(in crate::sources) enum Begin {
    /// With the entries of so long before.
    Before(Delta),
    /// With the next entry, whatever the times of those before it.
    AtEnd,
}

/// One file, and how far it was read.
#[derive(Debug)]
pub(in crate::sources) struct JournalTail {
    path: PathBuf,
    open: Option<Open>,
    /// Whether the file may have been there before.
    is_old: bool,
    /// Where such a file is begun.
    begin: Begin,
}

#[derive(Debug)]
struct Open {
    file: JournalFile,
    identity: Identity,
    entries: Entries,
}

impl JournalTail {
    pub(in crate::sources) fn new(path: PathBuf, is_old: bool, begin: Begin) -> Self {
        Self { path, open: None, is_old, begin }
    }

    /// Whether there is a file.
    pub(in crate::sources) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Reads what was appended, and gives each message of these units away, with its time.
    pub(in crate::sources) fn read(
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
        let identity = self.open.as_ref().map(|open| open.identity);
        let (file, metadata) = match At::path(prefix, &self.path, identity)? {
            At::Missing => {
                (self.open, self.is_old) = (None, false);
                return Ok(false);
            }
            At::Same => return Ok(false),
            At::Other(file, metadata) => (file, metadata),
        };
        let identity = identity_of(&metadata);
        let is_old = known.see(identity) || self.is_old;
        self.open = Some(Open::new(file, identity, self.begin.since(is_old, now))?);
        self.is_old = false;
        Ok(true)
    }
}

impl Begin {
    /// From when on entries are read; none: from the end of the file on.
    fn since(self, is_old: bool, now: Wall) -> Option<Wall> {
        match self {
            Self::Before(_) | Self::AtEnd if !is_old => Some(Wall::from_nanos(0)),
            Self::Before(backlog) => Some(now - backlog),
            Self::AtEnd => None,
        }
    }
}

impl Open {
    /// A file whose entries are read from `since` on; none: from its end on.
    fn new(file: File, identity: Identity, since: Option<Wall>) -> io::Result<Self> {
        let file = JournalFile(file);
        let header = file.header()?;
        let mut entries = Entries::from(header.entries);
        if let Some(since) = since {
            entries.seek(&file, header, since)?;
        }
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

//! What was appended to one file. A file that was renamed is read to its end before the new one;
//! one that was truncated (copytruncate) is read from its beginning.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use tokenwatch_core::base::time::Wall;
use zeroize::Zeroize as _;

use super::lines::Lines;
use crate::discovery::inside;

/// Bytes of one read.
const CHUNK: usize = 64 << 10;
/// Bytes that are read at most before another file has its turn.
const MAX_TURN: u64 = 8 << 20;
/// Bytes that a file may be ahead. Of a file that is written faster than it is read, the rest is
/// skipped: a late report of who was refused helps nobody.
const MAX_BACKLOG: u64 = 64 << 20;

/// Files that are known by their inode: a file that was renamed is not read again under its new
/// name.
const MAX_KNOWN: usize = 128;

/// Nanoseconds of a second.
const NANOS: i64 = 1_000_000_000;

/// Device and inode.
pub(in crate::sources) type Identity = (u64, u64);

/// The files that were read, under any name. Oldest first.
#[derive(Debug, Default)]
pub(in crate::sources) struct KnownFiles(VecDeque<Identity>);

impl KnownFiles {
    /// Notes a file. Returns whether it was known.
    pub(in crate::sources) fn see(&mut self, identity: Identity) -> bool {
        let is_known = self.0.contains(&identity);
        if !is_known {
            self.0.push_back(identity);
            self.0.drain(..self.0.len().saturating_sub(MAX_KNOWN));
        }
        is_known
    }
}

/// A buffer for [`Tail::read`].
pub(in crate::sources) fn buffer() -> Box<[u8]> {
    vec![0; CHUNK].into_boxed_slice()
}

/// One file, and how far it was read.
#[derive(Debug)]
pub(in crate::sources) struct Tail {
    path: PathBuf,
    open: Option<Open>,
    lines: Lines,
    /// Whether the file may have been there before: it is read from its end on.
    is_old: bool,
    /// Bytes before the end that are read of such a file.
    backlog: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    identity: Identity,
    /// Bytes that were read.
    at: u64,
}

/// What a turn gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::sources) struct Turn {
    /// Whether there is more to read.
    pub(in crate::sources) has_more: bool,
    /// Bytes that were skipped.
    pub(in crate::sources) skipped: u64,
}

impl Tail {
    /// Of a file on the host. One that exists when the agent starts, `is_old`, is read from its end
    /// on.
    pub(in crate::sources) fn new(path: PathBuf, is_old: bool) -> Self {
        Self { path, open: None, lines: Lines::new(), is_old, backlog: 0 }
    }

    /// The same, and of a file that exists the last so many bytes are read, too.
    pub(in crate::sources) fn with_backlog(path: PathBuf, is_old: bool, backlog: u64) -> Self {
        Self { backlog, ..Self::new(path, is_old) }
    }

    /// When the file was last written.
    pub(in crate::sources) fn modified(&self) -> Option<Wall> {
        let metadata = self.open.as_ref()?.file.metadata().ok()?;
        let since = metadata.mtime().checked_mul(NANOS)?.checked_add(metadata.mtime_nsec())?;
        Some(Wall::from_nanos(since))
    }

    /// Whether there is a file.
    pub(in crate::sources) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Reads what was appended, and gives each line away. The error is that of opening or reading
    /// the file; a file that does not exist has none.
    pub(in crate::sources) fn read(
        &mut self,
        (prefix, known): (&Path, &mut KnownFiles),
        buffer: &mut [u8],
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<Turn> {
        let turn = self.read_open(buffer, &mut take)?;
        if turn.has_more || !self.renew(prefix, known)? {
            return Ok(turn);
        }
        let next = self.read_open(buffer, &mut take)?;
        Ok(Turn { skipped: turn.skipped + next.skipped, ..next })
    }

    /// Opens the file that is at the path now, if it is another one. Returns whether it is.
    fn renew(&mut self, prefix: &Path, known: &mut KnownFiles) -> io::Result<bool> {
        let identity = self.open.as_ref().map(|open| open.identity);
        let (file, found) = match At::path(prefix, &self.path, identity)? {
            At::Missing => {
                (self.open, self.is_old) = (None, false);
                return Ok(false);
            }
            At::Same => return Ok(false),
            At::Other(file, metadata) => (file, metadata),
        };
        let identity = identity_of(&found);
        // One byte before the end, so that a line end there is seen.
        let before = match (known.see(identity), self.is_old) {
            (true, _) => 1,
            (false, true) => self.backlog.max(1),
            (false, false) => found.len(),
        };
        let at = found.len().saturating_sub(before);
        self.begin(Open { file, identity, at });
        Ok(true)
    }

    fn begin(&mut self, open: Open) {
        self.lines.begin(open.at > 0);
        (self.open, self.is_old) = (Some(open), false);
    }

    /// Reads the file that is open, also if it is elsewhere now.
    fn read_open(&mut self, buffer: &mut [u8], take: &mut impl FnMut(&[u8])) -> io::Result<Turn> {
        let Some(open) = &mut self.open else { return Ok(Turn::default()) };
        let skipped = open.place(&mut self.lines)?;
        let end = open.at.saturating_add(MAX_TURN);
        while open.at < end {
            let length = open.file.read_at(buffer, open.at)?;
            if length == 0 {
                return Ok(Turn { has_more: false, skipped });
            }
            open.at += length as u64;
            self.lines.push(&buffer[..length], &mut *take);
            buffer[..length].zeroize();
        }
        Ok(Turn { has_more: true, skipped })
    }
}

impl Open {
    /// Goes to where reading continues. Returns how much that skips.
    fn place(&mut self, lines: &mut Lines) -> io::Result<u64> {
        let size = self.file.metadata()?.len();
        if size < self.at {
            self.at = 0;
            lines.begin(false);
        }
        let skipped = (size - self.at).saturating_sub(MAX_BACKLOG);
        if skipped > 0 {
            self.at += skipped;
            lines.begin(true);
        }
        Ok(skipped)
    }
}

/// What is at a path now, compared with the file that is open.
pub(in crate::sources) enum At {
    /// No file.
    Missing,
    /// The file that is open.
    Same,
    /// Another file.
    Other(File, Metadata),
}

impl At {
    /// What is at this path of the host.
    pub(in crate::sources) fn path(
        prefix: &Path,
        path: &Path,
        open: Option<Identity>,
    ) -> io::Result<Self> {
        let file = match opened(prefix, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Missing),
            opened => opened?,
        };
        let metadata = file.metadata()?;
        let is_same = open == Some(identity_of(&metadata));
        Ok(if is_same { Self::Same } else { Self::Other(file, metadata) })
    }
}

/// Device and inode of a file.
pub(in crate::sources) fn identity_of(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// Opens a regular file for reading. Nothing else is waited for, or read.
fn opened(prefix: &Path, path: &Path) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::from(inside::open(prefix, path, flags)?);
    let is_file = file.metadata()?.is_file();
    is_file.then_some(file).ok_or_else(|| io::Error::other("it is no regular file"))
}

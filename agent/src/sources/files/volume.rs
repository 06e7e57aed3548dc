//! One projected volume: which files are in it, which of them are tokens, and what changed since the last look.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, readlinkat};
use nix::sys::stat::{SFlag, fstatat};
use tokenwatch_core::observation::{FileContent, FileSeen, Observation};
use tokenwatch_core::time::Wall;
use tokenwatch_core::token::{TokenIdentity, TokenKey};

use super::reader::{Look, Other, Reader, Stamp};

/// A token's `path` has one or two components in practice; kubelet's limit is the length of a path.
const MAX_DEPTH: usize = 8;
/// ConfigMaps projected beside a token have a few dozen keys; etcd's 1.5 MB limit allows more, but not sensibly.
const MAX_FILES: usize = 1024;
/// A generation may be swapped while it is read; kubelet does so once a minute at most, so a second try succeeds.
const MAX_TRIES: usize = 8;
/// The link that kubelet's AtomicWriter renames into place (pkg/volume/util/atomic_writer.go).
pub(super) const DATA: &str = "..data";

/// What is remembered of a volume between two looks.
#[derive(Debug, Default)]
pub(super) struct Volume {
    generation: Option<Generation>,
    entries: Vec<Entry>,
    /// More files than are looked at.
    cut: bool,
    /// Why it could not be looked into last time.
    hidden: Option<Errno>,
}

/// The directory behind `..data`, as long as it is the same one.
#[derive(Debug)]
struct Generation {
    link: Stamp,
    target: PathBuf,
    directory: Stamp,
    /// Without sub-directories, so that the directory's own stamp tells when a file is added.
    flat: bool,
}

/// One file.
#[derive(Debug)]
struct Entry {
    /// As the pod sees it.
    path: PathBuf,
    held: Held,
    /// A token was here once: from then on, anything else in its place is a finding.
    was_token: bool,
}

#[derive(Debug, PartialEq)]
enum Held {
    /// Not yet looked at, or not to be had last time.
    Unknown,
    Token(TokenIdentity),
    Other(Stamp),
    /// What was reported of it.
    Bad(FileContent),
}

impl Held {
    fn is_reported(&self) -> bool {
        matches!(self, Held::Token(_) | Held::Bad(_))
    }
}

/// Whose volume it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner<'a> {
    pub(super) pod_uid: &'a str,
    pub(super) volume: &'a str,
}

impl Owner<'_> {
    fn key(self, path: &Path) -> TokenKey {
        TokenKey { pod_uid: self.pod_uid.to_owned(), volume: self.volume.to_owned(), path: path.to_string_lossy().into_owned() }
    }
}

/// What a look at a volume came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// Its content is known.
    Whole,
    /// There is nothing in it, or not yet.
    Empty,
}

/// A listing.
#[derive(Debug)]
struct Listing {
    paths: Vec<PathBuf>,
    flat: bool,
    cut: bool,
}

/// The place that is listed and read: a generation's directory, or the volume itself where there is no `..data`.
struct Place<'a> {
    fd: BorrowedFd<'a>,
    /// Relative to `fd`: `..2026_…`, or empty.
    base: &'a Path,
    written_at: Option<Wall>,
}

impl Volume {
    /// How many tokens it has.
    pub(super) fn tokens(&self) -> usize {
        self.entries.iter().filter(|entry| entry.was_token || entry.held.is_reported()).count()
    }

    /// Whether it has more files than are looked at.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Why it looks as if something were kept from the agent: an error, or nothing in it.
    pub(super) fn is_suspicious(&self) -> bool {
        self.hidden.is_some() || self.entries.is_empty()
    }

    /// Why it could not be looked into last time.
    pub(super) fn hidden_by(&self) -> Option<Errno> {
        self.hidden
    }

    /// Looks, and pushes what changed. Err: the volume itself cannot be looked into.
    pub(super) fn look(
        &mut self,
        fd: BorrowedFd<'_>,
        reader: &mut Reader,
        owner: Owner<'_>,
        out: &mut Vec<Observation>,
    ) -> nix::Result<Looked> {
        self.hidden = None;
        for _ in 0..MAX_TRIES {
            let before = data_link(fd)?;
            match self.try_look(fd, before, reader, owner, out) {
                Err(Errno::ENOENT | Errno::ESTALE | Errno::ENOTDIR) => self.generation = None,
                result => return result,
            }
            if data_link(fd)? == before && before.is_some() {
                return Err(Errno::ENOENT); // nobody swapped it: `..data` leads nowhere
            }
        }
        Ok(Looked::Whole) // swapped faster than it can be read: what is known stays true, and the next event is on its way
    }

    /// ENOENT: something vanished in between, so the generation was swapped.
    fn try_look(
        &mut self,
        fd: BorrowedFd<'_>,
        link: Option<Stamp>,
        reader: &mut Reader,
        owner: Owner<'_>,
        out: &mut Vec<Observation>,
    ) -> nix::Result<Looked> {
        self.refresh(fd, link, reader, owner, out)?;
        let base = self.generation.as_ref().map(|generation| generation.target.clone()).unwrap_or_default();
        let place = Place { fd, base: &base, written_at: link.map(|link| Wall::from_nanos(link.changed_nanos())) };
        for entry in &mut self.entries {
            entry.look(&place, reader, owner, out)?;
        }
        Ok(if self.entries.is_empty() { Looked::Empty } else { Looked::Whole })
    }

    /// Lists again unless it is the same flat generation as before.
    fn refresh(
        &mut self,
        fd: BorrowedFd<'_>,
        link: Option<Stamp>,
        reader: &mut Reader,
        owner: Owner<'_>,
        out: &mut Vec<Observation>,
    ) -> nix::Result<()> {
        if self.generation.as_ref().is_some_and(|known| Some(known.link) == link && known.is_unchanged(fd)) {
            return Ok(());
        }
        let target = link.map(|_| readlinkat(fd, DATA).map(PathBuf::from)).transpose()?;
        let target = target.filter(|target| target.components().count() == 1);
        let directory = target.as_deref().map(|target| stamp(fd, target)).transpose()?;
        let listing = list(fd, target.as_deref().unwrap_or(Path::new("")), reader)?;
        // kubelet empties an old generation only after it has renamed the link: a listing under a changed link may lack files.
        if data_link(fd)? != link {
            return Err(Errno::ENOENT);
        }
        self.generation = match (link, target, directory) {
            (Some(link), Some(target), Some(directory)) => Some(Generation { link, target, directory, flat: listing.flat }),
            _ => None,
        };
        self.cut = listing.cut;
        self.replace(listing.paths, owner, out);
        Ok(())
    }

    /// Takes the new listing; what was reported and is no longer there is gone.
    fn replace(&mut self, paths: Vec<PathBuf>, owner: Owner<'_>, out: &mut Vec<Observation>) {
        let mut before = std::mem::take(&mut self.entries).into_iter().peekable();
        for path in paths {
            while let Some(gone) = before.next_if(|entry| entry.path < path) {
                gone.gone(owner, out);
            }
            let entry = before.next_if(|entry| entry.path == path);
            self.entries.push(entry.unwrap_or_else(|| Entry::new(path)));
        }
        before.for_each(|gone| gone.gone(owner, out));
    }

    /// The volume is no longer there.
    pub(super) fn gone(self, owner: Owner<'_>, out: &mut Vec<Observation>) {
        self.entries.into_iter().for_each(|entry| entry.gone(owner, out));
    }

    /// The volume is there and cannot be looked into: what was known to be in it cannot be read any more.
    pub(super) fn hide(&mut self, errno: Errno, owner: Owner<'_>, out: &mut Vec<Observation>) {
        self.generation = None;
        self.hidden = Some(errno);
        for entry in self.entries.iter_mut().filter(|entry| entry.held.is_reported()) {
            entry.bad(FileContent::Unreadable { reason: said("open the volume", errno) }, None, owner, out);
        }
    }
}

impl Generation {
    fn is_unchanged(&self, fd: BorrowedFd<'_>) -> bool {
        self.flat && stamp(fd, &self.target).is_ok_and(|now| now == self.directory)
    }
}

impl Entry {
    fn new(path: PathBuf) -> Self {
        Self { path, held: Held::Unknown, was_token: false }
    }

    fn gone(self, owner: Owner<'_>, out: &mut Vec<Observation>) {
        if self.held.is_reported() {
            out.push(Observation::Gone(owner.key(&self.path)));
        }
    }

    fn look(&mut self, place: &Place<'_>, reader: &mut Reader, owner: Owner<'_>, out: &mut Vec<Observation>) -> nix::Result<()> {
        let at = place.base.join(&self.path);
        if matches!(self.held, Held::Other(known) if stamp(place.fd, &at) == Ok(known)) {
            return Ok(());
        }
        match reader.look(place.fd, &at) {
            Look::Token(token) => {
                let identity = token.identity();
                if self.held != Held::Token(identity) {
                    let content = FileContent::Token(Box::new(token.to_claims()));
                    out.push(seen(owner.key(&self.path), place.written_at, content));
                }
                (self.held, self.was_token) = (Held::Token(identity), true);
            }
            Look::Malformed(malformed) => self.bad(malformed_because(&malformed.to_string()), place.written_at, owner, out),
            Look::Other(_, other) if self.was_token => self.bad(malformed_because(not_any_more(other)), place.written_at, owner, out),
            Look::Other(stamp, _) => self.other(stamp, owner, out),
            Look::Refused(_) if self.was_token => {
                self.bad(malformed_because("it is no regular file within its volume any more"), place.written_at, owner, out);
            }
            Look::Refused(_) => {}
            Look::Unreadable(_, errno) if is_own_limit(errno) => return Err(errno),
            Look::Unreadable(step, errno) => {
                self.bad(FileContent::Unreadable { reason: said(step, errno) }, place.written_at, owner, out);
            }
            Look::Vanished => return Err(Errno::ENOENT),
        }
        Ok(())
    }

    fn other(&mut self, stamp: Stamp, owner: Owner<'_>, out: &mut Vec<Observation>) {
        if self.held.is_reported() {
            out.push(Observation::Gone(owner.key(&self.path)));
        }
        self.held = Held::Other(stamp);
    }

    /// Says it once.
    fn bad(&mut self, content: FileContent, written_at: Option<Wall>, owner: Owner<'_>, out: &mut Vec<Observation>) {
        let held = Held::Bad(content);
        if self.held == held {
            return;
        }
        if let Held::Bad(content) = &held {
            out.push(seen(owner.key(&self.path), written_at, content.clone()));
        }
        self.held = held;
    }
}

fn seen(key: TokenKey, written_at: Option<Wall>, content: FileContent) -> Observation {
    Observation::File(FileSeen { key, written_at, content })
}

fn malformed_because(reason: &str) -> FileContent {
    FileContent::Malformed { reason: reason.to_owned() }
}

fn not_any_more(other: Other) -> &'static str {
    match other {
        Other::Empty => "the file is empty",
        Other::Legacy => "a Secret-based token stands where a bound token was",
        Other::Foreign => "it holds something else than a token, and held one before",
    }
}

/// `open: Permission denied (EACCES)`
fn said(step: &str, errno: Errno) -> String {
    format!("{step}: {} ({errno:?})", errno.desc())
}

/// Not the file's fault: the agent ran out of something.
pub(super) fn is_own_limit(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)
}

/// `..data` itself, if it is a link.
fn data_link(fd: BorrowedFd<'_>) -> nix::Result<Option<Stamp>> {
    match fstatat(fd, DATA, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(is_link(stat.st_mode).then(|| Stamp::of(&stat))),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn is_link(mode: u32) -> bool {
    mode & SFlag::S_IFMT.bits() == SFlag::S_IFLNK.bits()
}

pub(super) fn stamp(fd: BorrowedFd<'_>, path: &Path) -> nix::Result<Stamp> {
    fstatat(fd, path, AtFlags::AT_SYMLINK_NOFOLLOW).map(|stat| Stamp::of(&stat))
}

/// Every file below `base`, sorted, in bounded depth and number.
fn list(volume: BorrowedFd<'_>, base: &Path, reader: &mut Reader) -> nix::Result<Listing> {
    let mut listing = Listing { paths: Vec::new(), flat: true, cut: false };
    let mut todo = vec![(PathBuf::new(), 0)];
    while let Some((directory, depth)) = todo.pop() {
        let at = if base.as_os_str().is_empty() && directory.as_os_str().is_empty() { PathBuf::from(".") } else { base.join(&directory) };
        let opened = reader.directory(volume, &at)?;
        for entry in Dir::from_fd(opened)?.iter() {
            let entry = entry?;
            let name = Path::new(std::ffi::OsStr::from_bytes(entry.file_name().to_bytes()));
            if is_internal(name, base, &directory) {
                continue;
            }
            if listing.paths.len() + todo.len() >= MAX_FILES {
                listing.cut = true;
                break;
            }
            let path = directory.join(name);
            match kind(volume, &at.join(name), entry.file_type()) {
                Some(Type::File) => listing.paths.push(path),
                Some(Type::Symlink) if reader.leads_to_file(volume, &at.join(name)) => listing.paths.push(path),
                Some(Type::Directory) if depth < MAX_DEPTH => todo.push((path, depth + 1)),
                Some(Type::Directory) => listing.cut = true,
                _ => {}
            }
            listing.flat &= todo.is_empty() && depth == 0;
        }
    }
    listing.paths.sort_unstable();
    Ok(listing)
}

/// `.`, `..`, and at the top of a volume what the AtomicWriter keeps there for itself: `..data`, `..2026_…`.
fn is_internal(name: &Path, base: &Path, directory: &Path) -> bool {
    let top = base.as_os_str().is_empty() && directory.as_os_str().is_empty();
    let bytes = name.as_os_str().as_bytes();
    bytes == b"." || bytes == b".." || (top && bytes.starts_with(b".."))
}

/// Some file systems do not tell the kind in a listing.
fn kind(volume: BorrowedFd<'_>, path: &Path, listed: Option<Type>) -> Option<Type> {
    if listed.is_some() {
        return listed;
    }
    let stat = fstatat(volume.as_fd(), path, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
    match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => Some(Type::File),
        SFlag::S_IFDIR => Some(Type::Directory),
        SFlag::S_IFLNK => Some(Type::Symlink),
        _ => None,
    }
}

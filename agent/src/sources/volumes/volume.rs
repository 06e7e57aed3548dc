//! One projected volume: which files are in it, which of them are tokens, and what changed since
//! the last look.

use std::ffi::{CStr, OsStr};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::dir::Type;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{SFlag, fstat, fstatat};
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::observation::{FileContent, FileSeen, Observation};
use tokenwatch_core::world::tokens::{TokenIdentity, TokenKey};

use super::listing;
use super::settled::{Moment, Settled};
use crate::sources::tokens::{At, Look, Other, Reader, Stamp};
use crate::sys;

/// A token's `path` has one or two components in practice; kubelet's limit is the length of a path.
const MAX_DEPTH: usize = 8;
/// ConfigMaps projected beside a token have a few dozen keys; etcd's 1.5 MB limit allows more, but
/// not sensibly.
const MAX_FILES: usize = 1024;
/// A generation may be swapped while it is read; kubelet does so once a minute at most, so a second
/// try succeeds.
const MAX_TRIES: usize = 8;
/// The link that kubelet's AtomicWriter renames into place (pkg/volume/util/atomic_writer.go).
pub(super) const DATA: &str = "..data";
const DATA_C: &CStr = c"..data";
/// A single name has 255 bytes at most (NAME_MAX): what fills this is no name, or is cut.
const MAX_TARGET: usize = 256;

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

/// The directory behind `..data`, as long as it is the same one. Only one without sub-directories
/// is remembered: its own stamp tells when a file is added.
#[derive(Debug)]
struct Generation {
    link: Settled,
    target: PathBuf,
    directory: Settled,
}

/// One file.
#[derive(Debug)]
struct Entry {
    /// As the pod sees it.
    path: PathBuf,
    held: Held,
    /// As long as this holds, it need not be read again.
    settled: Option<Settled>,
    /// A token was here once: from then on, anything else in its place is a finding.
    was_token: bool,
}

#[derive(Debug, PartialEq)]
enum Held {
    /// Not yet looked at, or not to be had last time.
    Unknown,
    Token(TokenIdentity),
    Other,
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
        TokenKey {
            pod_uid: self.pod_uid.to_owned(),
            volume: self.volume.to_owned(),
            path: path.to_string_lossy().into_owned(),
        }
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
    /// Links that lead out of the volume.
    outward: Vec<PathBuf>,
    /// Not yet listed themselves.
    directories: Vec<PathBuf>,
    /// Without sub-directories.
    flat: bool,
    cut: bool,
}

/// The place that is read.
struct Place<'a> {
    at: At<'a>,
    written_at: Option<Wall>,
    moment: Moment,
}

/// What a look needs to know and to have.
#[derive(Debug)]
pub(super) struct Looking<'a> {
    pub(super) reader: &'a mut Reader,
    pub(super) owner: Owner<'a>,
    pub(super) moment: Moment,
    pub(super) out: &'a mut Vec<Observation>,
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

    /// Whether what was read of the volume `name` in `parent` is what is there now: told by stamps
    /// alone, nothing is opened. `path` is room for paths.
    pub(super) fn is_unchanged(
        &self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        path: &mut PathBuf,
        moment: Moment,
    ) -> bool {
        let Some(generation) = self.generation.as_ref().filter(|_| self.hidden.is_none()) else {
            return false;
        };
        path.as_mut_os_string().clear();
        path.push(name);
        path.push(DATA);
        let same_link = generation.link.holds(stamp(parent, path), moment);
        path.pop();
        path.push(&generation.target);
        same_link
            && generation.directory.holds(stamp(parent, path), moment)
            && !self.entries.is_empty()
            && self.entries.iter().all(|entry| entry.is_unchanged(parent, path, moment))
    }

    /// Looks, and pushes what changed. Err: the volume itself cannot be looked into.
    pub(super) fn look(
        &mut self,
        fd: BorrowedFd<'_>,
        looking: &mut Looking<'_>,
    ) -> nix::Result<Looked> {
        self.hidden = None;
        for _ in 0..MAX_TRIES {
            let before = data_link(fd)?;
            self.generation = None;
            match self.try_look(fd, before, looking) {
                Err(Errno::ENOENT | Errno::ESTALE | Errno::ENOTDIR) => {}
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
        volume: BorrowedFd<'_>,
        link: Option<Stamp>,
        looking: &mut Looking<'_>,
    ) -> nix::Result<Looked> {
        let target = link.map(|_| data_target(volume)).transpose()?.flatten();
        let base = target.as_deref().unwrap_or(Path::new("."));
        let opened = looking.reader.directory(volume, base);
        if let Some(link) = link
            && let Some(reason) = astray(volume, target.as_deref(), &opened, looking.reader)
        {
            return Ok(self.distrust(reason, link, looking));
        }
        let opened = opened?;
        let at = At { volume, base, directory: opened.as_fd() };
        let directory = Stamp::of(&fstat(at.directory)?);
        let flat = self.list(at, link, looking)?;
        let written_at = link.map(written_at);
        let place = Place { at, written_at, moment: looking.moment };
        self.entries.iter_mut().try_for_each(|entry| entry.look(&place, looking))?;
        self.generation = link
            .zip(target.filter(|_| flat))
            .and_then(|(link, target)| generation(link, target, directory, looking.moment));
        Ok(if self.entries.is_empty() { Looked::Empty } else { Looked::Whole })
    }

    /// Takes `..data` for a token that cannot be read: what is behind it may be anybody's.
    fn distrust(&mut self, reason: &str, link: Stamp, looking: &mut Looking<'_>) -> Looked {
        self.cut = false;
        self.replace(vec![PathBuf::from(DATA)], looking);
        let written_at = Some(written_at(link));
        for entry in &mut self.entries {
            entry.bad(
                FileContent::Unreadable { reason: reason.to_owned() },
                written_at,
                looking.owner,
                looking.out,
            );
        }
        Looked::Whole
    }

    /// Takes what is in the directory; whether it has no sub-directories.
    fn list(
        &mut self,
        at: At<'_>,
        link: Option<Stamp>,
        looking: &mut Looking<'_>,
    ) -> nix::Result<bool> {
        let mut listing = list(at, looking.reader)?;
        // kubelet empties an old generation only after it has renamed the link: a listing under a
        // changed link may lack files.
        if data_link(at.volume)? != link {
            return Err(Errno::ENOENT);
        }
        self.cut = listing.cut;
        // Such a link is nobody's business, unless it stands where a token was.
        listing
            .outward
            .retain(|path| self.entries.iter().any(|entry| entry.was_token && entry.path == *path));
        listing.paths.append(&mut listing.outward);
        listing.paths.sort_unstable();
        self.replace(listing.paths, looking);
        Ok(listing.flat)
    }

    /// Takes the new listing; what was reported and is no longer there is gone.
    fn replace(&mut self, paths: Vec<PathBuf>, looking: &mut Looking<'_>) {
        if self.entries.iter().map(|entry| &entry.path).eq(&paths) {
            return;
        }
        let mut before = std::mem::take(&mut self.entries).into_iter().peekable();
        for path in paths {
            while let Some(gone) = before.next_if(|entry| entry.path < path) {
                gone.gone(looking.owner, looking.out);
            }
            let entry = before.next_if(|entry| entry.path == path);
            self.entries.push(entry.unwrap_or_else(|| Entry::new(path)));
        }
        before.for_each(|gone| gone.gone(looking.owner, looking.out));
    }

    /// The volume is no longer there.
    pub(super) fn gone(self, owner: Owner<'_>, out: &mut Vec<Observation>) {
        self.entries.into_iter().for_each(|entry| entry.gone(owner, out));
    }

    /// The volume is there and cannot be looked into: what was known to be in it cannot be read any
    /// more.
    pub(super) fn hide(&mut self, errno: Errno, looking: &mut Looking<'_>) {
        self.generation = None;
        self.hidden = Some(errno);
        for entry in self.entries.iter_mut().filter(|entry| entry.held.is_reported()) {
            entry.bad(
                FileContent::Unreadable { reason: said("open the volume", errno) },
                None,
                looking.owner,
                looking.out,
            );
        }
    }
}

/// kubelet renames the link into place.
fn written_at(link: Stamp) -> Wall {
    Wall::from_nanos(link.changed_nanos())
}

/// Why the link `..data` is not followed, if it is not: it leads out of the volume, or to a link
/// instead of a generation. kubelet's never does.
fn astray(
    volume: BorrowedFd<'_>,
    target: Option<&Path>,
    opened: &nix::Result<OwnedFd>,
    reader: &mut Reader,
) -> Option<&'static str> {
    match (target, opened) {
        (Some(_), Err(Errno::ELOOP)) => Some(
            "it leads to another link and was not followed (ELOOP); kubelet makes no such link: \
             find out who did",
        ),
        (None, _) if reader.leads_out(volume, Path::new(DATA)) => Some(
            "it leads out of the volume and was not followed (EXDEV); kubelet makes no such link: \
             find out who did",
        ),
        _ => None,
    }
}

/// What is remembered of a generation, if its stamps tell of every change.
fn generation(
    link: Stamp,
    target: PathBuf,
    directory: Stamp,
    moment: Moment,
) -> Option<Generation> {
    Some(Generation {
        link: Settled::of(link, moment)?,
        target,
        directory: Settled::of(directory, moment)?,
    })
}

/// A single name, neither `.` nor `..`.
fn is_name(path: &Path) -> bool {
    let mut components = path.components();
    matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
}

impl Entry {
    fn new(path: PathBuf) -> Self {
        Self { path, held: Held::Unknown, settled: None, was_token: false }
    }

    fn gone(self, owner: Owner<'_>, out: &mut Vec<Observation>) {
        if self.held.is_reported() {
            out.push(Observation::Gone(owner.key(&self.path)));
        }
    }

    /// Whether it is what was read of it, below `directory` in `parent`.
    fn is_unchanged(
        &self,
        parent: BorrowedFd<'_>,
        directory: &mut PathBuf,
        moment: Moment,
    ) -> bool {
        let Some(settled) = self.settled else { return false };
        directory.push(&self.path);
        let holds = settled.holds(stamp(parent, directory), moment);
        directory.pop();
        holds
    }

    fn look(&mut self, place: &Place<'_>, looking: &mut Looking<'_>) -> nix::Result<()> {
        if self
            .settled
            .is_some_and(|known| known.holds(stamp(place.at.directory, &self.path), place.moment))
        {
            return Ok(());
        }
        self.settled = None;
        let written_at = place.written_at;
        match looking.reader.look(&place.at, &self.path) {
            Look::Token(stamp, token) => {
                let identity = token.identity();
                if self.held != Held::Token(identity) {
                    let content = FileContent::Token(Box::new(token.to_claims()));
                    looking.out.push(seen(looking.owner.key(&self.path), written_at, content));
                }
                (self.held, self.was_token) = (Held::Token(identity), true);
                self.settled = Settled::of(stamp, place.moment);
            }
            Look::Malformed(malformed) => self.bad(
                malformed_because(&malformed.to_string()),
                written_at,
                looking.owner,
                looking.out,
            ),
            Look::Other(_, other) if self.was_token => {
                self.bad(
                    malformed_because(not_any_more(other)),
                    written_at,
                    looking.owner,
                    looking.out,
                );
            }
            Look::Other(stamp, _) => {
                self.other(Settled::of(stamp, place.moment), looking.owner, looking.out)
            }
            Look::Refused(_) if self.was_token => {
                self.bad(
                    malformed_because("it is no regular file within its volume any more"),
                    written_at,
                    looking.owner,
                    looking.out,
                );
            }
            Look::Refused(_) => {}
            Look::Unreadable(_, errno) if is_own_limit(errno) => return Err(errno),
            Look::Unreadable(step, errno) => {
                self.bad(
                    FileContent::Unreadable { reason: said(step, errno) },
                    written_at,
                    looking.owner,
                    looking.out,
                );
            }
            Look::Vanished => return Err(Errno::ENOENT),
        }
        Ok(())
    }

    fn other(&mut self, settled: Option<Settled>, owner: Owner<'_>, out: &mut Vec<Observation>) {
        if self.held.is_reported() {
            out.push(Observation::Gone(owner.key(&self.path)));
        }
        (self.held, self.settled) = (Held::Other, settled);
    }

    /// Says it once.
    fn bad(
        &mut self,
        content: FileContent,
        written_at: Option<Wall>,
        owner: Owner<'_>,
        out: &mut Vec<Observation>,
    ) {
        self.settled = None;
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

/// Where `..data` leads, if that is a single name: kubelet's are.
fn data_target(fd: BorrowedFd<'_>) -> nix::Result<Option<PathBuf>> {
    let mut buffer = [0; MAX_TARGET];
    let target = sys::readlinkat(fd, DATA_C, &mut buffer)?;
    let path = Path::new(OsStr::from_bytes(target));
    Ok((target.len() < MAX_TARGET && is_name(path)).then(|| path.to_owned()))
}

fn is_link(mode: u32) -> bool {
    mode & SFlag::S_IFMT.bits() == SFlag::S_IFLNK.bits()
}

pub(super) fn stamp(fd: BorrowedFd<'_>, path: &Path) -> nix::Result<Stamp> {
    fstatat(fd, path, AtFlags::AT_SYMLINK_NOFOLLOW).map(|stat| Stamp::of(&stat))
}

/// Every file in and below a directory, in bounded depth and number.
fn list(at: At<'_>, reader: &mut Reader) -> nix::Result<Listing> {
    let mut buffer = std::mem::take(&mut reader.names);
    let listed = list_into(at, reader, &mut buffer);
    reader.names = buffer;
    listed
}

fn list_into(at: At<'_>, reader: &mut Reader, buffer: &mut [u8]) -> nix::Result<Listing> {
    let mut listing = Listing {
        paths: Vec::new(),
        outward: Vec::new(),
        directories: Vec::new(),
        flat: true,
        cut: false,
    };
    listing::each(at.directory, buffer, |name, kind| {
        listing.take(at, Path::new(""), name, kind, reader)
    })?;
    listing.flat = listing.directories.is_empty();
    while let Some(below) = listing.directories.pop() {
        let opened: OwnedFd = reader.directory(at.directory, &below)?;
        listing::each(opened.as_fd(), buffer, |name, kind| {
            listing.take(at, &below, name, kind, reader)
        })?;
    }
    Ok(listing)
}

impl Listing {
    /// Takes one name of the directory `below`; Break, when there are too many.
    fn take(
        &mut self,
        at: At<'_>,
        below: &Path,
        name: &OsStr,
        kind: Option<Type>,
        reader: &mut Reader,
    ) -> ControlFlow<()> {
        let is_top = below.as_os_str().is_empty();
        if is_top && at.base == Path::new(".") && is_internal(name) {
            return ControlFlow::Continue(());
        }
        if self.paths.len() + self.outward.len() + self.directories.len() >= MAX_FILES {
            self.cut = true;
            return ControlFlow::Break(());
        }
        let path = if is_top { PathBuf::from(name) } else { below.join(name) };
        match kind.or_else(|| self::kind(at.directory, &path)) {
            Some(Type::File) => self.paths.push(path),
            Some(Type::Symlink) if reader.leads_to_file(at.volume, &at.base.join(&path)) => {
                self.paths.push(path)
            }
            Some(Type::Symlink) if reader.leads_out(at.volume, &at.base.join(&path)) => {
                self.outward.push(path)
            }
            Some(Type::Directory) if path.components().count() <= MAX_DEPTH => {
                self.directories.push(path)
            }
            Some(Type::Directory) => self.cut = true,
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// At the top of a volume, what the AtomicWriter keeps there for itself: `..data`, `..2026_…`.
fn is_internal(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"..")
}

/// Some file systems do not tell the kind in a listing.
fn kind(directory: BorrowedFd<'_>, path: &Path) -> Option<Type> {
    let stat = fstatat(directory, path, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
    match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => Some(Type::File),
        SFlag::S_IFDIR => Some(Type::Directory),
        SFlag::S_IFLNK => Some(Type::Symlink),
        _ => None,
    }
}

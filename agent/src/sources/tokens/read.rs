//! The one file that reads token files. It follows nothing out of the volume, never blocks, and
//! wipes its buffer after each file.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, SFlag, fstat, fstatat};
use tokenwatch_core::world::tokens::{
    Claims, Decoded, LegacyClaims, MAX_TOKEN_BYTES, Malformed, ParsedToken, Scratch, Signature,
    TokenIdentity, decode,
};
use zeroize::Zeroize;

use super::TokenBytes;
use super::open::{Links, Opener};
use crate::sources::own_opens::OwnOpens;
use crate::sources::signatures::{KeyRing, SharedKeys, Signed};

/// One byte more than a token may have, so that a longer file is recognised.
const BUFFER_BYTES: usize = MAX_TOKEN_BYTES + 1;
/// Room for some 200 names: the pods directory of a full node is listed in two calls, a volume in
/// one. The kernel needs at least 280 bytes.
const NAMES_BYTES: usize = 8 * 1024;

/// Reads token files, one at a time, into one buffer that is wiped after each.
pub struct Reader {
    opener: Opener,
    buffer: Box<[u8]>,
    scratch: Scratch,
    /// Buffer for directory entries; taken out while it is used.
    pub(crate) names: Box<[u8]>,
    own_opens: OwnOpens,
    keys: Keys,
    /// Files opened for reading.
    #[cfg(test)]
    pub(crate) opened: usize,
}

/// The public keys against which signatures are checked.
#[derive(Debug, Default)]
struct Keys {
    shared: SharedKeys,
    /// Those of the last refresh.
    ring: Arc<KeyRing>,
}

/// A signature that was checked: of which file, with which content, and against which keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    stamp: Stamp,
    identity: TokenIdentity,
    /// Version of the keys.
    keys: u64,
    /// What the check showed.
    pub signature: Signature,
}

impl Checked {
    /// The version of the keys against which it was checked.
    pub(crate) fn keys(&self) -> u64 {
        self.keys
    }
}

/// Where a file is: in an open directory, which is `base` within an open volume.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The volume; nothing out of it is followed.
    pub volume: BorrowedFd<'a>,
    /// Path of the directory in the volume: `..2026_…`, or `.` for the volume itself.
    pub base: &'a Path,
    /// The directory at `base`.
    pub directory: BorrowedFd<'a>,
}

/// The step that failed, and its error.
type Failed = (&'static str, Errno);

/// What a file contains.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // lives on the stack; a box would be an allocation per file
pub enum Look<'a> {
    /// A bound service-account token, valid until the reader is used again, the stamp by which a
    /// change of the file is noticed, and what its signature shows, if there are keys.
    Token(Stamp, ParsedToken<'a>, Option<Checked>),
    /// Something else, and its stamp.
    Other(Stamp, Other),
    /// It starts like a token and does not parse.
    Malformed(Malformed),
    /// It does not exist any more: normal while kubelet swaps generations.
    Vanished,
    /// Not a regular file, or a link that leads out of the volume. It was not opened.
    Refused(Errno),
    /// It exists and cannot be read: the step that failed, and its error.
    Unreadable(&'static str, Errno),
}

/// What a file without a bound token contains, as far as it matters where a token used to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Other {
    /// Nothing.
    Empty,
    /// A Secret-based token, and whose it is.
    Legacy(Box<LegacyClaims>),
    /// A key, a ConfigMap, somebody else's JWT.
    Foreign,
}

/// Why a file of the host is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is a directory, a named pipe, a socket or a device.
    NotAFile,
    /// It is longer than a token may be.
    TooLong,
    /// The system call failed.
    Failed(Errno),
}

impl From<Errno> for Unread {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile => f.write_str("it is no regular file"),
            Self::TooLong => {
                write!(f, "it is longer than {} KiB, and not read", MAX_TOKEN_BYTES / 1024)
            }
            Self::Failed(errno) => write!(f, "{} ({errno:?})", errno.desc()),
        }
    }
}

/// Identity and change time of an inode. `sources::volumes` documents what an equal stamp proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    dev: u64,
    ino: u64,
    size: i64,
    ctime: (i64, i64),
}

impl Stamp {
    /// The stamp of a file's status.
    pub fn of(stat: &FileStat) -> Self {
        Self {
            dev: stat.st_dev,
            ino: stat.st_ino,
            size: stat.st_size,
            ctime: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// The ctime: when the inode last changed, or a link was last renamed, in nanoseconds since the
    /// epoch on the node's clock.
    pub fn changed_nanos(&self) -> i64 {
        self.ctime.0.saturating_mul(1_000_000_000).saturating_add(self.ctime.1)
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// A reader with its buffers.
    pub fn new() -> Self {
        Self {
            opener: Opener::new(),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            scratch: Scratch::new(),
            names: vec![0; NAMES_BYTES].into_boxed_slice(),
            own_opens: OwnOpens::default(),
            keys: Keys::default(),
            #[cfg(test)]
            opened: 0,
        }
    }

    /// Notes each open for reading there from now on.
    pub(crate) fn note_opens(&mut self, own_opens: OwnOpens) {
        self.own_opens = own_opens;
    }

    /// Checks signatures against these keys from now on.
    pub(crate) fn check_signatures(&mut self, keys: SharedKeys) {
        self.keys = Keys { ring: keys.current(), shared: keys };
    }

    /// Takes the keys that were published meanwhile. Returns their version; zero if there are none.
    pub(crate) fn refresh_keys(&mut self) -> u64 {
        if self.keys.shared.version() != self.keys.ring.version() {
            self.keys.ring = self.keys.shared.current();
        }
        self.keys.ring.version()
    }

    /// The version of the keys against which signatures are checked; zero if there are none.
    pub(crate) fn keys_version(&self) -> u64 {
        self.keys.ring.version()
    }

    /// Opens a directory beneath another for listing. Follows no link. Where nobody notes it,
    /// twice: so an agent on this node knows that it is not kubelet.
    pub(crate) fn directory(&mut self, dir: BorrowedFd<'_>, path: &Path) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let mut open = || self.opener.open(dir, path, flags, Links::Refuse);
        if !self.own_opens.are_kept() {
            drop(open()?);
        }
        self.own_opens.noted(open)
    }

    /// Opens a directory beneath another as a starting point (O_PATH). Follows no link.
    pub(crate) fn place(&mut self, dir: BorrowedFd<'_>, path: &Path) -> nix::Result<OwnedFd> {
        self.opener.open(dir, path, OFlag::O_PATH | OFlag::O_DIRECTORY, Links::Refuse)
    }

    /// Reads and decodes a file. Follows links within the volume, and none that leads out of it.
    /// Checks the signature of a token, unless it is the one that was `known` with the same keys.
    pub fn look(&mut self, at: &At<'_>, path: &Path, known: Option<Checked>) -> Look<'_> {
        let (stat, length) = match self.fetch_at(at, path) {
            Ok(fetched) => fetched,
            Err((step, errno)) => return failed(step, errno),
        };
        let stamp = Stamp::of(&stat);
        let decoded = decode(&self.buffer[..length], &mut self.scratch);
        let checked = match &decoded {
            Decoded::Token(token) => {
                checked(&self.keys.ring, &self.buffer[..length], token, (stamp, known))
            }
            Decoded::Legacy(_) | Decoded::Other | Decoded::Malformed(_) => None,
        };
        self.buffer[..length].zeroize();
        found(decoded, stamp, checked, length == 0)
    }

    /// The bytes of a token, if the file holds the one with these claims.
    pub(crate) fn bytes(
        &mut self,
        at: &At<'_>,
        path: &Path,
        claims: &Claims,
    ) -> Option<TokenBytes> {
        let (_, length) = self.fetch_at(at, path).ok()?;
        let is_it = match decode(&self.buffer[..length], &mut self.scratch) {
            Decoded::Token(token) => token.is(claims),
            Decoded::Legacy(_) | Decoded::Other | Decoded::Malformed(_) => false,
        };
        let bytes = is_it.then(|| TokenBytes::copied(&self.buffer[..length]));
        self.buffer[..length].zeroize();
        bytes
    }

    /// Reads an open file of the host, and passes its bytes and its stamp on. They are wiped
    /// afterwards.
    pub(crate) fn contents<T>(
        &mut self,
        file: BorrowedFd<'_>,
        take: impl FnOnce(&[u8], Stamp) -> T,
    ) -> Result<T, Unread> {
        let stat = fstat(file)?;
        if !is_regular(&stat) {
            return Err(Unread::NotAFile);
        }
        let length = fill(&mut self.buffer, file, stat.st_size)?;
        let is_whole = length < BUFFER_BYTES;
        let taken = is_whole.then(|| take(&self.buffer[..length], Stamp::of(&stat)));
        self.buffer[..length].zeroize();
        taken.ok_or(Unread::TooLong)
    }

    /// Opens a plain file, which is what kubelet writes, from its directory. Only a link is
    /// resolved from the volume.
    fn fetch_at(&mut self, at: &At<'_>, path: &Path) -> Result<(FileStat, usize), Failed> {
        match self.fetch(at.directory, path, Links::Refuse) {
            Err((_, Errno::ELOOP)) => self.fetch(at.volume, &at.base.join(path), Links::Beneath),
            fetched => fetched,
        }
    }

    /// Reads a file into the buffer. Returns its status and the number of bytes read.
    fn fetch(
        &mut self,
        beneath: BorrowedFd<'_>,
        path: &Path,
        links: Links,
    ) -> Result<(FileStat, usize), Failed> {
        let file = self.open(beneath, path, links).map_err(|errno| ("open", errno))?;
        let stat = fstat(&file).map_err(|errno| ("stat", errno))?;
        if !is_regular(&stat) {
            return Err(("open", Errno::EXDEV));
        }
        let filled = fill(&mut self.buffer, file.as_fd(), stat.st_size);
        filled.map(|length| (stat, length)).map_err(|errno| ("read", errno))
    }

    fn open(&mut self, dir: BorrowedFd<'_>, path: &Path, links: Links) -> nix::Result<OwnedFd> {
        #[cfg(test)]
        {
            self.opened += 1;
        }
        self.own_opens.noted(|| self.opener.open(dir, path, OFlag::O_RDONLY, links))
    }

    /// Whether the link `path` leads to a regular file within the volume. The file itself is not
    /// opened: opening a device can have side effects.
    pub(crate) fn leads_to_file(&mut self, volume: BorrowedFd<'_>, path: &Path) -> bool {
        let target = self.opener.open(volume, path, OFlag::O_PATH, Links::Beneath);
        target.and_then(fstat).is_ok_and(|stat| is_regular(&stat))
    }

    /// Whether `path` of the volume, as a container sees it, leads to the file at `path` of the
    /// open directory. None is opened. An error: there is no such path in the volume, or the agent
    /// cannot tell.
    pub(crate) fn shows(&mut self, at: &At<'_>, path: &Path) -> nix::Result<bool> {
        let mut id = |path: &Path| {
            let target = self.opener.open(at.volume, path, OFlag::O_PATH, Links::Beneath)?;
            fstat(&target).map(|stat| (stat.st_dev, stat.st_ino))
        };
        let plain = fstatat(at.directory, path, AtFlags::AT_SYMLINK_NOFOLLOW);
        let plain = plain.ok().filter(is_regular).map(|stat| (stat.st_dev, stat.st_ino));
        match (id(path), plain.map_or_else(|| id(&at.base.join(path)), Ok)) {
            (Ok(shown), Ok(real)) => Ok(shown == real),
            (Err(Errno::EXDEV | Errno::ELOOP | Errno::ENOTDIR), Ok(_)) => Ok(false),
            (Err(errno), _) | (_, Err(errno)) => Err(errno),
        }
    }

    /// Whether the link `path` leads out of the volume, whether or not its target exists.
    pub(crate) fn leads_out(&mut self, volume: BorrowedFd<'_>, path: &Path) -> bool {
        matches!(self.opener.open(volume, path, OFlag::O_PATH, Links::Beneath), Err(Errno::EXDEV))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader(wiped)")
    }
}

fn is_regular(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFREG
}

/// Reads until `size` bytes, the end of the file (which may have been truncated) or the end of the
/// buffer.
fn fill(buffer: &mut [u8], file: BorrowedFd<'_>, size: i64) -> nix::Result<usize> {
    let wanted = usize::try_from(size).unwrap_or(0).min(buffer.len());
    let mut length = 0;
    while length < wanted {
        match nix::unistd::read(file, &mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(Errno::EINTR) => {}
            Err(errno) => return wiped(&mut buffer[..length], errno),
        }
    }
    Ok(length)
}

fn wiped(buffer: &mut [u8], errno: Errno) -> nix::Result<usize> {
    buffer.zeroize();
    Err(errno)
}

/// What the signature of the token in `bytes` shows. One that was checked is not checked again.
fn checked(
    keys: &KeyRing,
    bytes: &[u8],
    token: &ParsedToken<'_>,
    (stamp, known): (Stamp, Option<Checked>),
) -> Option<Checked> {
    let identity = token.identity();
    let is_known = |known: &Checked| {
        (known.stamp, known.identity, known.keys) == (stamp, identity, keys.version())
    };
    if let Some(known) = known.filter(is_known) {
        return Some(known);
    }
    let signature = keys.check(Signed::of(bytes, token))?;
    Some(Checked { stamp, identity, keys: keys.version(), signature })
}

fn found(decoded: Decoded<'_>, stamp: Stamp, checked: Option<Checked>, is_empty: bool) -> Look<'_> {
    match decoded {
        Decoded::Token(token) => Look::Token(stamp, token, checked),
        Decoded::Malformed(malformed) => Look::Malformed(malformed),
        Decoded::Legacy(claims) => Look::Other(stamp, Other::Legacy(Box::new(claims))),
        Decoded::Other if is_empty => Look::Other(stamp, Other::Empty),
        Decoded::Other => Look::Other(stamp, Other::Foreign),
    }
}

fn failed(step: &'static str, errno: Errno) -> Look<'static> {
    match errno {
        Errno::ENOENT | Errno::ESTALE | Errno::ENOTDIR => Look::Vanished,
        // A link out of the volume; too many links; a socket, or a device without driver.
        Errno::EXDEV | Errno::ELOOP | Errno::ENXIO | Errno::ENODEV | Errno::EISDIR => {
            Look::Refused(errno)
        }
        _ => Look::Unreadable(step, errno),
    }
}

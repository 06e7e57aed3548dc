//! The group of fanotify(7) whose events name directories and entries, and hold nothing open: an
//! event with a descriptor would keep a mount busy until it is read, and so a stopped agent would
//! keep kubelet from unmounting a volume (`docs/design.md`).

use std::fmt;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};

/// FAN_REPORT_DIR_FID and FAN_REPORT_NAME (Linux 5.9): events name a directory and its entry. nix
/// does not know these bits.
const NAMES: u32 = 0x400 | 0x800;

/// The group. It stays usable after CAP_SYS_ADMIN was given up: the kernel then refuses marks on
/// mounts and file systems, but not on directories.
#[derive(Debug)]
pub struct Group(Fanotify);

/// Why the kernel provides no group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It forbids it: seccomp, or a user namespace.
    Forbidden,
    /// It is too old.
    Kernel,
    /// Too many groups exist.
    Limit,
    /// Another error.
    Other(Errno),
}

impl From<Errno> for Refused {
    fn from(error: Errno) -> Self {
        match error {
            Errno::EPERM | Errno::EACCES => Self::Forbidden,
            Errno::EINVAL | Errno::ENOSYS => Self::Kernel,
            Errno::EMFILE | Errno::ENFILE => Self::Limit,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden => f.write_str(
                "seccomp forbids fanotify_init, or CAP_SYS_ADMIN is that of a user namespace",
            ),
            Self::Kernel => f.write_str("it needs Linux 5.13 or later"),
            Self::Limit => f.write_str(
                "no group is left for this user; raise fs.fanotify.max_user_groups (sysctl)",
            ),
            Self::Other(error) => write!(f, "fanotify_init: {error}"),
        }
    }
}

impl std::error::Error for Refused {}

/// Why a directory cannot be marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MarkError {
    /// It does not exist, or no longer.
    Missing,
    /// The user has no mark left.
    Limit,
    /// The file system has no identity for events: tmpfs before Linux 5.13.
    Unsupported,
    /// Another error.
    Other(Errno),
}

impl From<Errno> for MarkError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ESTALE => Self::Missing,
            Errno::ENOSPC => Self::Limit,
            Errno::ENODEV | Errno::EOPNOTSUPP | Errno::EXDEV => Self::Unsupported,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for MarkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the directory does not exist"),
            Self::Limit => f.write_str(
                "no fanotify mark is left for this user; raise fs.fanotify.max_user_marks (sysctl)",
            ),
            Self::Unsupported => f.write_str("fanotify on tmpfs needs Linux 5.13 or later"),
            Self::Other(error) => write!(f, "fanotify: {error}"),
        }
    }
}

impl Group {
    /// Creates it, for which the kernel wants CAP_SYS_ADMIN. Its queue is bounded (16384 events).
    pub fn open() -> Result<Self, Refused> {
        let flags = InitFlags::FAN_CLASS_NOTIF
            | InitFlags::FAN_CLOEXEC
            | InitFlags::FAN_NONBLOCK
            | InitFlags::FAN_UNLIMITED_MARKS // or in a user namespace it would be one without pids
            | InitFlags::from_bits_retain(NAMES);
        let group = Fanotify::init(flags, EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC)?;
        Ok(Self(group))
    }

    /// Asks for these events of a directory, and keeps those asked for before. Opens nothing.
    pub(super) fn mark(&self, directory: &Path, events: u64) -> Result<(), MarkError> {
        let flags =
            MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_ONLYDIR | MarkFlags::FAN_MARK_DONT_FOLLOW;
        let events = MaskFlags::from_bits_retain(events);
        Ok(self.0.mark(flags, events, AT_FDCWD, Some(directory))?)
    }

    /// Waits for an event, at most this long. An error ends the wait early.
    pub(super) fn wait(&self, longest: Duration) {
        let timeout = PollTimeout::try_from(longest).unwrap_or(PollTimeout::MAX);
        let _ = poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], timeout);
    }

    /// Reads events into the buffer; their bytes, of which there are none if the queue is empty.
    pub(super) fn read<'a>(&self, buffer: &'a mut [u8]) -> nix::Result<&'a [u8]> {
        match nix::unistd::read(self.0.as_fd(), buffer) {
            Ok(length) => Ok(&buffer[..length]),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(&[]),
            Err(error) => Err(error),
        }
    }
}

//! Open directories, and the stamps of what is in them.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::stat::{Mode, fstat, fstatat};

use crate::sources::tokens::Stamp;
use crate::sources::volumes::layout;

/// An open directory, or why it cannot be opened.
pub(super) type Opened<'a> = nix::Result<BorrowedFd<'a>>;

/// The descriptor of what is open, as often as it is needed.
pub(super) fn fd<F: AsFd>(opened: &nix::Result<F>) -> Opened<'_> {
    opened.as_ref().map(AsFd::as_fd).map_err(|errno| *errno)
}

pub(super) fn stamp(open: BorrowedFd<'_>) -> nix::Result<Stamp> {
    fstat(open).map(|stat| Stamp::of(&stat))
}

/// The stamp of a path itself: a link is not followed.
pub(super) fn stamp_at(directory: BorrowedFd<'_>, path: &Path) -> nix::Result<Stamp> {
    fstatat(directory, path, AtFlags::AT_SYMLINK_NOFOLLOW).map(|stat| Stamp::of(&stat))
}

/// Opens the directory of a root's pods. What is no directory is not waited for.
pub(super) fn open_pods(root: &Path) -> nix::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    open(&layout::pods(root), flags, Mode::empty()).map(File::from)
}

/// Whether an error is due to a limit of the agent itself rather than to the file.
pub(super) fn is_own_limit(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)
}

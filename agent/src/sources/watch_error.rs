//! Why inotify does not watch a directory, and how to raise the limit that was reached.

use std::fmt;
use std::io;

use nix::libc::{ELOOP, EMFILE, ENFILE, ENOENT, ENOSPC, ENOTDIR};
use notify::ErrorKind;

/// Why a directory is not watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WatchError {
    /// There is no such directory.
    Missing,
    /// The user has no inotify watch left.
    NoWatches,
    /// The user has no inotify instance left, or the process no file descriptor.
    NoInstances,
    /// Another error.
    Other(String),
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the directory does not exist"),
            Self::NoWatches => f.write_str(
                "no inotify watches are left for this user; raise fs.inotify.max_user_watches \
                 (sysctl)",
            ),
            Self::NoInstances => f.write_str(
                "no inotify instance is left for this user; raise fs.inotify.max_user_instances \
                 (sysctl), or the limit of open files",
            ),
            Self::Other(reason) => write!(f, "inotify: {reason}"),
        }
    }
}

impl From<io::Error> for WatchError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(ENOENT | ENOTDIR | ELOOP) => Self::Missing,
            Some(ENOSPC) => Self::NoWatches,
            Some(EMFILE | ENFILE) => Self::NoInstances,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<notify::Error> for WatchError {
    fn from(error: notify::Error) -> Self {
        match error.kind {
            ErrorKind::MaxFilesWatch => Self::NoWatches,
            ErrorKind::PathNotFound => Self::Missing,
            ErrorKind::Io(io) => io.into(),
            _ => Self::Other(error.to_string()),
        }
    }
}

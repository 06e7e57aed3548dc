//! The error of this room.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A file of the proc file system cannot be read or has an unexpected format.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    reason: String,
    kind: Option<io::ErrorKind>,
}

impl Error {
    pub(super) fn new(path: impl Into<PathBuf>, reason: &dyn fmt::Display) -> Self {
        Self { path: path.into(), reason: reason.to_string(), kind: None }
    }

    pub(super) fn io(path: impl Into<PathBuf>, error: &io::Error) -> Self {
        Self { kind: Some(error.kind()), ..Self::new(path, error) }
    }

    /// Whether the kernel refused the access. If not, the process has most likely ended.
    pub fn is_denied(&self) -> bool {
        self.kind == Some(io::ErrorKind::PermissionDenied)
    }

    /// Whether there is no such file.
    pub(super) fn is_missing(&self) -> bool {
        self.kind == Some(io::ErrorKind::NotFound)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for Error {}

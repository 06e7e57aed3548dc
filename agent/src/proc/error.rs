//! The error of this room.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A file of the proc file system cannot be read or has an unexpected format.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    reason: String,
    is_denied: bool,
}

impl Error {
    pub(super) fn new(path: impl Into<PathBuf>, reason: &dyn fmt::Display) -> Self {
        Self { path: path.into(), reason: reason.to_string(), is_denied: false }
    }

    pub(super) fn io(path: impl Into<PathBuf>, error: &io::Error) -> Self {
        let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
        Self { is_denied, ..Self::new(path, error) }
    }

    /// Whether the kernel refused the access. If not, the process has most likely ended.
    pub fn is_denied(&self) -> bool {
        self.is_denied
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for Error {}

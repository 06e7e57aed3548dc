//! The error of this room.

use std::fmt;
use std::path::PathBuf;

/// A file of the proc file system cannot be read or has an unexpected format.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    reason: String,
}

impl Error {
    pub(super) fn new(path: impl Into<PathBuf>, reason: &dyn fmt::Display) -> Self {
        Self { path: path.into(), reason: reason.to_string() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for Error {}

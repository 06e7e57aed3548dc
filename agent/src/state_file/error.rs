//! Errors of the state file: what failed, on which file, why, what the agent does instead, and what
//! the reader can do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use tokenwatch_core::base::text::shown;

use super::format::{MAX_BYTES, VERSION};

/// Why the state file, or one finding in it, cannot be used.
#[derive(Debug)]
pub enum Error {
    /// The file exists and cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// The file is larger than any that the agent writes.
    TooLarge(PathBuf),
    /// The file does not have the format of a state file.
    Format {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        error: serde_json::Error,
    },
    /// The file has another version of the format.
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The file was written on another node.
    OtherNode {
        /// The file.
        path: PathBuf,
        /// That node.
        node: String,
    },
    /// One finding in the file is unknown to this version of the agent.
    UnknownFinding {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        error: serde_json::Error,
    },
    /// The file cannot be written.
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
}

impl Error {
    /// The kind of an error of the operating system.
    pub(super) fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Read { error, .. } | Self::Write { error, .. } => Some(error.kind()),
            Self::TooLarge(_)
            | Self::Format { .. }
            | Self::Version { .. }
            | Self::OtherNode { .. }
            | Self::UnknownFinding { .. } => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what(f)?;
        match self {
            Self::Read { .. }
            | Self::TooLarge(_)
            | Self::Format { .. }
            | Self::Version { .. }
            | Self::OtherNode { .. } => f.write_str(RAISED_AGAIN),
            Self::UnknownFinding { .. } => f.write_str(RAISED_IF),
            Self::Write { error, .. } if is_forbidden(error) => write!(f, "{NOT_SAVED}{RESTART}"),
            Self::Write { .. } => f.write_str(NOT_SAVED),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. }
            | Self::TooLarge(path)
            | Self::Format { path, .. }
            | Self::Version { path, .. }
            | Self::OtherNode { path, .. }
            | Self::UnknownFinding { path, .. }
            | Self::Write { path, .. } => path,
        }
    }

    /// What failed, without what follows from it.
    fn what(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().display();
        match self {
            Self::Read { error, .. } => write!(f, "cannot read {path}: {error}"),
            Self::TooLarge(_) => write!(f, "{path} is larger than {} MiB", MAX_BYTES >> 20),
            Self::Format { error, .. } => {
                write!(f, "{path} is not a state file ({})", shown(&error.to_string()))
            }
            Self::Version { found, .. } => {
                write!(f, "{path} has version {found}, and this agent reads version {VERSION}")
            }
            Self::OtherNode { node, .. } => write!(f, "{path} was written on node {}", shown(node)),
            Self::UnknownFinding { error, .. } => {
                write!(f, "{path}{UNKNOWN} ({})", shown(&error.to_string()))
            }
            Self::Write { error, .. } => write!(f, "cannot write {path}: {error}"),
        }
    }
}

const UNKNOWN: &str = " holds a finding that this version does not know";
const RAISED_AGAIN: &str = "; active findings are raised again";
const RAISED_IF: &str = "; it is raised again if it still applies";
const NOT_SAVED: &str = "; after a restart the agent will raise active findings again; it retries \
                         every minute";
/// Confinement allows one directory, chosen at start: another directory of the same name is a
/// different one.
const RESTART: &str =
    "; if the directory was recreated or mounted after the agent started, restart the agent";

fn is_forbidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

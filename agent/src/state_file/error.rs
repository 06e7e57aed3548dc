//! Errors of the state file: what failed, on which file, why, what the agent does instead, and what
//! the reader can do.

use std::fmt;
use std::io;
use std::path::PathBuf;

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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } => {
                write!(f, "cannot read {}: {error}{RAISED_AGAIN}", path.display())
            }
            Self::TooLarge(path) => {
                let limit = MAX_BYTES >> 20;
                write!(f, "{} is larger than {limit} MiB{RAISED_AGAIN}", path.display())
            }
            Self::Format { path, error } => {
                write!(f, "{} is not a state file ({error}){RAISED_AGAIN}", path.display())
            }
            Self::Version { path, found } => write!(
                f,
                "{} has version {found}, and this agent reads version {VERSION}{RAISED_AGAIN}",
                path.display()
            ),
            Self::OtherNode { path, node } => {
                let node = shown(node);
                write!(f, "{} was written on node {node}{RAISED_AGAIN}", path.display())
            }
            Self::UnknownFinding { path, error } => write!(
                f,
                "{} holds a finding that this version does not know ({error}); it is raised again \
                 if it still applies",
                path.display()
            ),
            Self::Write { path, error } => {
                let hint = if is_forbidden(error) { RESTART } else { "" };
                write!(f, "cannot write {}: {error}{NOT_SAVED}{hint}", path.display())
            }
        }
    }
}

impl std::error::Error for Error {}

const RAISED_AGAIN: &str = "; active findings are raised again";
const NOT_SAVED: &str = "; after a restart the agent will raise active findings again; it retries \
                         every minute";
/// Confinement allows one directory, chosen at start: another directory of the same name is a
/// different one.
const RESTART: &str =
    "; if the directory was recreated or mounted after the agent started, restart the agent";

fn is_forbidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

//! Why a piece of the laboratory failed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a piece of the laboratory failed.
#[derive(Debug)]
pub enum Error {
    /// A file or directory of a kubelet root could not be read, written or removed.
    Files {
        /// The volume, the pod's directory or the root.
        path: PathBuf,
        /// The operating system's reason.
        why: io::Error,
    },
    /// A temporary directory could not be made.
    Scratch {
        /// Where.
        parent: PathBuf,
        /// The operating system's reason.
        why: io::Error,
    },
    /// A server could not listen.
    Listen {
        /// Which server.
        server: &'static str,
        /// The operating system's reason.
        why: io::Error,
    },
    /// No signing key could be made. ring does not give a reason.
    Key,
    /// A token could not be signed. ring does not give a reason.
    Signature,
}

impl Error {
    /// Turns an I/O error on `path` into one of these.
    pub(crate) fn files(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |why| Self::Files { path, why }
    }

    /// Turns an I/O error of `server`'s socket into one of these.
    pub(crate) fn listen(server: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |why| Self::Listen { server, why }
    }

    /// The operating system's reason, where there is one.
    pub fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Files { why, .. } | Self::Scratch { why, .. } | Self::Listen { why, .. } => {
                Some(why)
            }
            Self::Key | Self::Signature => None,
        }
    }
}

const SET_TMPDIR: &str = "set TMPDIR to a directory that is writable";
const NO_RANDOM: &str = "the system provides no random bytes";

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { path, why } => {
                write!(f, "cannot change files below {}: {why}", path.display())
            }
            Self::Scratch { parent, why } => {
                let parent = parent.display();
                write!(f, "cannot make a temporary directory in {parent}: {why}; {SET_TMPDIR}")
            }
            Self::Listen { server, why } => write!(f, "the {server} cannot listen: {why}"),
            Self::Key => write!(f, "cannot make a signing key: {NO_RANDOM}"),
            Self::Signature => write!(f, "cannot sign a token: {NO_RANDOM}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.io().map(|why| why as _)
    }
}

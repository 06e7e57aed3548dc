//! The one room that reads the proc file system (proc(5)): processes, mounts, and this process
//! itself. Files of cgroups are read here, too, as soon as something needs them.
//!
//! Everything returned is typed; what a value means is decided by the caller.

mod error;
mod mounts;
mod own;
mod processes;

use std::path::{Path, PathBuf};

pub use error::Error;
pub use mounts::MountWatch;
pub use own::{
    Capabilities, Usage, descriptor_path, is_in_initial_pid_namespace, own_capabilities, own_usage,
};
pub use processes::Process;

/// A proc file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcFs {
    root: PathBuf,
}

impl Default for ProcFs {
    /// The one of this mount namespace, `/proc`.
    fn default() -> Self {
        Self::at(Path::new("/proc"))
    }
}

impl ProcFs {
    /// The one mounted at `root`; or, for tests, a directory with the same files.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }
}

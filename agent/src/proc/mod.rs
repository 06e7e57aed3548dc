//! The one room that reads the proc file system (proc(5)): processes with their containers, mounts
//! and connections, and this process itself.
//!
//! Everything returned is typed; what a value means is decided by the caller.

mod cgroup;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod limits;
mod mountinfo;
mod mounts;
mod opener;
mod opens;
mod own;
mod pids;
mod processes;
mod read;
mod sockets;
mod stat;

use std::path::{Path, PathBuf};

pub use cgroup::InContainer;
pub use error::Error;
pub use mountinfo::{Device, Mount};
pub use mounts::MountWatch;
pub use opener::OpenerProcess;
pub use opens::{TcpCounters, Traffic};
pub use own::{
    Capabilities, Usage, descriptor_path, ignores, is_in_initial_pid_namespace, own_capabilities,
    own_usage,
};
pub use pids::{Instance, Network};
pub use processes::Process;
pub use sockets::{Connection, ConnectionState};
pub use stat::Stat;

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

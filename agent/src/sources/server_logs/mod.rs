//! The logs of an API server on this node: its own log, and its audit log. The settings name them
//! (`apiserver.logs`), and only a control-plane node has any.
//!
//! - `places`: the files that the settings name, by patterns too;
//! - `watches`: inotify watches on them, and on the directories in which they appear;
//! - `tail`: what was appended to one file, through rotations;
//! - `lines`: whole lines of bounded length, without the prefix of the container runtime (CRI);
//! - `logged`: what one line shows, with the formats in `klog`, `json` and `reason`;
//! - `gather`: what a report has.
//!
//! An audit log of level RequestResponse has the tokens of TokenReview and TokenRequest. The
//! buffers are wiped, the JSON parser skips what nobody asks for, and no name that is kept can be a
//! token (`name`).

mod follow;
mod gather;
mod json;
mod klog;
mod lines;
mod logged;
mod name;
mod places;
mod reason;
mod tail;
#[cfg(test)]
mod tests;
mod watches;

use std::path::PathBuf;

pub use follow::run;
use tokenwatch_core::world::refusals::{Accepted, RefusalReason, Suspect};

/// Where the logs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLogsConfig {
    /// Mount point of the host's root file system. `paths` are below it.
    pub prefix: PathBuf,
    /// The files on the host, by patterns too (glob(7)).
    pub paths: Vec<PathBuf>,
}

/// What one line shows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Logged {
    /// A request was refused (server's log).
    Refused(RefusalReason),
    /// Who sent a request that was refused.
    Suspect(Suspect),
    /// A request was refused, and nothing shows who sent it (audit log).
    RefusedUnnamed,
    /// A request was accepted (audit log).
    Accepted(Accepted),
}

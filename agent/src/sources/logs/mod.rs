//! What the sources that read logs of the host have in common.
//!
//! - `places`: the files that the settings name, by patterns too;
//! - `watches`: inotify watches on them, and on the directories in which they appear;
//! - `follow`: reads each file at each event, through rotations;
//! - `tail`: what was appended to one file of text;
//! - `lines`: whole lines of bounded length, without the prefix of the container runtime (CRI);
//! - `docker`: the lines of Docker's log files;
//! - `klog`: the header of a line in klog's text form;
//! - `time`: when a line was written;
//! - `name`: names that are kept of a line.
//!
//! A log may have tokens. The buffers are wiped, and no name that is kept can be a token.

mod docker;
pub(super) mod follow;
pub(super) mod klog;
pub(super) mod lines;
pub(super) mod name;
pub(super) mod places;
pub(super) mod tail;
pub(super) mod time;
mod watches;

use std::path::PathBuf;

/// Where logs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFiles {
    /// Mount point of the host's root file system. `paths` are below it.
    pub prefix: PathBuf,
    /// The files on the host, by patterns too (glob(7)).
    pub paths: Vec<PathBuf>,
}

//! Who reads the tokens: one module for each level of evidence.
//!
//! - `opens`, level `files`: inotify tells the opens of clients from those of kubelet, and `statfs`
//!   how many replaced generations somebody still holds. It needs no further privilege, and names
//!   no process.
//! - `processes`, level `hostPID`: what the processes of a pod have mounted, and whether they use
//!   the API server.
//! - `fanotify`, level `fanotify`: the process of each open.

pub mod fanotify;
mod opens;
pub mod processes;

pub use opens::run;

//! Who reads the tokens: one module for each level of evidence.
//!
//! - `opens`, level `files`: inotify tells the opens of clients from those of kubelet, and `statfs`
//!   how many replaced generations somebody still holds. It needs no further privilege, and names
//!   no process.
//! - `fanotify`, level `fanotify`: the process of each open.

pub mod fanotify;
mod opens;

pub use opens::run;

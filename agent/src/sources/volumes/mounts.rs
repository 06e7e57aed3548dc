//! A volume's tmpfs is mounted over a directory that was there before: no inotify event tells. The
//! kernel tells whoever polls mountinfo.

use std::fs::File;
use std::io;

use tokenwatch_core::world::observation::{Observation, SourceState};
use tokio::io::Interest;

use super::hints::Hint;
use super::watch::Hints;
use crate::sys;

/// Hints at every change of the mounts of this mount namespace; returns only where that cannot be
/// had, and then rescans must do.
pub(super) async fn follow(hints: &Hints) {
    let opened = File::open("/proc/self/mountinfo").and_then(|file| sys::changing(file.into()));
    let Ok(mountinfo) = opened else { return };
    while let Ok(mut ready) = mountinfo.ready(Interest::PRIORITY).await {
        ready.clear_ready();
        hints.give(Hint::Mounts);
    }
}

/// No thread, no observations: said, so that nobody takes silence for health.
pub(super) fn cannot_start(error: &io::Error) -> Observation {
    let degraded = Some(format!("no thread for reading token files: {error}"));
    Observation::Source(SourceState { source: "files".to_owned(), degraded })
}

//! A volume's tmpfs is mounted over a directory that was there before: no inotify event tells. The kernel tells whoever polls mountinfo.

use std::fs::File;
use std::io;

use tokenwatch_core::observation::{Observation, SourceState};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::hints::Hint;
use super::watch::Hints;

/// Hints at every change of the mounts of this mount namespace; returns only where that cannot be had, and then rescans must do.
pub(super) async fn follow(hints: &Hints) {
    let Ok(mountinfo) = open() else { return };
    loop {
        match mountinfo.ready(Interest::PRIORITY | Interest::ERROR).await {
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => return,
        }
        hints.give(Hint::Mounts);
    }
}

/// POLLPRI and POLLERR say that it changed (proc(5)).
fn open() -> io::Result<AsyncFd<File>> {
    Ok(AsyncFd::register_with_interest(File::open("/proc/self/mountinfo")?, Interest::PRIORITY | Interest::ERROR)?)
}

/// No thread, no observations: said, so that nobody takes silence for health.
pub(super) fn cannot_start(error: &io::Error) -> Observation {
    let degraded = Some(format!("no thread for reading token files: {error}"));
    Observation::Source(SourceState { source: "files".to_owned(), degraded })
}

//! The state that the previous agent saved, and the right to its directory.

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use tracing::warn;

use crate::state_file::{self, InUse, Lock, RestoredState};

/// Time limit, with the 20 s that another agent has to end. A disk answers within milliseconds; one
/// that hangs must not keep the agent from watching tokens.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was saved.
#[derive(Debug, Default)]
pub(super) struct Saved {
    pub(super) lock: Option<Lock>,
    pub(super) state: RestoredState,
}

/// Takes the directory, and then reads what is in it. Blocks for as long as the time limit.
pub(super) fn take(directory: Option<PathBuf>, node: &str) -> Result<Saved, InUse> {
    let Some(directory) = directory else { return Ok(Saved::default()) };
    let (sender, taken) = channel();
    let (of, node) = (directory.clone(), node.to_owned());
    let thread = std::thread::Builder::new().name("state".to_owned());
    // Without a thread the channel is closed at once, as after the time limit.
    let started = thread.spawn(move || drop(sender.send(take_now(&of, &node))));
    if let Err(error) = started {
        warn!(%error, "no thread for reading the state file: active findings are raised again");
        return Ok(Saved::default());
    }
    taken.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let (path, limit) = (directory.display(), PATIENCE.as_secs());
        warn!(
            %path, limit,
            "the state directory does not answer; continuing without it, and active findings are \
             raised again; look for a file system that hangs"
        );
        Ok(Saved::default())
    })
}

fn take_now(directory: &Path, node: &str) -> Result<Saved, InUse> {
    // First the lock: the other agent may still write.
    let lock = state_file::lock(directory)?;
    Ok(Saved { lock, state: state_file::restore(directory, node) })
}

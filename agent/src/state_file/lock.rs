//! One agent for each state directory: two would replace each other's file, and each would raise
//! again what the other has raised.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::sys::stat::Mode;
use tokenwatch_core::base::text::shown;
use tracing::{info, warn};

use crate::clocks;

/// How long to wait for the other agent to end. One that kubelet replaces has 15 s
/// (`terminationGracePeriodSeconds` of the chart).
const PATIENCE: Duration = Duration::from_secs(20);
/// Time between two attempts.
const RETRY: Duration = Duration::from_millis(200);

/// The right to the directory, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code)] Flock<OwnedFd>);

/// Another agent uses the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    directory: PathBuf,
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "another tokenwatch agent uses {} (state.dir), and has not ended within {} s: this one \
             stops, because two would raise the same findings; stop the other one, or give this \
             one a directory of its own",
            shown(&self.directory.to_string_lossy()),
            PATIENCE.as_secs()
        )
    }
}

impl std::error::Error for InUse {}

/// Takes the directory, and waits a while for an agent that ends. Blocks. Nothing where there is no
/// such directory, or its file system has no locks: that must not keep the agent from its work.
pub fn lock(directory: &Path) -> Result<Option<Lock>, InUse> {
    within(directory, PATIENCE)
}

fn within(directory: &Path, patience: Duration) -> Result<Option<Lock>, InUse> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let Ok(mut opened) = open(directory, flags, Mode::empty()) else { return Ok(None) };
    let (begun, mut is_first) = (clocks::timer(), true);
    loop {
        match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Some(Lock(lock))),
            Err((back, Errno::EWOULDBLOCK)) => opened = back,
            Err((_, error)) => {
                let path = directory.display();
                warn!(%path, %error, "the state directory cannot be locked; continuing without");
                return Ok(None);
            }
        }
        if clocks::timer() - begun >= patience {
            return Err(InUse { directory: directory.to_owned() });
        }
        if std::mem::take(&mut is_first) {
            let path = directory.display();
            info!(%path, "another agent uses the state directory; waiting up to 20 s for its end");
        }
        std::thread::sleep(RETRY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_waits_for_the_first_and_then_stops() {
        let folder = tempfile::tempdir().unwrap();
        let first = within(folder.path(), Duration::ZERO).unwrap();
        assert!(first.is_some());
        let refused = within(folder.path(), Duration::ZERO).unwrap_err().to_string();
        assert!(refused.starts_with("another tokenwatch agent uses "), "{refused}");
        let first_ends = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            drop(first);
        });
        assert!(within(folder.path(), Duration::from_mins(1)).unwrap().is_some());
        first_ends.join().unwrap();
        assert!(within(&folder.path().join("missing"), Duration::ZERO).unwrap().is_none());
    }
}

//! The volumes that hold tokens: the source of token files finds them, and the source of readers
//! follows who opens them.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::own_opens::OwnOpens;

/// A projected volume with tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenVolume {
    pub(super) pod_uid: String,
    pub(super) volume: String,
    /// Its files, tokens or not, as the pod sees them.
    pub(super) files: Vec<ProjectedFile>,
    /// Whether `files` are all that kubelet projects.
    pub(super) is_whole: bool,
}

/// A file of such a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProjectedFile {
    pub(super) path: PathBuf,
    pub(super) is_token: bool,
}

/// What changed, by the directory of the volume; none for a volume that is gone.
pub(super) type Changes = BTreeMap<PathBuf, Option<TokenVolume>>;

/// The changes that wait for the source of readers: of each volume the last. Off unless that source
/// runs.
#[derive(Clone, Debug, Default)]
pub struct TokenVolumes(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    changes: Mutex<Changes>,
    own_opens: OwnOpens,
    /// Readable when there is something to take, or to stop for.
    bell: EventFd,
    is_stopped: AtomicBool,
}

impl Shared {
    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the reading end. It fails only when it has rung 2^64 times unheard.
    fn ring(&self) {
        let _ = self.bell.write(1);
    }
}

impl TokenVolumes {
    /// For a source of readers that is going to run.
    pub fn followed() -> io::Result<Self> {
        let bell =
            EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let (changes, own_opens) = (Mutex::default(), OwnOpens::kept());
        let is_stopped = AtomicBool::new(false);
        Ok(Self(Some(Arc::new(Shared { changes, own_opens, bell, is_stopped }))))
    }

    /// Whether somebody follows them.
    pub(super) fn are_followed(&self) -> bool {
        self.0.is_some()
    }

    /// Where the agent notes its own opens.
    pub(super) fn own_opens(&self) -> OwnOpens {
        self.0.as_ref().map(|shared| shared.own_opens.clone()).unwrap_or_default()
    }

    /// The volume at `path` is as described; none: it is gone, or holds no token.
    pub(super) fn set(&self, path: PathBuf, volume: Option<TokenVolume>) {
        if let Some(shared) = &self.0 {
            shared.changes().insert(path, volume);
            shared.ring();
        }
    }

    /// Takes what changed since the last call.
    pub(super) fn take(&self) -> Changes {
        let Some(shared) = &self.0 else { return Changes::new() };
        let _ = shared.bell.read(); // an error: it has not rung
        std::mem::take(&mut *shared.changes())
    }

    /// Readable when there is something to take, or to stop for.
    pub(super) fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|shared| shared.bell.as_fd())
    }

    /// Ends the source of readers.
    pub(super) fn stop(&self) {
        if let Some(shared) = &self.0 {
            shared.is_stopped.store(true, Ordering::Relaxed);
            shared.ring();
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0.as_ref().is_none_or(|shared| shared.is_stopped.load(Ordering::Relaxed))
    }
}

impl TokenVolume {
    /// The directories of a generation that lead to a token: `""`, the generation itself, and those
    /// in it, parents first.
    pub(super) fn token_directories(&self) -> Vec<&Path> {
        let tokens = self.files.iter().filter(|file| file.is_token);
        let mut found: Vec<&Path> = tokens.flat_map(|file| file.path.ancestors().skip(1)).collect();
        found.push(Path::new(""));
        found.sort_unstable();
        found.dedup();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(name: &str) -> TokenVolume {
        let file = |path: &str, is_token| ProjectedFile { path: path.into(), is_token };
        TokenVolume {
            pod_uid: "p".to_owned(),
            volume: name.to_owned(),
            files: vec![file("a/b/token", true), file("ca.crt", false), file("token", true)],
            is_whole: true,
        }
    }

    #[test]
    fn of_each_volume_the_last_change_is_taken() {
        let volumes = TokenVolumes::followed().unwrap();
        assert_eq!(volumes.take(), Changes::new());
        volumes.set("/1".into(), Some(volume("old")));
        volumes.set("/1".into(), Some(volume("new")));
        volumes.set("/2".into(), None);
        let expected = Changes::from([("/1".into(), Some(volume("new"))), ("/2".into(), None)]);
        assert_eq!(volumes.take(), expected);
        assert_eq!(volumes.take(), Changes::new());
        assert!(!volumes.is_stopped());
        volumes.clone().stop();
        assert!(volumes.is_stopped() && TokenVolumes::default().is_stopped());
    }

    #[test]
    fn the_directories_of_tokens_are_named_once() {
        assert_eq!(volume("v").token_directories(), ["", "a", "a/b"].map(Path::new));
    }
}

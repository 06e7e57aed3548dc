//! The agent's own opens in token volumes, so that the source of readers does not take them for
//! those of a client.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::stat::fstat;

/// Device and inode of what was opened.
pub(super) type Inode = (u64, u64);

/// Notes that may wait, 16 bytes each: those of a first scan of as many tokens as the agent tracks.
/// When there are more, the older half is dropped: its events were taken long ago.
const MAX_NOTES: usize = 8_192;

/// A note for each open of a file or directory for reading. Off unless somebody takes the notes.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnOpens(Option<Arc<Mutex<Vec<Inode>>>>);

impl OwnOpens {
    /// Keeps notes until they are taken.
    pub(super) fn kept() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether somebody takes the notes.
    pub(super) fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Opens by `open`, and notes what was opened. The notes are locked meanwhile: whoever has seen
    /// the event of an open finds its note.
    pub(super) fn noted(
        &self,
        open: impl FnOnce() -> nix::Result<OwnedFd>,
    ) -> nix::Result<OwnedFd> {
        let Some(notes) = &self.0 else { return open() };
        let mut notes = lock(notes);
        let opened = open()?;
        if let Ok(stat) = fstat(&opened) {
            add(&mut notes, (stat.st_dev, stat.st_ino));
        }
        Ok(opened)
    }

    /// Moves all notes to `into`.
    pub(super) fn take(&self, into: &mut Vec<Inode>) {
        if let Some(notes) = &self.0 {
            into.append(&mut lock(notes));
        }
    }
}

fn lock(notes: &Mutex<Vec<Inode>>) -> MutexGuard<'_, Vec<Inode>> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add(notes: &mut Vec<Inode>, inode: Inode) {
    if notes.len() >= MAX_NOTES {
        notes.drain(..MAX_NOTES / 2);
    }
    notes.push(inode);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn what_was_opened_is_noted_once_and_never_more_than_fits() {
        let folder = tempfile::tempdir().unwrap();
        let found = folder.path().metadata().unwrap();
        let open = || Ok(OwnedFd::from(File::open(folder.path()).unwrap()));
        let (own, off) = (OwnOpens::kept(), OwnOpens::default());
        let mut taken = Vec::new();
        own.noted(open).unwrap();
        off.noted(open).unwrap();
        assert!(own.noted(|| Err(nix::errno::Errno::ENOENT)).is_err());
        own.take(&mut taken);
        off.take(&mut taken);
        assert_eq!(taken, [(found.dev(), found.ino())]);
        let mut notes = vec![(0, 0); MAX_NOTES];
        add(&mut notes, (1, 1));
        assert_eq!((notes.len(), notes.last()), (MAX_NOTES / 2 + 1, Some(&(1, 1))));
    }
}

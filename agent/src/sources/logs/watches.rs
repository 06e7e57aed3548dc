//! Inotify watches on the files, for what is appended, and on their directories, for new ones.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use inotify::{Inotify, WatchDescriptor, WatchMask};
use tokio::io::unix::AsyncFd;

use super::places::Places;
use crate::sources::watch_error::WatchError;
use crate::sys;

/// Time from an event to the look: what is written meanwhile is read with it. A busy audit log
/// would wake the agent thousands of times a second.
const PACE: Duration = Duration::from_secs(1);
/// Some 350 events at once.
const BUFFER: usize = 16 * 1024;

/// The watches of one inotify instance.
#[derive(Debug)]
pub(in crate::sources) struct Watches {
    inotify: Inotify,
    /// The same descriptor, registered with the runtime.
    readable: AsyncFd<OwnedFd>,
    watched: BTreeMap<PathBuf, WatchDescriptor>,
    buffer: Box<[u8]>,
}

impl Watches {
    /// Must be called within a tokio runtime.
    pub(in crate::sources) fn new() -> Result<Self, WatchError> {
        let inotify = Inotify::init()?;
        let readable = sys::readable(inotify.as_fd().try_clone_to_owned()?)?;
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Ok(Self { inotify, readable, watched: BTreeMap::new(), buffer })
    }

    /// Watches these files and directories and no others. Returns the first failure; what does not
    /// exist is none.
    pub(in crate::sources) fn follow(
        &mut self,
        prefix: &Path,
        places: &Places,
    ) -> Option<WatchError> {
        let wanted = wanted(prefix, places);
        let old: Vec<PathBuf> =
            self.watched.keys().filter(|path| !wanted.contains_key(*path)).cloned().collect();
        for path in &old {
            self.remove(path);
        }
        let failed = wanted.iter().filter_map(|(path, mask)| self.add(path, *mask).err());
        failed.fold(None, |first, error| match error {
            WatchError::Missing => first,
            WatchError::NoWatches | WatchError::NoInstances | WatchError::Other(_) => {
                first.or(Some(error))
            }
        })
    }

    /// Watches what is at the path now. The kernel gives the same watch for the same file.
    fn add(&mut self, path: &Path, mask: WatchMask) -> Result<(), WatchError> {
        let watch = match self.inotify.watches().add(path, mask) {
            Ok(watch) => watch,
            Err(error) => {
                self.remove(path);
                return Err(error.into());
            }
        };
        if self.watched.get(path) != Some(&watch) {
            self.remove(path);
            self.watched.insert(path.to_owned(), watch);
        }
        Ok(())
    }

    /// The kernel has ended the watch of a removed file.
    fn remove(&mut self, path: &Path) {
        if let Some(watch) = self.watched.remove(path) {
            let _ = self.inotify.watches().remove(watch);
        }
    }

    /// Returns some time after the first event.
    pub(in crate::sources) async fn changed(&mut self) -> io::Result<()> {
        let mut ready = self.readable.readable().await?;
        tokio::time::sleep(PACE).await;
        // What the events are about does not matter: every file is looked at.
        while let Ok(events) = self.inotify.read_events(&mut self.buffer) {
            if events.count() == 0 {
                break;
            }
        }
        ready.clear_ready();
        Ok(())
    }
}

/// What to watch, and for what.
fn wanted(prefix: &Path, places: &Places) -> BTreeMap<PathBuf, WatchMask> {
    let directories = places.directories.iter().map(|path| (path, directory_mask()));
    let files = places.files.iter().map(|path| (path, WatchMask::MODIFY));
    directories.chain(files).map(|(path, mask)| (below(prefix, path), mask)).collect()
}

fn directory_mask() -> WatchMask {
    WatchMask::CREATE
        | WatchMask::MOVED_TO
        | WatchMask::MOVED_FROM
        | WatchMask::DELETE
        | WatchMask::ONLYDIR
}

/// The path of the host, where it is mounted.
fn below(prefix: &Path, path: &Path) -> PathBuf {
    prefix.join(path.strip_prefix("/").unwrap_or(path))
}

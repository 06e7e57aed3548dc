//! Inotify watches on single directories, without recursion and without events for reads.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use notify::event::EventKindMask;
use notify::{Config, Event, INotifyWatcher, RecursiveMode, Watcher};

use crate::sources::watch_error::WatchError;

/// Volumes of one pod that are watched, so that none takes the watches of the others: the kernel
/// may have no more than 8,192 for a user. A pod in use has few projected volumes.
pub(super) const VOLUMES_OF_POD: usize = 64;

/// Device and inode: they differ between a directory and one that is mounted over it.
type Identity = (u64, u64);

/// The watched directories.
pub(super) struct Watches {
    watcher: Result<INotifyWatcher, WatchError>,
    /// Sorted, so that the directories below a path are adjacent.
    watched: BTreeMap<PathBuf, Identity>,
    limit: usize,
    /// The last failure since [`Watches::take_error`].
    error: Option<WatchError>,
}

/// The state of a directory that should be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// It was watched before.
    Already,
    /// It is watched from now on; earlier changes caused no event.
    Newly,
    /// It does not exist.
    Missing,
    /// It exists and cannot be watched.
    Failed,
}

impl Watches {
    /// `limit` takes the place of the kernel's in tests.
    pub(super) fn new(
        limit: Option<usize>,
        handler: impl Fn(notify::Result<Event>) + Send + 'static,
    ) -> Self {
        // CREATE and REMOVE include the events of renames, and MODIFY_NAME lets them pass. Without
        // the other kinds, a chmod, write or read causes no wake-up.
        let kinds = EventKindMask::CREATE | EventKindMask::REMOVE | EventKindMask::MODIFY_NAME;
        let config = Config::default().with_event_kinds(kinds).with_follow_symlinks(false);
        let watcher = INotifyWatcher::new(handler, config).map_err(WatchError::from);
        Self { watcher, watched: BTreeMap::new(), limit: limit.unwrap_or(usize::MAX), error: None }
    }

    /// Whether inotify could be set up.
    pub(super) fn is_available(&self) -> bool {
        self.watcher.is_ok()
    }

    /// The last failure since the previous call; where inotify could not be set up, the reason,
    /// each time.
    pub(super) fn take_error(&mut self) -> Option<WatchError> {
        let error = self.error.take();
        self.watcher.as_ref().err().cloned().or(error)
    }

    /// Watches the directory that is at `path` now.
    pub(super) fn ensure(&mut self, path: &Path) -> Watched {
        // Read before the watch is set: if something is mounted in between, the next call finds
        // another identity and sets the watch again.
        let Some(identity) = identity(path) else {
            self.drop_path(path);
            return Watched::Missing;
        };
        if self.watched.get(path) == Some(&identity) {
            return Watched::Already;
        }
        self.drop_path(path);
        self.add(path, identity)
    }

    /// As [`Watches::ensure`], for a volume of a pod. A volume beyond the pod's share fails, as one
    /// for which the kernel has no watch: the rescans read it.
    pub(super) fn ensure_volume(&mut self, path: &Path) -> Watched {
        let is_new = !self.watched.contains_key(path);
        match path.parent() {
            Some(volumes) if is_new && self.count_in(volumes) >= VOLUMES_OF_POD => Watched::Failed,
            Some(_) | None => self.ensure(path),
        }
    }

    /// How many directories right in this one are watched.
    fn count_in(&self, directory: &Path) -> usize {
        self.below(directory).filter(|path| path.parent() == Some(directory)).count()
    }

    /// Everything that is watched at or below `path`.
    fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
        let from = self.watched.range::<Path, _>((Bound::Included(path), Bound::Unbounded));
        from.map(|(watched, _)| watched).take_while(move |watched| watched.starts_with(path))
    }

    fn add(&mut self, path: &Path, identity: Identity) -> Watched {
        let Ok(watcher) = &mut self.watcher else { return Watched::Failed };
        match watch(watcher, path, self.watched.len() < self.limit) {
            Ok(()) => {
                self.watched.insert(path.to_owned(), identity);
                Watched::Newly
            }
            Err(WatchError::Missing) => Watched::Missing,
            Err(
                error @ (WatchError::NoWatches | WatchError::NoInstances | WatchError::Other(_)),
            ) => {
                self.error = Some(error);
                Watched::Failed
            }
        }
    }

    /// Whether the directory at `path` is another one than the watched one.
    pub(super) fn is_stale(&self, path: &Path) -> bool {
        self.watched.get(path).copied() != identity(path)
    }

    /// Stops watching `path`.
    pub(super) fn drop_path(&mut self, path: &Path) {
        if self.watched.remove(path).is_some()
            && let Ok(watcher) = &mut self.watcher
        {
            let _ = watcher.unwatch(path); // the kernel drops the watch of a removed directory
        }
    }

    /// Stops watching everything at or below `path`.
    pub(super) fn drop_below(&mut self, path: &Path) {
        let below: Vec<PathBuf> = self.below(path).cloned().collect();
        for path in below {
            self.drop_path(&path);
        }
    }

    /// Stops watching everything. After lost events the kernel may have dropped watches unnoticed:
    /// a new tmpfs often has device and inode of the last one.
    pub(super) fn drop_all(&mut self) {
        self.drop_below(Path::new(""));
    }
}

fn watch(watcher: &mut INotifyWatcher, path: &Path, is_allowed: bool) -> Result<(), WatchError> {
    if !is_allowed {
        return Err(WatchError::NoWatches);
    }
    watcher.watch(path, RecursiveMode::NonRecursive).map_err(WatchError::from)
}

fn identity(path: &Path) -> Option<Identity> {
    let found = path.symlink_metadata().ok().filter(std::fs::Metadata::is_dir)?;
    Some((found.dev(), found.ino()))
}

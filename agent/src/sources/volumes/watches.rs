//! Inotify watches on single directories: no recursion, no wake-ups for reads, and honest about
//! what could not be watched.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use notify::event::EventKindMask;
use notify::{Config, ErrorKind, Event, INotifyWatcher, RecursiveMode, Watcher};

/// What tells a directory from the one that is mounted over it.
type Identity = (u64, u64);

/// The directories that are watched.
pub(super) struct Watches {
    /// Or why there is none.
    watcher: Result<INotifyWatcher, String>,
    /// In order, so that what is below a path stands together.
    set: BTreeMap<PathBuf, Identity>,
    limit: usize,
    trouble: Option<String>,
}

/// What became of a wish to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// It is watched, and was already.
    Still,
    /// It is watched now; what happened before is to be looked up.
    Newly,
    /// It is not there.
    Absent,
    /// It is there and cannot be watched.
    Failed,
}

impl Watches {
    /// `limit` stands for the kernel's in tests.
    pub(super) fn new(
        limit: Option<usize>,
        handler: impl Fn(notify::Result<Event>) + Send + 'static,
    ) -> Self {
        // CREATE and REMOVE bring the renames along, MODIFY_NAME lets them through; without the
        // rest nobody's chmod, write or read wakes us.
        let kinds = EventKindMask::CREATE | EventKindMask::REMOVE | EventKindMask::MODIFY_NAME;
        let config = Config::default().with_event_kinds(kinds).with_follow_symlinks(false);
        let watcher = INotifyWatcher::new(handler, config).map_err(|error| explained(&error));
        Self { watcher, set: BTreeMap::new(), limit: limit.unwrap_or(usize::MAX), trouble: None }
    }

    /// Whether there is a watcher at all.
    pub(super) fn is_alive(&self) -> bool {
        self.watcher.is_ok()
    }

    /// What could not be watched since the last time this was asked; without a watcher, why there
    /// is none, each time.
    pub(super) fn take_trouble(&mut self) -> Option<String> {
        let trouble = self.trouble.take();
        self.watcher.as_ref().err().cloned().or(trouble)
    }

    /// Sees to it that the directory that is at `path` now is watched.
    pub(super) fn ensure(&mut self, path: &Path) -> Watched {
        // Looked up before the watch is set: should something be mounted in between, the next look
        // finds another identity and sets it anew.
        let Some(identity) = identity(path) else {
            self.drop_path(path);
            return Watched::Absent;
        };
        if self.set.get(path) == Some(&identity) {
            return Watched::Still;
        }
        self.drop_path(path);
        self.add(path, identity)
    }

    fn add(&mut self, path: &Path, identity: Identity) -> Watched {
        let Ok(watcher) = &mut self.watcher else { return Watched::Failed };
        let added = if self.set.len() < self.limit {
            watcher.watch(path, RecursiveMode::NonRecursive)
        } else {
            Err(notify::Error::new(ErrorKind::MaxFilesWatch))
        };
        match added {
            Ok(()) => {
                self.set.insert(path.to_owned(), identity);
                Watched::Newly
            }
            Err(error) if is_absent(&error) => Watched::Absent,
            Err(error) => {
                self.trouble = Some(explained(&error));
                Watched::Failed
            }
        }
    }

    /// Whether something else is at `path` than what is watched.
    pub(super) fn is_stale(&self, path: &Path) -> bool {
        self.set.get(path).copied() != identity(path)
    }

    /// Watches `path` no longer.
    pub(super) fn drop_path(&mut self, path: &Path) {
        if self.set.remove(path).is_some()
            && let Ok(watcher) = &mut self.watcher
        {
            let _ = watcher.unwatch(path); // the kernel drops the watch of a directory that is gone by itself
        }
    }

    /// Watches nothing at or below `path` any longer.
    pub(super) fn drop_below(&mut self, path: &Path) {
        let from = self.set.range::<Path, _>((Bound::Included(path), Bound::Unbounded));
        let below: Vec<PathBuf> = from
            .map(|(watched, _)| watched)
            .take_while(|watched| watched.starts_with(path))
            .cloned()
            .collect();
        for path in below {
            self.drop_path(&path);
        }
    }

    /// Watches nothing any longer. The kernel may have dropped watches without a word: a new tmpfs
    /// often gets the numbers of the last one.
    pub(super) fn drop_all(&mut self) {
        self.drop_below(Path::new(""));
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let found = path.symlink_metadata().ok().filter(std::fs::Metadata::is_dir)?;
    Some((found.dev(), found.ino()))
}

fn is_absent(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(io) => {
            matches!(io.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
        }
        _ => false,
    }
}

/// Which limit was hit, and how to raise it.
fn explained(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => "no inotify watches are left for this user; raise \
                                     fs.inotify.max_user_watches (sysctl)"
            .to_owned(),
        ErrorKind::Io(io) if io.raw_os_error() == Some(nix::libc::EMFILE) => {
            "no inotify instance is left for this user; raise fs.inotify.max_user_instances \
             (sysctl), or the limit of open files"
                .to_owned()
        }
        _ => format!("inotify: {error}"),
    }
}

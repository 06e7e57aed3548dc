//! Scans at the start, when a directory changes, and at intervals.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::EventKindMask;
use notify::{Config, INotifyWatcher, RecursiveMode, Watcher as _};
use tokenwatch_core::world::observation::Observation;
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;

use super::CopiesConfig;
use super::scan::{Scan, Scanner};
use crate::sources::health::{Health, Source};
use crate::sources::send::send_all;
use crate::sources::signatures::SharedKeys;
use crate::sources::watchdog::{Progress, Watchdog};

/// Time from an event to the scan: a script writes a file in several steps, and writes several.
const SETTLE: Duration = Duration::from_millis(500);

/// Reports copies until the receiver is dropped.
pub async fn run(
    config: CopiesConfig,
    keys: SharedKeys,
    watchdog: Watchdog,
    observations: Sender<Observation>,
) {
    let progress = watchdog.follow(Source::Copies);
    let rescan = config.rescan;
    let (mut scanner, mut health) = (Scanner::new(config, keys), Health::new(Source::Copies));
    let changed = Arc::new(Notify::new());
    let mut watches = Watches::new(Arc::clone(&changed));
    while let Some(scanned) = scan_once(scanner, watches, progress.clone()).await {
        let Scanned { mut scan, new, .. } = scanned;
        (scanner, watches) = (scanned.scanner, scanned.watches);
        let seen = std::mem::take(&mut scan.observations);
        let state = health.update(trouble(&scan));
        if !send_all(&observations, seen.into_iter().chain(state)).await {
            return;
        }
        // What changed before a new watch was set made no event.
        let pause = if new { SETTLE } else { jittered(rescan) };
        tokio::select! {
            () = observations.closed() => return,
            () = changed.notified() => tokio::time::sleep(SETTLE).await,
            () = tokio::time::sleep(pause) => {}
        }
    }
    observations.closed().await; // the runtime is shutting down
}

/// What a scan gave, and what the next one needs.
struct Scanned {
    scan: Scan,
    /// Whether a directory is watched that was not before.
    new: bool,
    scanner: Scanner,
    watches: Watches,
}

/// Reading files blocks, and so does setting watches. None: the runtime is shutting down.
async fn scan_once(
    mut scanner: Scanner,
    mut watches: Watches,
    progress: Progress,
) -> Option<Scanned> {
    let scanned = tokio::task::spawn_blocking(move || {
        progress.during(move || {
            let scan = scanner.scan();
            let new = watches.follow(&scan.directories);
            Scanned { scan, new, scanner, watches }
        })
    });
    scanned.await.ok()
}

/// What does not work, and what follows from that.
fn trouble(scan: &Scan) -> Option<String> {
    let all: Vec<&String> = scan.problems.iter().chain(&scan.denied).collect();
    let first = all.first()?;
    let more = match all.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some(format!("cannot judge {first}{more}; the agent does not watch the tokens there"))
}

/// By up to a tenth, so that the agents of a cluster do not scan at the same time.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.9..1.1))
}

/// The watched directories.
struct Watches {
    /// Nothing where inotify is not available: then only the rescans find changes.
    watcher: Option<INotifyWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Watches {
    fn new(changed: Arc<Notify>) -> Self {
        let kinds = EventKindMask::CREATE
            | EventKindMask::REMOVE
            | EventKindMask::MODIFY_NAME
            | EventKindMask::ACCESS_CLOSE;
        let config = Config::default().with_event_kinds(kinds).with_follow_symlinks(false);
        let watcher = INotifyWatcher::new(move |_| changed.notify_one(), config);
        Self { watcher: watcher.ok(), watched: BTreeSet::new() }
    }

    /// Watches these directories and no others. Returns whether one is new.
    fn follow(&mut self, directories: &BTreeSet<PathBuf>) -> bool {
        let old: Vec<PathBuf> = self.watched.difference(directories).cloned().collect();
        for path in old {
            self.watched.remove(&path);
            self.unwatch(&path);
        }
        let new: Vec<PathBuf> = directories.difference(&self.watched).cloned().collect();
        let set: Vec<PathBuf> = new.into_iter().filter(|path| self.watch(path)).collect();
        let is_new = !set.is_empty();
        self.watched.extend(set);
        is_new
    }

    fn watch(&mut self, path: &Path) -> bool {
        let watched = self.watcher.as_mut().map(|of| of.watch(path, RecursiveMode::NonRecursive));
        watched.is_some_and(|watched| watched.is_ok())
    }

    fn unwatch(&mut self, path: &Path) {
        if let Some(watcher) = &mut self.watcher {
            let _ = watcher.unwatch(path); // the kernel drops the watch of a removed directory
        }
    }
}

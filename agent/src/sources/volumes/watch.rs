//! Follows the token files of a node: a pass over everything at start and every minute, and events
//! that say where to look sooner. One thread does all of it, because reading files blocks; the
//! runtime only waits for the observations.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use notify::event::{Event, EventKind, ModifyKind, RenameMode};
use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

use super::hints::{Hint, Place};
use super::mounts;
use super::worker::Worker;
use crate::discovery::roots::Search;

/// Hints that wait to be looked at. When more come than this, they are thrown away and everything
/// is looked at instead.
const MAX_HINTS: usize = 4096;

/// What to watch and how.
#[derive(Clone, Debug)]
pub struct FilesConfig {
    /// Kubelet roots.
    pub roots: Vec<PathBuf>,
    /// Everything is looked at this often, events or not.
    pub rescan: Duration,
    /// And this often while something cannot be watched.
    pub degraded_rescan: Duration,
    /// Watches to set at most; none: as many as the kernel gives.
    pub max_watches: Option<usize>,
    /// Where roots that come later are looked for; none: the roots are those that are given.
    pub search: Option<Search>,
}

impl FilesConfig {
    /// With the default periods. A minute: kubelet itself looks at a pod no more often. Ten
    /// seconds: soon enough for any deadline of a token, and a pass over hundreds of tokens
    /// costs a few milliseconds.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self {
            roots,
            rescan: Duration::from_mins(1),
            degraded_rescan: Duration::from_secs(10),
            max_watches: None,
            search: None,
        }
    }
}

/// Observes until the receiver is dropped.
pub async fn run(config: FilesConfig, observations: Sender<Observation>) {
    let (hints, inbox) = Hints::new();
    let _stop_when_dropped = Stopper(hints.clone());
    let worker = {
        let (hints, observations) = (hints.clone(), observations.clone());
        std::thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || Worker::new(config, hints, inbox, observations).run())
    };
    if let Err(error) = worker {
        let _ = observations.send(mounts::cannot_start(&error)).await; // nobody listens: then nobody misses it
        return;
    }
    tokio::select! {
        () = observations.closed() => {}
        () = mounts::follow(&hints) => observations.closed().await,
    }
}

/// Ends the thread when `run` ends, however it ends.
struct Stopper(Hints);

impl Drop for Stopper {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Where hints are put. Never blocks: the thread that reads inotify must not wait for the one that
/// sets watches.
#[derive(Clone, Debug)]
pub(super) struct Hints {
    to: SyncSender<Hint>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// By the kernel: its queue ran over, or inotify failed.
    unheard: AtomicBool,
    /// By us: there were more than can wait.
    dropped: AtomicBool,
    stopped: AtomicBool,
}

impl Hints {
    pub(super) fn new() -> (Self, Receiver<Hint>) {
        let (to, inbox) = sync_channel(MAX_HINTS);
        (Self { to, shared: Arc::default() }, inbox)
    }

    pub(super) fn give(&self, hint: Hint) {
        if let Err(TrySendError::Full(_)) = self.to.try_send(hint) {
            self.shared.dropped.store(true, Ordering::Relaxed);
        }
    }

    /// Takes what inotify says.
    pub(super) fn take(&self, event: notify::Result<Event>) {
        match event {
            Ok(event) if !event.need_rescan() => self.places(&event),
            Ok(_) | Err(_) => {
                self.shared.unheard.store(true, Ordering::Relaxed);
                self.give(Hint::Lost); // wakes the thread; when there is no room, it is awake
            }
        }
    }

    fn places(&self, event: &Event) {
        // A rename is told twice, as its destination and as both ends.
        if event.kind == EventKind::Modify(ModifyKind::Name(RenameMode::Both)) {
            return;
        }
        for path in &event.paths {
            self.give(Hint::Place(Place::new(path.clone(), event.kind)));
        }
    }

    /// Why events were lost since this was last asked, if any were.
    pub(super) fn lost(&self) -> Option<&'static str> {
        let unheard = self.shared.unheard.swap(false, Ordering::Relaxed);
        let dropped = self.shared.dropped.swap(false, Ordering::Relaxed);
        if unheard {
            Some(
                "the kernel's queue of inotify events ran over (sysctl \
                 fs.inotify.max_queued_events)",
            )
        } else {
            dropped.then_some("more inotify events came than could be looked at")
        }
    }

    fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.give(Hint::Stop);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::Relaxed)
    }
}

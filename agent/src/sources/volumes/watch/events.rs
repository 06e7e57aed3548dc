//! The queue of events, between the threads that learn of them and the one that scans.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use notify::event::{Event, EventKind, ModifyKind, RenameMode};

use crate::sources::volumes::layout::ChangedPath;

/// Events that may wait. When there are more, they are dropped and everything is rescanned.
const MAX_EVENTS: usize = 4096;

/// A reason to scan at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FileEvent {
    /// Something changed at a path.
    Changed(ChangedPath),
    /// The mounts of the node changed.
    Mounts,
    /// Tokens are expected at other paths.
    Expected,
    /// The process was stopped, or the machine slept.
    Resumed,
    /// Events were lost: see [`EventQueue::take_loss`].
    Lost,
    /// The thread has to stop.
    Stop,
}

/// The sending end. Pushing never blocks: the thread that reads inotify must not wait for the one
/// that sets watches.
#[derive(Clone, Debug)]
pub(super) struct EventQueue {
    to: SyncSender<FileEvent>,
    flags: Arc<Flags>,
}

#[derive(Debug, Default)]
struct Flags {
    /// The kernel lost events: its queue overflowed, or inotify failed.
    kernel_lost: AtomicBool,
    /// This queue was full.
    dropped: AtomicBool,
    stopped: AtomicBool,
}

impl EventQueue {
    pub(super) fn new() -> (Self, Receiver<FileEvent>) {
        let (to, inbox) = sync_channel(MAX_EVENTS);
        (Self { to, flags: Arc::default() }, inbox)
    }

    pub(super) fn push(&self, event: FileEvent) {
        if let Err(TrySendError::Full(_)) = self.to.try_send(event) {
            self.flags.dropped.store(true, Ordering::Relaxed);
        }
    }

    /// Takes an event from inotify.
    pub(super) fn push_inotify(&self, event: notify::Result<Event>) {
        match event {
            Ok(event) if !event.need_rescan() => self.push_paths(&event),
            Ok(_) | Err(_) => {
                self.flags.kernel_lost.store(true, Ordering::Relaxed);
                self.push(FileEvent::Lost); // wakes the thread; if the queue is full, it is awake
            }
        }
    }

    fn push_paths(&self, event: &Event) {
        // A rename causes two events: one for its destination, and this one for both ends.
        if event.kind == EventKind::Modify(ModifyKind::Name(RenameMode::Both)) {
            return;
        }
        for path in &event.paths {
            self.push(FileEvent::Changed(ChangedPath::new(path.clone(), event.kind)));
        }
    }

    /// Why events were lost since the last call; none if none were.
    pub(super) fn take_loss(&self) -> Option<&'static str> {
        let kernel_lost = self.flags.kernel_lost.swap(false, Ordering::Relaxed);
        let dropped = self.flags.dropped.swap(false, Ordering::Relaxed);
        if kernel_lost {
            Some(
                "the kernel's queue of inotify events overflowed (sysctl \
                 fs.inotify.max_queued_events)",
            )
        } else {
            dropped.then_some("more inotify events came than the agent can process")
        }
    }

    pub(super) fn stop(&self) {
        self.flags.stopped.store(true, Ordering::Relaxed);
        self.push(FileEvent::Stop);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.flags.stopped.load(Ordering::Relaxed)
    }
}

//! Records what the engine is given, so that it can be replayed (`tokenwatch replay`).
//!
//! A thread of its own writes, behind a bounded queue: a disk that is slow costs entries, which are
//! counted in the file, and never time of the engine.

mod file;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokenwatch_core::base::time::Reading;
use tokenwatch_core::engine::Config;
use tokenwatch_core::replay::{Content, Entry, Header, Pseudonyms};
use tokio::sync::watch;

use crate::clocks;
use file::in_directory;
pub use file::{CreateError, NewFile, create};
use writer::Writer;

/// Entries that may wait: the first scan of two full nodes of 250 pods. One is about 1 kB.
const QUEUE: usize = 1_024;

/// Where to record, and whether with the names of the cluster.
#[derive(Debug)]
pub struct Target {
    file: NewFile,
    pseudonyms: Option<Pseudonyms>,
}

impl Target {
    /// A new file at `path`, or in it if it is a directory. Call it before the agent gives up
    /// writing anywhere else.
    pub fn create(path: &Path, with_pseudonyms: bool) -> Result<Self, CreateError> {
        let pseudonyms = with_pseudonyms.then(pseudonyms);
        create(&in_directory(path, clocks::now().wall)).map(|file| Self { file, pseudonyms })
    }
}

/// With a key that nobody will know.
pub fn pseudonyms() -> Pseudonyms {
    Pseudonyms::new(tokenwatch_core::replay::Key::new(rand::random()))
}

/// The thread that writes could not be started.
#[derive(Debug)]
pub struct NoThread(std::io::Error);

impl std::fmt::Display for NoThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let why = &self.0;
        write!(f, "cannot start the recording thread ({why}): raise the pids limit")
    }
}

/// Takes entries, and has them written.
#[derive(Debug)]
pub struct Recorder {
    /// Nothing once the recording ended.
    queue: Mutex<Option<SyncSender<Entry>>>,
    /// Entries that found no room since the last one that did.
    lost: Arc<AtomicU64>,
    ended: watch::Receiver<bool>,
}

impl Recorder {
    /// Starts the writing thread with the header.
    pub fn start(target: Target, config: &Config) -> Result<Self, NoThread> {
        let Target { file, pseudonyms } = target;
        tracing::info!(path = %file::named(&file.path), "recording observations");
        let header = Header::new(env!("CARGO_PKG_VERSION"), config.clone());
        let (queue, entries) = sync_channel(QUEUE);
        let (end, ended) = watch::channel(false);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(file, pseudonyms, Arc::clone(&lost));
        let run = move || {
            writer.run(header, entries);
            end.send_replace(true);
        };
        std::thread::Builder::new().name("recorder".to_owned()).spawn(run).map_err(NoThread)?;
        Ok(Self { queue: Mutex::new(Some(queue)), lost, ended })
    }

    /// Queues an entry; one that finds no room is counted. Never waits for the disk.
    pub fn take(&self, now: Reading, content: Content) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = queue.as_ref() else { return };
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let (taken, missing) = match gap(sender, now, lost) {
            Queued::Yes => (queued(sender, Entry { now, content }), 1),
            failed @ (Queued::NoRoom | Queued::Closed) => (failed, lost + 1),
        };
        match taken {
            Queued::Yes => {}
            Queued::NoRoom => {
                self.lost.fetch_add(missing, Ordering::Relaxed);
            }
            Queued::Closed => *queue = None,
        }
    }

    /// Has the rest written, within `bound`.
    pub async fn finish(&self, bound: Duration) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut ended = self.ended.clone();
        if tokio::time::timeout(bound, ended.wait_for(|ended| *ended)).await.is_err() {
            tracing::warn!("the end of the recording was not written in time");
        }
    }
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queued {
    Yes,
    NoRoom,
    /// Nobody writes any more.
    Closed,
}

/// Queues how many entries are missing here, if any are.
fn gap(sender: &SyncSender<Entry>, now: Reading, lost: u64) -> Queued {
    match lost {
        0 => Queued::Yes,
        _ => queued(sender, Entry { now, content: Content::Lost(lost) }),
    }
}

fn queued(sender: &SyncSender<Entry>, entry: Entry) -> Queued {
    match sender.try_send(entry) {
        Ok(()) => Queued::Yes,
        Err(TrySendError::Full(_)) => Queued::NoRoom,
        Err(TrySendError::Disconnected(_)) => Queued::Closed,
    }
}

#[cfg(test)]
mod tests;

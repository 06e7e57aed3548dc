//! Follows the token files of a node: a rescan of everything at start and then periodically, and
//! events that name what to scan at once.
//!
//! One thread of its own scans, because reading files blocks; the runtime only takes its
//! observations.

mod events;
mod inotify;
mod mounts;
mod pending;
mod rescan;
mod unseen;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::world::observation::Observation;
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;

use crate::discovery::roots::Search;
use crate::sources::expected::ExpectedTokens;
use crate::sources::health::{Health, Source};
use crate::sources::signatures::SharedKeys;
use crate::sources::token_volumes::TokenVolumes;
use crate::sources::watchdog::Watchdog;
use events::{EventQueue, FileEvent};
use worker::Worker;

/// What to watch, and how.
#[derive(Clone, Debug)]
pub struct FilesConfig {
    /// Kubelet roots.
    pub roots: Vec<PathBuf>,
    /// Time between rescans of everything.
    pub rescan: Duration,
    /// Time between rescans while something cannot be watched, if that is less.
    pub degraded_rescan: Duration,
    /// Largest number of watches; none: as many as the kernel allows.
    pub max_watches: Option<usize>,
    /// Where to look for further roots; none: there are only those in `roots`.
    pub search: Option<Search>,
    /// Those who want to know which volumes hold tokens.
    pub followers: TokenVolumes,
    /// Notified at the end of each rescan.
    pub rescanned: Arc<Notify>,
    /// The public keys against which signatures are checked.
    pub keys: SharedKeys,
    /// Sees whether the sources make progress.
    pub watchdog: Watchdog,
    /// Where a token should be.
    pub expected: ExpectedTokens,
}

impl FilesConfig {
    /// With the default intervals. One minute: kubelet itself syncs a pod no more often. Ten
    /// seconds while degraded: soon enough for any deadline of a token, and a rescan of hundreds of
    /// tokens costs a few milliseconds.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self {
            roots,
            rescan: Duration::from_mins(1),
            degraded_rescan: Duration::from_secs(10),
            max_watches: None,
            search: None,
            followers: TokenVolumes::default(),
            rescanned: Arc::default(),
            keys: SharedKeys::default(),
            watchdog: Watchdog::default(),
            expected: ExpectedTokens::default(),
        }
    }

    /// Time between rescans while something cannot be watched. Never longer than otherwise.
    fn while_degraded(&self) -> Duration {
        self.degraded_rescan.min(self.rescan)
    }
}

/// Reports what changes until the receiver is dropped.
pub async fn run(config: FilesConfig, observations: Sender<Observation>) {
    let (events, inbox) = EventQueue::new();
    let _stop_when_dropped = Stopper(events.clone());
    let (queue, out, expected) = (events.clone(), observations.clone(), config.expected.clone());
    let watchdog = config.watchdog.clone();
    let started = start_thread(move || Worker::new(config, queue, inbox, out).run());
    if let Err(error) = started {
        return report_no_thread(&error, &observations).await;
    }
    let followed = async {
        tokio::join!(
            follow(&expected, &events),
            resume(&watchdog, &events),
            mounts::follow(&events)
        )
    };
    tokio::select! {
        () = observations.closed() => {}
        _ = followed => {}
    }
}

/// Passes on that tokens are expected elsewhere. Never ends.
async fn follow(expected: &ExpectedTokens, events: &EventQueue) {
    loop {
        expected.changed().await;
        events.push(FileEvent::Expected);
    }
}

/// Passes on that everything has to be read again. Never ends.
async fn resume(watchdog: &Watchdog, events: &EventQueue) {
    loop {
        watchdog.again().await;
        events.push(FileEvent::Resumed);
    }
}

fn start_thread(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name("files".to_owned()).spawn(work).map(drop)
}

/// Stops the thread when `run` ends, in whatever way.
struct Stopper(EventQueue);

impl Drop for Stopper {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Without the thread there are no observations, which must not look like a healthy source.
async fn report_no_thread(error: &std::io::Error, observations: &Sender<Observation>) {
    let reason = format!("cannot start the thread that reads token files: {error}");
    if let Some(health) = Health::new(Source::Files).update(Some(reason)) {
        let _ = observations.send(health).await; // without a receiver nobody needs it
    }
}

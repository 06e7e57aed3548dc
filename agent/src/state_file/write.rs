//! Saves the active findings whenever they have changed and were delivered, and every minute.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenwatch_core::base::secrecy::redacted;
use tokenwatch_core::engine::Report;
use tokenwatch_core::findings::FindingId;
use tokenwatch_core::ledger::{self, Restored};
use tokenwatch_core::world::readers::KnownHabit;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::format::{Content, VERSION, path_in};
use super::{Error, Lock};
use crate::clocks;
use crate::recurring::Recurring;
use crate::regular_file;

/// How often the file is written without a change. After a restart the agent knows to the minute
/// how long none was running.
const INTERVAL: Duration = Duration::from_mins(1);

/// A disk that takes longer for a few kilobytes hangs.
const SLOW: Duration = Duration::from_secs(30);

/// Where the state is saved, for which node, and what it is at start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory; created if it does not exist.
    pub directory: PathBuf,
    /// The node, because a state file is of no use on another one.
    pub node: String,
    /// The findings that were restored.
    pub restored: Vec<Restored>,
}

/// The habits of readers that the agent has learned so far.
pub type HabitSource = Arc<dyn Fn() -> Vec<KnownHabit> + Send + Sync>;

/// A finding that is active now, or one that no longer is.
pub type Change = (FindingId, Option<Restored>);

type Findings = BTreeMap<FindingId, Restored>;

/// The changes that these reports make to the active findings.
pub fn changes(reports: &[Report]) -> Vec<Change> {
    let change = |report: &Report| match report {
        Report::Alert(alert) => Some(ledger::after(alert)),
        Report::Span(_) | Report::Rotation { .. } => None,
    };
    reports.iter().filter_map(change).collect()
}

#[derive(Debug, Default)]
struct Shared {
    active: Mutex<Findings>,
    changed: Notify,
}

impl Shared {
    fn active(&self) -> MutexGuard<'_, Findings> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state file of a running agent: the active findings, and the task that saves them.
#[derive(Debug)]
pub struct StateFile {
    shared: Arc<Shared>,
    closing: watch::Sender<bool>,
    writer: JoinHandle<()>,
    /// Kept until everything is written.
    _lock: Option<Lock>,
}

impl StateFile {
    /// Starts the task, on the current tokio runtime. `undelivered` counts alerts that are queued
    /// for delivery.
    pub(crate) fn start(
        config: Config,
        lock: Option<Lock>,
        habits: HabitSource,
        undelivered: watch::Receiver<u64>,
    ) -> Self {
        let restored = config.restored.into_iter();
        let delivered: Findings =
            restored.map(|restored| (restored.finding.id(&config.node), restored)).collect();
        let active = Mutex::new(delivered.clone());
        let shared = Arc::new(Shared { active, changed: Notify::new() });
        let (closing, closed) = watch::channel(false);
        let file = File { directory: config.directory, node: config.node };
        let of_writer = Arc::clone(&shared);
        let writer = Writer {
            shared: of_writer,
            habits,
            undelivered,
            delivered,
            file,
            trouble: Recurring::default(),
        };
        Self { shared, closing, writer: tokio::spawn(writer.run(closed)), _lock: lock }
    }

    /// Applies changes. Their alerts must have been queued for delivery before.
    pub(crate) fn apply(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let mut active = self.shared.active();
        for (id, change) in changes {
            match change {
                Some(restored) => active.insert(id, restored),
                None => active.remove(&id),
            };
        }
        drop(active);
        self.shared.changed.notify_one();
    }

    /// Saves the last state, after the last delivery.
    pub(crate) async fn finish(self) {
        self.closing.send_replace(true);
        let _ = self.writer.await; // it ended, or it panicked and the panic was printed
    }
}

struct Writer {
    shared: Arc<Shared>,
    habits: HabitSource,
    undelivered: watch::Receiver<u64>,
    /// The last state of which every alert was delivered.
    delivered: Findings,
    file: File,
    trouble: Recurring<Option<io::ErrorKind>>,
}

impl Writer {
    async fn run(mut self, mut closing: watch::Receiver<bool>) {
        loop {
            self.write().await;
            tokio::select! {
                () = self.delivered_change() => {}
                () = tokio::time::sleep(INTERVAL) => {}
                _ = closing.wait_for(|closing| *closing) => break,
            }
        }
        self.write().await;
    }

    /// Returns when something has changed and all alerts are delivered.
    async fn delivered_change(&mut self) {
        self.shared.changed.notified().await;
        if self.undelivered.wait_for(|count| *count == 0).await.is_err() {
            // Delivery has ended: the agent stops, and `finish` writes the file.
            std::future::pending::<()>().await;
        }
    }

    async fn write(&mut self) {
        let active = self.shared.active().clone();
        if *self.undelivered.borrow() == 0 {
            self.delivered = active;
        }
        let (file, findings, habits) = (self.file.clone(), self.delivered.clone(), (self.habits)());
        // On a thread for blocking work, because a disk may be slow.
        let mut writing = tokio::task::spawn_blocking(move || file.write(&findings, habits));
        let Ok(written) = tokio::time::timeout(SLOW, &mut writing).await else {
            tracing::warn!(
                "active findings not saved: the disk of state.dir has not answered for 30 s; after \
                 a restart the agent raises them again"
            );
            return drop(writing.await); // never two at once
        };
        if let Ok(written) = written {
            self.log(&written);
        }
    }

    fn log(&mut self, written: &Result<(), Error>) {
        let now = clocks::timer();
        match written {
            Ok(()) => {
                if self.trouble.succeeded(now).is_some() {
                    tracing::info!("active findings are saved again");
                }
            }
            Err(error) => {
                if self.trouble.failed(error.io_kind(), now).is_some() {
                    tracing::warn!(%error, "active findings not saved");
                }
            }
        }
    }
}

/// The file, which is replaced as a whole.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) directory: PathBuf,
    pub(super) node: String,
}

impl File {
    pub(super) fn write(
        &self,
        findings: &BTreeMap<FindingId, Restored>,
        habits: Vec<KnownHabit>,
    ) -> Result<(), Error> {
        let content = Content {
            version: VERSION,
            node: self.node.as_str(),
            alive_at: clocks::now().wall,
            findings: findings.values().collect::<Vec<&Restored>>(),
            habits,
        };
        let path = path_in(&self.directory);
        serde_json::to_string(&content)
            .map_err(io::Error::from)
            .and_then(|text| replace(&path, redacted(&text).as_bytes()))
            .map_err(|error| Error::Write { path, error })
    }
}

/// Writes `bytes` beside the file and renames them into its place. Only the owner may read them.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let new = path.with_extension("json.new");
    let mut file = regular_file::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(new, path)
}

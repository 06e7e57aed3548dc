//! Saves the active findings whenever they have changed and were delivered, and every minute.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenwatch_core::base::secrecy::redacted;
use tokenwatch_core::base::shares::in_turn;
use tokenwatch_core::engine::Report;
use tokenwatch_core::findings::{Finding, FindingId};
use tokenwatch_core::ledger::{self, Restored};
use tokenwatch_core::world::Learned;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::format::{Content, FINDINGS_BYTES, HABITS_BYTES, HELD_BYTES, VERSION, fitting, path_in};
use super::{Error, Lock};
use crate::clocks;
use crate::recurring::Recurring;
use crate::regular_file;

/// How often the file is written without a change. After a restart the agent knows to the minute
/// how long none was running.
const INTERVAL: Duration = Duration::from_mins(1);
/// The same after the start: by then the agent has seen every token, and an agent that ends soon
/// need not leave the next one without that.
const SOON: Duration = Duration::from_secs(10);

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

/// What the agent has learned so far.
pub type LearnedSource = Arc<dyn Fn() -> Learned + Send + Sync>;

/// The findings whose last alert no collector has accepted, read whenever the state is saved.
pub type OwedSource = Arc<dyn Fn() -> BTreeSet<FindingId> + Send + Sync>;

/// For a sink of which nobody has to accept anything.
pub fn nothing_owed() -> OwedSource {
    Arc::new(BTreeSet::new)
}

/// What is known of the delivery of alerts.
pub struct Delivery {
    /// How many alerts no collector has accepted yet.
    pub undelivered: watch::Receiver<u64>,
    /// The findings that they are about, and those whose last alert was lost.
    pub owed: OwedSource,
}

/// A finding that is active now, or one that no longer is.
pub type Change = (FindingId, Option<Restored>);

/// Shared, because a finding takes some kilobytes.
type Findings = BTreeMap<FindingId, Arc<Restored>>;

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
    /// Starts the task, on the current tokio runtime.
    pub(crate) fn start(
        config: Config,
        lock: Option<Lock>,
        learned: LearnedSource,
        delivery: Delivery,
    ) -> Self {
        let known = |one: Restored| (one.finding.id(&config.node), Arc::new(one));
        let delivered: Findings = config.restored.into_iter().map(known).collect();
        let active = Mutex::new(delivered.clone());
        let shared = Arc::new(Shared { active, changed: Notify::new() });
        let (closing, closed) = watch::channel(false);
        let file = File { directory: config.directory, node: config.node };
        let of_writer = Arc::clone(&shared);
        let writer = Writer {
            shared: of_writer,
            learned,
            delivery,
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
                Some(restored) => active.insert(id, Arc::new(restored)),
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

/// How long to wait after so many bytes were written. Findings that change without a pause must not
/// wear out a disk: this is a megabyte a second at most. A file of usual size is written at once.
fn pause_after(bytes: usize) -> Duration {
    Duration::from_micros(bytes as u64)
}

struct Writer {
    shared: Arc<Shared>,
    learned: LearnedSource,
    delivery: Delivery,
    /// Each finding as its last alert that a collector accepted had it.
    delivered: Findings,
    file: File,
    trouble: Recurring<Option<io::ErrorKind>>,
}

impl Writer {
    async fn run(mut self, mut closing: watch::Receiver<bool>) {
        let mut pause = SOON;
        loop {
            let bytes = self.write().await;
            tokio::select! {
                () = self.delivered_change(pause_after(bytes)) => {}
                () = tokio::time::sleep(pause) => pause = INTERVAL,
                _ = closing.wait_for(|closing| *closing) => break,
            }
        }
        self.write().await;
    }

    /// Returns when another finding is active, or none any more, and its alert was accepted. Not
    /// before `pause` has passed.
    async fn delivered_change(&mut self, pause: Duration) {
        tokio::time::sleep(pause).await;
        while !self.take_delivered() {
            tokio::select! {
                () = self.shared.changed.notified() => {}
                ended = self.delivery.undelivered.changed() => if ended.is_err() {
                    // Delivery has ended: the agent stops, and `finish` writes the file.
                    std::future::pending::<()>().await;
                },
            }
        }
    }

    /// Takes what was accepted since. Returns whether that changes anything. What is owed is read
    /// last: so an alert that comes in between counts as owed.
    fn take_delivered(&mut self) -> bool {
        let active = self.shared.active().clone();
        let owed = (self.delivery.owed)();
        let before = std::mem::take(&mut self.delivered);
        let kept = before.iter().filter(|(id, _)| owed.contains(*id));
        let accepted = active.iter().filter(|(id, _)| !owed.contains(*id));
        let shared =
            |(id, finding): (&FindingId, &Arc<Restored>)| (id.clone(), Arc::clone(finding));
        self.delivered = kept.chain(accepted).map(shared).collect();
        let mut pairs = before.values().zip(self.delivered.values());
        before.len() != self.delivered.len() || pairs.any(|(old, new)| !Arc::ptr_eq(old, new))
    }

    /// Returns how many bytes it wrote.
    async fn write(&mut self) -> usize {
        self.take_delivered();
        let (file, findings) = (self.file.clone(), self.delivered.clone());
        let learned = (self.learned)();
        // On a thread for blocking work, because a disk may be slow.
        let mut writing = tokio::task::spawn_blocking(move || file.write(&findings, &learned));
        let Ok(written) = tokio::time::timeout(SLOW, &mut writing).await else {
            tracing::warn!(
                "active findings not saved: the disk of state.dir has not answered for 30 s; after \
                 a restart the agent raises them again"
            );
            drop(writing.await); // never two at once
            return 0;
        };
        let Ok(written) = written else { return 0 };
        self.log(&written);
        written.unwrap_or_default()
    }

    fn log(&mut self, written: &Result<usize, Error>) {
        let now = clocks::timer();
        match written {
            Ok(_) if self.trouble.succeeded(now).is_some() => {
                tracing::info!("active findings are saved again");
            }
            Err(error) if self.trouble.failed(error.io_kind(), now).is_some() => {
                tracing::warn!(%error, "active findings not saved");
            }
            Ok(_) | Err(_) => {}
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
    pub(super) fn write(&self, findings: &Findings, learned: &Learned) -> Result<usize, Error> {
        let path = path_in(&self.directory);
        self.text(findings, learned)
            .map_err(io::Error::from)
            .and_then(|text| replace(&path, redacted(&text).as_bytes()).map(|()| text.len()))
            .map_err(|error| Error::Write { path, error })
    }

    /// No more than a reader takes.
    fn text(&self, findings: &Findings, learned: &Learned) -> serde_json::Result<String> {
        // Where there is no room for all, a pod with hundreds so loses its own.
        let findings = in_turn(findings.values().map(Arc::as_ref), |one| {
            let Finding { severity, subject, .. } = one.finding.as_ref();
            (Reverse(*severity), subject.pod_uid())
        });
        serde_json::to_string(&Content {
            version: VERSION,
            node: self.node.as_str(),
            alive_at: clocks::now().wall,
            findings: fitting(findings, FINDINGS_BYTES)?,
            habits: fitting(&learned.habits, HABITS_BYTES)?,
            held: fitting(&learned.held, HELD_BYTES)?,
        })
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

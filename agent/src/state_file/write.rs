//! Remembers active findings on the node's disk, so that the agent after this one neither raises
//! them again nor forgets to clear them.
//!
//! Written down is only what was delivered: an alert that still waits for a collector when the
//! agent dies is raised again by the next one, which is what "at least once" means. Findings hold
//! no byte of a token.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::engine::Report;
use tokenwatch_core::findings::FindingId;
use tokenwatch_core::ledger::{self, FILE, Restored, VERSION};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::clocks;

/// How often it is noted that the agent is alive: the next one can say how long nobody looked, to
/// the minute.
const ALIVE_EVERY: Duration = Duration::from_mins(1);

/// What the agent may write in is settled when it starts (`confinement`): another directory under
/// the same name is another one.
const CONFINED: &str = "; if the directory was made anew, or mounted, since the agent started, \
                        only a restart of the agent helps";

/// Where, whose, and with what it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory; made if it is not there.
    pub directory: PathBuf,
    /// The node: what another one remembered is none of ours.
    pub node: String,
    /// What was remembered so far.
    pub remembered: Vec<Restored>,
}

/// One finding that is active now, or not any more.
pub type Change = (FindingId, Option<Restored>);

type Findings = BTreeMap<FindingId, Restored>;

/// What is in the file.
#[derive(Debug, Serialize)]
struct Page<'a> {
    version: u32,
    node: &'a str,
    alive_at: Wall,
    findings: Vec<&'a Restored>,
}

#[derive(Debug, Default)]
struct Shared {
    active: Mutex<Findings>,
    news: Notify,
}

impl Shared {
    fn active(&self) -> MutexGuard<'_, Findings> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is active, and the task that writes it down.
#[derive(Debug)]
pub struct Notebook {
    shared: Arc<Shared>,
    closing: watch::Sender<bool>,
    worker: JoinHandle<()>,
}

/// What these actions leave to be remembered.
pub fn changes(actions: &[Report]) -> Vec<Change> {
    let alert = |action: &Report| {
        if let Report::Alert(alert) = action { Some(ledger::after(alert)) } else { None }
    };
    actions.iter().filter_map(alert).collect()
}

impl Notebook {
    /// Starts the task that writes, on the runtime it is called in. `undelivered` counts the alerts
    /// that were queued before they are told here.
    pub(crate) fn start(settings: Settings, undelivered: watch::Receiver<u64>) -> Self {
        let active: Findings = settings
            .remembered
            .into_iter()
            .map(|one| (one.finding.id(&settings.node), one))
            .collect();
        let shared = Arc::new(Shared { active: Mutex::new(active.clone()), news: Notify::new() });
        let (closing, closed) = watch::channel(false);
        let file = File { directory: settings.directory, node: settings.node, failed: false };
        let writer = Writer { shared: Arc::clone(&shared), undelivered, delivered: active, file };
        Self { shared, closing, worker: tokio::spawn(writer.run(closed)) }
    }

    /// Takes what changed; that must have been queued for delivery before.
    pub(crate) fn take(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let mut active = self.shared.active();
        for (id, one) in changes {
            match one {
                Some(one) => active.insert(id, one),
                None => active.remove(&id),
            };
        }
        drop(active);
        self.shared.news.notify_one();
    }

    /// Writes down the last state, once nothing is sent any more.
    pub(crate) async fn finish(self) {
        self.closing.send_replace(true);
        let _ = self.worker.await; // it ended, or it panicked and has said so
    }
}

struct Writer {
    shared: Arc<Shared>,
    undelivered: watch::Receiver<u64>,
    /// The last state of which all was delivered.
    delivered: Findings,
    file: File,
}

impl Writer {
    async fn run(mut self, mut closing: watch::Receiver<bool>) {
        loop {
            self.write().await;
            tokio::select! {
                () = self.news() => {}
                () = tokio::time::sleep(ALIVE_EVERY) => {}
                _ = closing.wait_for(|closing| *closing) => break,
            }
        }
        self.write().await;
    }

    /// Something is new, and all of it delivered.
    async fn news(&mut self) {
        self.shared.news.notified().await;
        if self.undelivered.wait_for(|count| *count == 0).await.is_err() {
            std::future::pending::<()>().await; // nothing is sent any more: the end is near, and writes
        }
    }

    async fn write(&mut self) {
        let active = self.shared.active().clone();
        if *self.undelivered.borrow() == 0 {
            self.delivered = active;
        }
        let (mut file, delivered) = (self.file.clone(), self.delivered.clone());
        // A disk may take its time: not on a thread that others wait for.
        if let Ok(file) =
            tokio::task::spawn_blocking(move || file.write(&delivered).then_some(file)).await
        {
            self.file.failed = file.is_none();
        }
    }
}

/// The file, written whole or not at all.
#[derive(Clone, Debug)]
struct File {
    directory: PathBuf,
    node: String,
    /// Whether the last time failed: that is said once.
    failed: bool,
}

impl File {
    fn write(&mut self, findings: &Findings) -> bool {
        let page = Page {
            version: VERSION,
            node: &self.node,
            alive_at: clocks::now().wall,
            findings: findings.values().collect(),
        };
        let written = serde_json::to_vec(&page)
            .map_err(io::Error::from)
            .and_then(|bytes| replace(&self.directory, &bytes));
        if let Err(why) = &written
            && !self.failed
        {
            let directory = self.directory.display();
            let confined =
                if why.kind() == io::ErrorKind::PermissionDenied { CONFINED } else { "" };
            tracing::warn!(
                "{directory}: active findings cannot be remembered ({why}): the next agent will \
                 raise them again. It is tried each minute{confined}"
            );
        }
        written.is_ok()
    }
}

/// Puts `bytes` in place of the file, for the owner alone to read.
fn replace(directory: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let (new, file) = (directory.join(format!("{FILE}.new")), directory.join(FILE));
    let mut options = std::fs::OpenOptions::new();
    let mut opened = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&new)?;
    opened.write_all(bytes)?;
    opened.sync_all()?;
    std::fs::rename(new, file)
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;

//! The folder of this run: its logs, and its clusters while they exist. A run that was killed
//! leaves clusters and processes behind. The next run removes them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PREFIX: &str = "tokenwatch-e2e-";

pub fn path() -> &'static Path {
    static RUN: LazyLock<Run> = LazyLock::new(|| {
        remove_abandoned();
        Run::begin(&std::process::id().to_string())
    });
    &RUN.path
}

/// Where the scripts of the test bed keep this run's clusters (`BED_STATE`).
pub fn clusters() -> PathBuf {
    clusters_in(path())
}

/// A run, as long as its process lives.
pub struct Run {
    path: PathBuf,
    /// The kernel releases it when this process ends, however it ends.
    _lock: File,
}

impl Run {
    pub fn begin(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{PREFIX}{name}"));
        std::fs::create_dir_all(&path).unwrap();
        let lock = File::open(&path).unwrap();
        lock.lock().unwrap();
        Self { path, _lock: lock }
    }

    pub fn clusters(&self) -> PathBuf {
        clusters_in(&self.path)
    }
}

fn clusters_in(run: &Path) -> PathBuf {
    run.join("clusters")
}

/// Removes the clusters and the processes of runs that were killed. Their logs stay. Only root has
/// clusters.
pub fn remove_abandoned() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let folders = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let runs = folders.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(PREFIX) && is_abandoned(path)
    });
    runs.for_each(|run| remove(&run));
}

fn is_abandoned(run: &Path) -> bool {
    clusters_in(run).exists() && File::open(run).is_ok_and(|folder| folder.try_lock().is_ok())
}

fn remove(run: &Path) {
    println!("[run] removing what the killed run in {} has left", run.display());
    writers(run).for_each(|pid| {
        let _ = kill(pid, Signal::SIGKILL); // fails if it has just ended
    });
    let mut down = Command::new(crate::bed::repository().join("tests/cluster/down"));
    let status = down.arg("--all").env("BED_STATE", clusters_in(run)).status().unwrap();
    if !status.success() {
        // What is left is in nobody's way: every run has folders, links and cgroups of its own.
        println!("[run] something of it is left: {status}");
    }
}

/// The processes whose output goes into a folder: the agents, collectors and time servers of a run.
fn writers(folder: &Path) -> impl Iterator<Item = Pid> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(move |process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let output = std::fs::read_link(process.path().join("fd/1")).ok()?;
        output.starts_with(folder).then(|| Pid::from_raw(pid))
    })
}

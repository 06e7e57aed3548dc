//! The processes of the node's pods, at the privilege level hostPID: which container runs since
//! when, how it has its token volumes mounted, and whether its pod is connected to the API server.
//!
//! Everything is read from files of procfs that need no ptrace check, so that it works whatever
//! user a process has, and within the agent's own confinement.

mod connections;
mod containers;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod look;
mod table;
mod verifiers;
mod volumes;

use std::time::Duration;

use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

use crate::clocks;
use crate::proc::{MountWatch, ProcFs};
use crate::sources::health::Source;
use crate::sources::send::send_all;
use crate::sources::watchdog::Watchdog;
pub use look::Looker;
pub use verifiers::Verifier;

/// From a change of the node's mounts to a look: kubelet starts containers right after it has
/// mounted their volumes. Also the shortest time between two looks.
const SETTLE: Duration = Duration::from_secs(5);
/// How much later the next look is if no mount changes, while a pod has a projected volume: 30 s
/// after the last one. A connection is visible for a minute after its end, so that none is missed;
/// and a look at 1,500 processes takes some 15 ms.
const QUIET: Duration = Duration::from_secs(25);

/// What to look at.
#[derive(Clone, Debug, Default)]
pub struct ProcessesConfig {
    /// The proc file system.
    pub proc: ProcFs,
    /// Who verifies tokens.
    pub verifiers: Vec<Verifier>,
    /// Whether the agent runs in a container, and so may be in a pod itself.
    pub is_in_container: bool,
}

/// Reports what changes until the receiver is dropped.
pub async fn run(config: ProcessesConfig, watchdog: Watchdog, observations: Sender<Observation>) {
    let progress = watchdog.follow(Source::Processes);
    let mut looker = Looker::new(config);
    let mounts = MountWatch::open().ok();
    loop {
        let progress = progress.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let look = || looker.look(clocks::now(), clocks::wall_minus_boottime());
            let seen = progress.during(look);
            (looker, seen)
        });
        let Ok((back, seen)) = looked.await else { return };
        looker = back;
        if !send_all(&observations, seen).await {
            return;
        }
        tokio::select! {
            () = next(mounts.as_ref(), looker.has_pods()) => {}
            () = observations.closed() => return,
        }
    }
}

/// Returns when it is time for a look: soon after a change of the mounts, and, if there are pods,
/// after [`QUIET`].
async fn next(mounts: Option<&MountWatch>, has_pods: bool) {
    let timer = async {
        if has_pods || mounts.is_none() {
            tokio::time::sleep(QUIET).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    let change = async {
        let Some(mounts) = mounts else { return std::future::pending().await };
        if mounts.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = timer => {}
        () = change => {}
    }
    tokio::time::sleep(SETTLE).await;
}

//! Who opens which token, from fanotify(7): each open with its process, and so its container.
//!
//! - `group`: the kernel's queue of events, created before the agent gives up CAP_SYS_ADMIN;
//! - `follow`, `places`: which directories it is about;
//! - `room`: which volumes are followed where there are too many;
//! - `record`: the events in it;
//! - `pace`, `recent`: when to read it, and what to leave out;
//! - `origin`: whether a process is of its container, or was started in it from outside;
//! - `worker`: the thread that does.
//!
//! `docs/design.md` explains why the events hold no descriptor and why there is no helper process.

mod follow;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod group;
mod origin;
mod pace;
mod places;
mod recent;
mod record;
mod room;
mod worker;

use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

use crate::sources::health::{Health, Source};
use crate::sources::watchdog::Watchdog;

pub use follow::Openers;
pub use group::{Group, Refused};
pub use places::VolumeId;
use worker::Worker;

/// Whether the agent may ask the kernel who opens files.
#[derive(Clone, Debug, Default)]
pub enum Access {
    /// It may.
    Granted(Openers),
    /// It has the capability, and the kernel refuses nevertheless.
    Refused(Refused),
    /// It does not have the privileges of the level `fanotify`.
    #[default]
    NotGranted,
}

/// Reports who opens the tokens of the followed volumes, until the receiver is dropped.
pub async fn run(openers: Openers, watchdog: Watchdog, observations: Sender<Observation>) {
    let progress = watchdog.follow(Source::Openers);
    openers.read_by(progress.clone());
    let worker = Worker::new(openers, observations.clone());
    let thread = std::thread::Builder::new().name("openers".to_owned());
    if let Err(error) = thread.spawn(move || worker.run(&progress)) {
        let reason = format!("cannot start the thread that reads fanotify events: {error}");
        if let Some(health) = Health::new(Source::Openers).update(Some(reason)) {
            let _ = observations.send(health).await; // without a receiver nobody needs it
        }
    }
    observations.closed().await;
}

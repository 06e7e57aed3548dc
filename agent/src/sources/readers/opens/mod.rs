//! Level `files`: who opens the token files, and who holds replaced ones, without a further
//! privilege and without the names of processes.
//!
//! - `volume`, `generation`, `files`: which opens are a client's;
//! - `held`: replaced generations that somebody holds;
//! - `own`: the agent's own opens;
//! - `reactions`: whether a watch that is set a moment late may have missed one;
//! - `room`: which volumes are followed where there are too many;
//! - `worker`, `pace`: when what is done.
//!
//! What the agent may have missed is reported, too: silence never means that nobody reads.

mod files;
mod found;
mod generation;
mod held;
mod instances;
mod links;
mod own;
mod pace;
mod reactions;
mod room;
mod spacing;
mod volume;
mod watches;
mod worker;

use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

use crate::sources::health::{Health, Source};
use crate::sources::readers::fanotify::Openers;
use crate::sources::token_volumes::TokenVolumes;
use crate::sources::watchdog::Watchdog;
use worker::Worker;

#[cfg(test)]
mod files_tests;

/// Reports who opens the tokens in these volumes, until the receiver is dropped. What `openers` see
/// is left to them: they know the process.
pub async fn run(
    volumes: TokenVolumes,
    openers: Option<Openers>,
    watchdog: Watchdog,
    observations: Sender<Observation>,
) {
    let (progress, out) = (watchdog.follow(Source::Readers), observations.clone());
    let _stop_when_dropped = Stopper(volumes.clone());
    let started = start_thread(move || Worker::new(volumes, openers, out).run(&progress));
    if let Err(error) = started {
        return report_no_thread(&error, &observations).await;
    }
    observations.closed().await;
}

fn start_thread(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name("readers".to_owned()).spawn(work).map(drop)
}

/// Stops the thread when `run` ends, in whatever way.
struct Stopper(TokenVolumes);

impl Drop for Stopper {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Without the thread there are no observations, which must not look like a healthy source.
async fn report_no_thread(error: &std::io::Error, observations: &Sender<Observation>) {
    let reason = format!("cannot start the thread that watches for readers: {error}");
    if let Some(health) = Health::new(Source::Readers).update(Some(reason)) {
        let _ = observations.send(health).await; // without a receiver nobody needs it
    }
}

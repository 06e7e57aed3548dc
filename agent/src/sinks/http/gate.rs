//! One at a time, and no more than a share of a core in all.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::clocks;

/// After work the door stays shut for so many times as long: whoever asks without end costs a tenth
/// of a core, and the engine is free for nine tenths of the time.
const REST: u32 = 9;
/// Nobody waits longer. A page of a full node takes a few milliseconds, so that this means hundreds
/// of requests before this one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lets one through at a time, in the order in which they came.
#[derive(Debug)]
pub(super) struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Gate {
    /// What `work` gives; nothing when too many are before.
    pub(super) async fn through<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let permit = timeout(PATIENCE, Arc::clone(&self.0).acquire_owned()).await.ok()?.ok()?;
        let began = clocks::timer();
        let done = work();
        let rest = (clocks::timer() - began) * REST;
        // The answer goes out meanwhile.
        tokio::spawn(async move {
            sleep(rest).await;
            drop(permit);
        });
        Some(done)
    }
}

//! A limit on the work for clients: one request at a time, and at most a tenth of a core.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::clocks;

/// The pause after each piece of work, as a multiple of its duration. Endless requests then cost a
/// tenth of a core, and the engine is free for nine tenths of the time.
const REST: u32 = 9;
/// Longest wait of a request for its turn. The page of a full node takes a few milliseconds, so a
/// longer wait means that hundreds of requests are waiting.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Runs work for one request at a time, in the order of arrival.
#[derive(Debug)]
pub(super) struct Throttle(Arc<Semaphore>);

impl Default for Throttle {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Throttle {
    /// Runs `work` when it is its turn. Nothing if the wait is too long.
    pub(super) async fn run<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let permit = timeout(LONGEST_WAIT, Arc::clone(&self.0).acquire_owned()).await.ok()?.ok()?;
        let began = clocks::thread_work();
        let done = work();
        let rest = clocks::thread_work().saturating_sub(began) * REST;
        // The response is sent during the pause.
        tokio::spawn(async move {
            sleep(rest).await;
            drop(permit);
        });
        Some(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_work_is_followed_by_a_rest() {
        let throttle = Throttle::default();
        let began = clocks::timer();
        // As of a process that is stopped meanwhile.
        let stopped = || std::thread::sleep(Duration::from_millis(600));
        throttle.run(stopped).await.unwrap();
        throttle.run(|| ()).await.unwrap();
        let took = clocks::timer() - began;
        assert!(took < Duration::from_secs(4), "nine times as long: {took:?}");
    }
}

//! Waiting for the real world, with a bound and a word for what did not come.

use std::time::{Duration, Instant};

/// Asks until there is an answer; panics with `what` when there is none in time.
pub fn until<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < within, "waited {within:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

//! Waits for something outside the test, with a limit, and a description if it does not come.

use std::time::{Duration, Instant};

/// A limit only ends a test that would wait for ever. A busy machine must not reach it.
const PATIENCE: Duration = Duration::from_mins(3);

/// Calls `probe` until it returns a value. Panics with `what` if there is none within that time, or
/// within [`PATIENCE`] if that is longer.
pub fn until<T>(what: &str, within: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let (started, within) = (Instant::now(), within.max(PATIENCE));
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(started.elapsed() < within, "waited {within:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

//! The code that the agent does not need while nothing happens.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::debug;

use crate::sys;

/// After a rescan: by then the agent has judged and queued what that found.
const SETTLED: Duration = Duration::from_secs(5);

/// Gives the program's code and constants back to the kernel after each rescan. The kernel maps 16
/// pages for each one that is used: of five megabytes that are resident after a rescan, it has used
/// a tenth. What is used again comes back within microseconds.
pub(super) async fn give_back(rescanned: Arc<Notify>) {
    loop {
        rescanned.notified().await;
        tokio::time::sleep(SETTLED).await;
        if let Err(error) = sys::give_code_back() {
            debug!(%error, "cannot give code back to the kernel");
            return;
        }
    }
}

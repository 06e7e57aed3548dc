//! The code that only the start of the agent needs.

use std::time::Duration;

use tracing::debug;

use crate::sys;

/// When the agent has started: it has read the tokens, found the time servers and connected.
const STARTED: Duration = Duration::from_secs(30);

/// Gives the program's code back to the kernel, once: some two of its seven megabytes are used by
/// the start alone. The rest comes back as soon as it is used, within microseconds.
pub(super) async fn give_back() {
    tokio::time::sleep(STARTED).await;
    let given = sys::give_code_back();
    debug!(?given, "gave the code of the start back");
}

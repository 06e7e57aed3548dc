//! The one file that reads clocks.

use nix::time::{ClockId, clock_gettime};
use tokenwatch_core::time::{Boot, Reading, Wall};

/// The node's clocks now. Boot is read on both sides of wall, and the middle taken: the two belong together to within the time of one call.
pub fn now() -> Reading {
    let before = nanos(ClockId::CLOCK_BOOTTIME);
    let wall = nanos(ClockId::CLOCK_REALTIME);
    let after = nanos(ClockId::CLOCK_BOOTTIME);
    Reading { wall: Wall::from_nanos(wall), boot: Boot::from_nanos(before + (after - before) / 2) }
}

/// Both clocks exist on every kernel that runs a kubelet; should one fail all the same, the epoch is a time nobody trusts.
fn nanos(clock: ClockId) -> i64 {
    clock_gettime(clock).map_or(0, |time| time.tv_sec().saturating_mul(1_000_000_000).saturating_add(time.tv_nsec()))
}

/// The runtime's timer now: for time-outs and for how often something is tried, never for a verdict.
pub fn timer() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

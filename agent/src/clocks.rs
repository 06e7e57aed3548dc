//! The one file that reads clocks.

#![expect(clippy::disallowed_methods, reason = "every other file is given a reading")]

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokenwatch_core::base::time::{Delta, Monotonic, Reading, Wall};

/// Nanoseconds that reading two clocks may take. A system call takes a tenth of this; if it took
/// longer, the thread was interrupted, and the clocks are read again.
const MAX_READING: i64 = 50_000;
/// Attempts at reading two clocks together. On a busy machine the best of them is used.
const ATTEMPTS: usize = 4;
/// Nanoseconds. No machine sleeps for less than 10 ms: a smaller difference is the error of reading
/// two clocks.
const MIN_SLEEP: i64 = 10_000_000;

/// The node's clocks now: the wall clock, and a clock that nobody sets or slews and that counts the
/// time in which the machine sleeps.
pub fn now() -> Reading {
    let (raw, wall) = together(ClockId::CLOCK_MONOTONIC_RAW, ClockId::CLOCK_REALTIME);
    Reading {
        wall: Wall::from_nanos(wall),
        monotonic: Monotonic::from_nanos(raw.saturating_add(slept())),
    }
}

/// Nanoseconds that the machine has slept since it started. CLOCK_MONOTONIC_RAW and CLOCK_MONOTONIC
/// stand still meanwhile; CLOCK_BOOTTIME does not, and differs from CLOCK_MONOTONIC in nothing
/// else.
fn slept() -> i64 {
    let (monotonic, boot) = together(ClockId::CLOCK_MONOTONIC, ClockId::CLOCK_BOOTTIME);
    let slept = boot - monotonic;
    if slept.abs() < MIN_SLEEP { 0 } else { slept }
}

/// Time since the machine started (CLOCK_BOOTTIME), in which the kernel counts the start of a
/// process.
pub fn since_boot() -> Delta {
    Delta::from_nanos(nanos(ClockId::CLOCK_BOOTTIME))
}

/// How far the wall clock is ahead of CLOCK_BOOTTIME. The kernel slews both alike, so this changes
/// only when the wall clock is set.
pub fn wall_minus_boottime() -> Delta {
    let (boot, wall) = together(ClockId::CLOCK_BOOTTIME, ClockId::CLOCK_REALTIME);
    Delta::from_nanos(wall.saturating_sub(boot))
}

/// Reads `base` before and after `other` and takes the middle: the two readings are simultaneous to
/// within the time of a call.
fn together(base: ClockId, other: ClockId) -> (i64, i64) {
    let read = || {
        let (before, other, after) = (nanos(base), nanos(other), nanos(base));
        (after - before, before + (after - before) / 2, other)
    };
    let mut best = read();
    for _ in 1..ATTEMPTS {
        if best.0 > MAX_READING {
            best = best.min(read());
        }
    }
    (best.1, best.2)
}

/// A clock in nanoseconds. These clocks exist on every kernel that runs a kubelet; if one failed,
/// the epoch would be a time that no verdict relies on.
fn nanos(clock: ClockId) -> i64 {
    clock_gettime(clock).map_or(0, |time| {
        time.tv_sec().saturating_mul(1_000_000_000).saturating_add(time.tv_nsec())
    })
}

/// Processor time that this thread has used. Time in which the process was stopped, or did not get
/// a processor, is none.
pub fn thread_work() -> Duration {
    let nanos = nanos(ClockId::CLOCK_THREAD_CPUTIME_ID);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())
}

/// The runtime's timer now: for timeouts and retries, never for a verdict.
pub fn timer() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

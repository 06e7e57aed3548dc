//! The one file that reads clocks.

#![expect(clippy::disallowed_methods, reason = "every other file is given a reading")]

use nix::time::{ClockId, clock_gettime};
use tokenwatch_core::base::time::{Delta, Monotonic, Reading, Wall};

/// Two clocks are read again while their readings are further apart than this: a system call takes
/// a tenth of it, so somebody else had the processor.
const CLOSE: i64 = 50_000;
/// On a machine that is busier than that, the best of so many must do.
const TRIES: usize = 4;
/// No machine sleeps for less than 10 ms: a smaller difference is what reading two clocks is worth,
/// not sleep.
const NO_SLEEP: i64 = 10_000_000;

/// The node's clocks now.
pub fn now() -> Reading {
    let (raw, wall) = together(ClockId::CLOCK_MONOTONIC_RAW, ClockId::CLOCK_REALTIME);
    Reading {
        wall: Wall::from_nanos(wall),
        monotonic: Monotonic::from_nanos(raw.saturating_add(slept())),
    }
}

/// The raw clock stands still while the machine sleeps. So does CLOCK_MONOTONIC, of which
/// CLOCK_BOOTTIME is ahead for that reason alone.
fn slept() -> i64 {
    let (monotonic, boot) = together(ClockId::CLOCK_MONOTONIC, ClockId::CLOCK_BOOTTIME);
    let slept = boot - monotonic;
    if slept.abs() < NO_SLEEP { 0 } else { slept }
}

/// How far the wall clock is ahead of CLOCK_BOOTTIME, with which it is slewed: this changes when
/// the wall clock is set, and at no other time.
pub fn set_to() -> Delta {
    let (boot, wall) = together(ClockId::CLOCK_BOOTTIME, ClockId::CLOCK_REALTIME);
    Delta::from_nanos(wall.saturating_sub(boot))
}

/// One clock on both sides of the other, and the middle taken: the two belong together to within
/// the time of a call.
fn together(base: ClockId, other: ClockId) -> (i64, i64) {
    let read = || {
        let (before, other, after) = (nanos(base), nanos(other), nanos(base));
        (after - before, before + (after - before) / 2, other)
    };
    let mut best = read();
    for _ in 1..TRIES {
        if best.0 > CLOSE {
            best = best.min(read());
        }
    }
    (best.1, best.2)
}

/// These clocks exist on every kernel that runs a kubelet; should one fail all the same, the epoch
/// is a time nobody trusts.
fn nanos(clock: ClockId) -> i64 {
    clock_gettime(clock).map_or(0, |time| {
        time.tv_sec().saturating_mul(1_000_000_000).saturating_add(time.tv_nsec())
    })
}

/// The runtime's timer now: for time-outs and for how often something is tried, never for a
/// verdict.
pub fn timer() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

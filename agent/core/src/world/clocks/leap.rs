//! Leap seconds: the only step of the wall clock that does not change its offset.

use super::types::{KernelClock, Leap, Step};
use crate::base::time::{Delta, Wall};

/// The agent detects steps from 100 ms on. Smaller ones may have added up to this much before.
const TOLERANCE: Delta = Delta::from_millis(100);
/// A leap second happens at midnight UTC. The agent sees the step when the kernel's timer wakes it,
/// which takes some time on a busy machine.
const NEAR_MIDNIGHT: Delta = Delta::from_secs(5);
const DAY: Delta = Delta::from_secs(86_400);

/// Whether `step` is the leap second that the time daemon has announced to the kernel for the end
/// of the day (STA_INS or STA_DEL, adjtimex(2)).
pub(crate) fn is_leap_second(step: &Step, kernel: Option<&KernelClock>) -> bool {
    let announced = match kernel.map(|kernel| kernel.leap) {
        Some(Leap::Insert) => Delta::from_secs(-1),
        Some(Leap::Delete) => Delta::from_secs(1),
        Some(Leap::None | Leap::Unsynchronised) | None => return false,
    };
    (step.size - announced).abs() <= TOLERANCE
        && distance_from_midnight(step.after.wall) <= NEAR_MIDNIGHT
}

fn distance_from_midnight(wall: Wall) -> Delta {
    let since = Delta::from_nanos(wall.as_nanos().rem_euclid(DAY.as_nanos()));
    since.min(DAY - since)
}

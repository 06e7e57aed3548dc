//! A leap second: the one step of the wall clock that is right.

use super::types::{KernelClock, Leap, Step};
use crate::base::time::{Delta, Wall};

/// Steps are seen from 100 ms on: what was left of smaller ones may be in this one.
const TOLERANCE: Delta = Delta::from_millis(100);
/// It happens at midnight (UTC) and is seen when the kernel's alarm has woken us: on a busy machine
/// that takes its time.
const NEAR_MIDNIGHT: Delta = Delta::from_secs(5);
const DAY: Delta = Delta::from_secs(86_400);

/// Whether a step is the second that the kernel was told (by its daemon, STA_INS or STA_DEL) to
/// insert or leave out at the end of the day.
pub(crate) fn is_leap_second(step: &Step, kernel: Option<&KernelClock>) -> bool {
    let announced = match kernel.map(|kernel| kernel.leap) {
        Some(Leap::Insert) => Delta::from_secs(-1),
        Some(Leap::Delete) => Delta::from_secs(1),
        Some(Leap::None | Leap::Unsynchronised) | None => return false,
    };
    (step.size - announced).abs() <= TOLERANCE && from_midnight(step.after.wall) <= NEAR_MIDNIGHT
}

fn from_midnight(wall: Wall) -> Delta {
    let since = Delta::from_nanos(wall.as_nanos().rem_euclid(DAY.as_nanos()));
    since.min(DAY - since)
}

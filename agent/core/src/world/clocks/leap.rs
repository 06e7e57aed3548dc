//! Leap seconds: the only step of the wall clock that does not change its offset, and a reason why
//! servers that are right differ by up to a second for a day.

use super::types::{KernelClock, Leap, Round, Step};
use crate::base::time::{Delta, Monotonic, Reading, Wall};

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

/// What shows that servers may smear a leap second: they spread it over a day, so that they differ
/// by up to a second from those that do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Smear {
    /// A server or the kernel announces a leap second, or did within [`SMEARED`].
    Announced,
    /// It is the end of June or of December, where all leap seconds have been (IERS Bulletin C).
    /// The announcement ends with the leap second, and a smear hours later: an agent that starts
    /// in between sees none.
    Date,
}

/// What is known of leap seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LeapSeconds {
    /// When one was last announced.
    announced: Option<Monotonic>,
    /// Whether the last step of the wall clock was one.
    pub(crate) was_step: bool,
}

/// A smear lasts for a day at most: from noon to noon (Google, AWS), or the day after.
const SMEARED: Delta = DAY;
/// The days around the ends of June and of December, as in RFC 3339.
const LEAP_DAYS: [&str; 4] = ["06-30", "07-01", "12-31", "01-01"];

impl LeapSeconds {
    /// Takes the leap indicators of a round.
    pub(crate) fn round(&mut self, round: &Round) {
        let samples = round.exchanges.iter().filter_map(|exchange| exchange.result.as_ref().ok());
        if samples.into_iter().any(|sample| is_announcement(sample.leap)) {
            self.announced = Some(round.ended.monotonic);
        }
    }

    /// Takes a report of the kernel.
    pub(crate) fn kernel(&mut self, kernel: &KernelClock) {
        if is_announcement(kernel.leap) {
            self.announced = Some(kernel.taken.monotonic);
        }
    }

    /// What shows at `now` that servers may smear a leap second, if true time is about `time`.
    pub(crate) fn smear(&self, now: &Reading, time: Wall) -> Option<Smear> {
        if self.announced.is_some_and(|at| now.monotonic - at < SMEARED) {
            return Some(Smear::Announced);
        }
        let text = time.rfc3339();
        LEAP_DAYS.iter().any(|day| text.get(5..10) == Some(*day)).then_some(Smear::Date)
    }
}

fn is_announcement(leap: Leap) -> bool {
    match leap {
        Leap::Insert | Leap::Delete => true,
        Leap::None | Leap::Unsynchronised => false,
    }
}

fn distance_from_midnight(wall: Wall) -> Delta {
    let since = Delta::from_nanos(wall.as_nanos().rem_euclid(DAY.as_nanos()));
    since.min(DAY - since)
}

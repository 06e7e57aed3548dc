//! What need not be read again, because it provably has not changed.
//!
//! A stamp is an inode's identity, size and ctime. Every change of an inode sets its ctime to the
//! node's wall clock, and no program can set a ctime. So an equal stamp means equal content, unless
//! a change *after* the stamp was taken resulted in the same ctime. There are two ways:
//!
//! - A change in the same tick of the kernel's clock. So a stamp is trusted only if its ctime was
//!   already [`MIN_AGE`] old when the stamp was taken: any later change has a later ctime. (A ctime
//!   in the future, after a clock was set back, is never old enough: such a file is read each
//!   time.)
//! - A change after the wall clock was set back. Slewing never makes it run backwards, but a step
//!   does. The wall clock minus the monotonic clock is constant except for steps, so a step back
//!   shows in it, however long ago it was. After one, no earlier stamp is trusted, and everything
//!   is read again. After steps back of less than [`TOLERANCE`] in total, a later change still has
//!   a later ctime than a trusted one.
//!
//! What remains needs a program that writes in place, to the same inode, which kubelet never does:
//! either a step back, a change that hits the old ctime to the nanosecond, and a step forward,
//! all between two scans; or a write through a shared mapping, for which tmpfs sets no ctime.
//!
//! Stamps only save reading. Reports follow from what was read: a rotation is a new `jti` or `iat`.

use tokenwatch_core::base::time::{Delta, Reading, Wall};

use crate::sources::tokens::Stamp;

/// Age from which on a ctime is trusted. A tick of the kernel's clock is at most 10 ms (100 Hz);
/// the rest leaves room for [`TOLERANCE`].
const MIN_AGE: Delta = Delta::from_secs(1);
/// Steps back that are ignored. Reading two clocks one after the other can be interrupted, which
/// looks like a step. Half of [`MIN_AGE`], so that the other half remains.
const TOLERANCE: Delta = Delta::from_millis(500);

/// Counts how often the wall clock was set back. An era is the time between two such steps.
#[derive(Debug, Default)]
pub(super) struct ClockEras {
    /// The most that the wall clock was ahead of the monotonic clock in this era.
    ahead: Option<Delta>,
    era: u32,
}

/// When a scan began. Taken before any stamp of that scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    wall: Wall,
    era: u32,
}

/// A stamp whose ctime was old enough when it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrustedStamp {
    stamp: Stamp,
    era: u32,
}

impl Moment {
    /// The node's clock at that moment.
    pub(super) fn wall(self) -> Wall {
        self.wall
    }
}

impl ClockEras {
    /// The moment of this reading. Begins a new era if the wall clock was set back.
    pub(super) fn moment(&mut self, now: Reading) -> Moment {
        let ahead = Delta::from_nanos(now.wall.as_nanos().saturating_sub(now.monotonic.as_nanos()));
        let highest = self.ahead.map_or(ahead, |before| before.max(ahead));
        if highest - ahead > TOLERANCE {
            self.era = self.era.wrapping_add(1);
            self.ahead = Some(ahead);
        } else {
            self.ahead = Some(highest);
        }
        Moment { wall: now.wall, era: self.era }
    }
}

impl TrustedStamp {
    /// The stamp, if it is old enough to be trusted.
    pub(super) fn new(stamp: Stamp, at: Moment) -> Option<Self> {
        let age = at.wall - Wall::from_nanos(stamp.changed_nanos());
        (age > MIN_AGE).then_some(Self { stamp, era: at.era })
    }

    /// Whether nothing has changed, given what the stamp is now.
    pub(super) fn is_current(&self, now: nix::Result<Stamp>, at: Moment) -> bool {
        self.era == at.era && now == Ok(self.stamp)
    }
}

#[cfg(test)]
#[path = "stamps_tests.rs"]
mod tests;

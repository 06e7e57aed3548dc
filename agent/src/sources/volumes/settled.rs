//! What need not be read again, because it provably has not changed.
//!
//! A stamp is an inode's identity, size and ctime. Every change of an inode sets its ctime to the
//! node's wall clock, and nobody can set it otherwise. So an equal stamp means the same content,
//! unless a change *after* the stamp was taken gave the same ctime again:
//!
//! - In the same tick of the kernel's clock. So a stamp counts only if its ctime was already
//!   [`SETTLED`] old when it was taken: whatever comes later gets a later ctime. (A ctime in the
//!   future, after a clock was set back, is never old enough: read every time.)
//! - After the wall clock was set back. Slewing never makes it run backwards, but a step does. Wall
//!   less boot clock is constant but for steps (both are slewed alike), so a step back shows in it,
//!   however long ago: then every stamp of before counts no longer, and everything is read once
//!   more. Steps back of less than [`TOLERANCE`] in all leave a later change still later than a
//!   settled ctime.
//!
//! What remains needs somebody to write in place, to the same inode, which kubelet never does: a
//! step back, a change that hits the old ctime to the nanosecond, and a step forward again, all
//! between two looks; or a write through a shared mapping, which tmpfs does not stamp.
//!
//! The stamp only spares the reading. What is said follows from what was read: a rotation is a new
//! `jti` or `iat`.

use tokenwatch_core::base::time::{Delta, Reading, Wall};

use crate::sources::tokens::Stamp;

/// A tick is 10 ms at most (100 Hz); this is plenty, and leaves room for [`TOLERANCE`].
const SETTLED: Delta = Delta::from_secs(1);
/// Reading two clocks one after the other can be interrupted, which looks like a step; half of
/// [`SETTLED`] leaves the other half.
const TOLERANCE: Delta = Delta::from_millis(500);

/// Notices that the wall clock was set back.
#[derive(Debug, Default)]
pub(super) struct Eras {
    /// The most that the wall clock was ahead of the boot clock in this era.
    ahead: Option<Delta>,
    era: u32,
}

/// When a look began. Taken before any stamp of the look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    wall: Wall,
    era: u32,
}

/// A stamp that was old enough when it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    stamp: Stamp,
    era: u32,
}

impl Eras {
    /// The moment of this reading; a new era, if the wall clock was set back since the last.
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

impl Settled {
    /// If the stamp may be relied on.
    pub(super) fn of(stamp: Stamp, at: Moment) -> Option<Self> {
        let age = at.wall - Wall::from_nanos(stamp.changed_nanos());
        (age > SETTLED).then_some(Self { stamp, era: at.era })
    }

    /// Whether nothing changed since: `now` is what the stamp is now.
    pub(super) fn holds(&self, now: nix::Result<Stamp>, at: Moment) -> bool {
        self.era == at.era && now == Ok(self.stamp)
    }
}

#[cfg(test)]
#[path = "settled_tests.rs"]
mod tests;

//! How often kubelet syncs one volume.

use crate::base::time::{Delta, Monotonic};

/// Times between two syncs that are kept: ten minutes at kubelet's default.
const KEPT: u8 = 8;
/// Times that show a rhythm.
const ENOUGH: usize = 3;
/// A healthy kubelet syncs a pod after 1.0 to 1.5 times its `syncFrequency` (pod_workers.go), so
/// that no time is longer than one and a half of another. This is 5/3 of the longest …
const LONGEST_TIMES: (i64, i64) = (5, 3);
/// … and what a busy node adds.
const BUSY: Delta = Delta::from_secs(10);

/// When kubelet synced a volume, as far as the agent saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rhythm {
    /// The last sync; or since when there was none, if none was seen.
    last: Monotonic,
    /// Whether `last` is a sync that was seen.
    is_sync: bool,
    /// Whether the time before the next sync is certain.
    is_unbroken: bool,
    /// The last times between two syncs, in seconds; the newest is the first.
    spacings: [u16; KEPT as usize],
    count: u8,
}

impl Rhythm {
    /// Of a volume that is watched since `now`.
    pub(super) fn new(now: Monotonic) -> Self {
        let (is_sync, is_unbroken) = (false, false);
        Self { last: now, is_sync, is_unbroken, spacings: [0; KEPT as usize], count: 0 }
    }

    pub(super) fn synced(&mut self, at: Monotonic) {
        if at <= self.last && self.is_sync {
            return;
        }
        if self.is_unbroken {
            let spacing = (at - self.last).as_secs().saturating_add(1); // rounded up
            self.spacings.rotate_right(1);
            self.spacings[0] = u16::try_from(spacing).unwrap_or(u16::MAX);
            self.count = (self.count + 1).min(KEPT);
        }
        (self.last, self.is_sync, self.is_unbroken) = (at, true, true);
    }

    /// A sync may have been missed by then.
    pub(super) fn interrupted(&mut self, by: Monotonic) {
        if by > self.last {
            (self.last, self.is_sync) = (by, false);
        }
        self.is_unbroken = false;
    }

    /// Since when there was no sync, and whether the one before was seen.
    pub(super) fn last(&self) -> (Monotonic, bool) {
        (self.last, self.is_sync)
    }

    /// How many syncs were seen from `from` on; the last ones are kept.
    pub(super) fn syncs_since(&self, from: Monotonic) -> u32 {
        let known = &self.spacings[..usize::from(self.count)];
        let before = known.iter().scan(self.last, |at, spacing| {
            *at = *at - Delta::from_secs(i64::from(*spacing));
            Some(*at)
        });
        let all = std::iter::once(self.last).filter(|_| self.is_sync).chain(before);
        let since = all.filter(|at| *at >= from).count();
        u32::try_from(since).unwrap_or(u32::MAX)
    }

    /// The longest time between two syncs, without the very longest: kubelet may have been held up
    /// once. None if too few were seen.
    pub(super) fn longest(&self) -> Option<Delta> {
        let mut known = self.spacings;
        let known = &mut known[..usize::from(self.count)];
        known.sort_unstable();
        let second = known.iter().rev().nth(1).filter(|_| known.len() >= ENOUGH)?;
        Some(Delta::from_secs(i64::from(*second)))
    }
}

/// The time without a sync that no healthy kubelet needs, if `longest` is the longest that it
/// needed.
pub(super) fn limit(longest: Delta) -> Delta {
    let (times, of) = LONGEST_TIMES;
    longest.fraction(times, of) + BUSY
}

//! How often kubelet syncs one volume.

use crate::base::time::{Delta, Monotonic};

/// Times between two syncs that are kept: ten minutes at kubelet's default.
const KEPT: u8 = 8;
/// Times that show a rhythm …
const ENOUGH: u8 = 3;
/// … if the volume was seen for so long: kubelet syncs a pod that starts more often.
const OBSERVED: Delta = Delta::from_secs(300);

/// A healthy kubelet syncs a pod after 1.0 to 1.5 times its `syncFrequency` (pod_workers.go), so
/// that no time is longer than one and a half of another. This is 5/3 of the longest …
const LONGEST_TIMES: (i64, i64) = (5, 3);
/// … and what a busy node adds.
pub(super) const BUSY: Delta = Delta::from_secs(10);

/// When kubelet synced a volume, as far as the agent saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rhythm {
    /// The last sync; or by when one may have been missed, if that is later.
    last: Monotonic,
    /// Whether `last` is a sync that was seen.
    is_sync: bool,
    /// The first sync.
    first: Option<Monotonic>,
    /// The last times between two syncs, in seconds; the newest is the first.
    spacings: [u16; KEPT as usize],
    count: u8,
    /// How many of them end with `last`, without a gap.
    unbroken: u8,
}

impl Rhythm {
    /// Of a volume that is watched since `now`.
    pub(super) fn new(now: Monotonic) -> Self {
        let spacings = [0; KEPT as usize];
        Self { last: now, is_sync: false, first: None, spacings, count: 0, unbroken: 0 }
    }

    /// kubelet synced it. A report may come late: what is older than the last gap shows nothing.
    pub(super) fn synced(&mut self, at: Monotonic) {
        if at <= self.last {
            return;
        }
        if self.is_sync {
            let spacing = (at - self.last).as_secs().saturating_add(1); // rounded up
            self.spacings.rotate_right(1);
            self.spacings[0] = u16::try_from(spacing).unwrap_or(u16::MAX);
            self.count = (self.count + 1).min(KEPT);
            self.unbroken = (self.unbroken + 1).min(KEPT);
        }
        self.first.get_or_insert(at);
        (self.last, self.is_sync) = (at, true);
    }

    /// A sync may have been missed by then.
    pub(super) fn interrupted(&mut self, by: Monotonic) {
        if by > self.last {
            (self.last, self.is_sync, self.unbroken) = (by, false, 0);
        }
    }

    /// Since when there was no sync.
    pub(super) fn last(&self) -> Monotonic {
        self.last
    }

    /// The last sync, if nothing may have been missed since.
    pub(super) fn last_sync(&self) -> Option<Monotonic> {
        Some(self.last).filter(|_| self.is_sync)
    }

    /// How many syncs were seen from `from` on, without a gap; the last ones are kept.
    pub(super) fn syncs_since(&self, from: Monotonic) -> u32 {
        let known = &self.spacings[..usize::from(self.unbroken)];
        let before = known.iter().scan(self.last, |at, spacing| {
            *at = *at - Delta::from_secs(i64::from(*spacing));
            Some(*at)
        });
        let since = self.last_sync().into_iter().chain(before).filter(|at| *at >= from).count();
        u32::try_from(since).unwrap_or(u32::MAX)
    }

    /// The longest time between two syncs; of many the second, because kubelet may have been held
    /// up once. None if too few were seen.
    pub(super) fn longest(&self) -> Option<Delta> {
        let mut known = self.spacings;
        let known = &mut known[..usize::from(self.count)];
        known.sort_unstable();
        let is_known = self.count >= ENOUGH && self.last - self.first? >= OBSERVED;
        let longest = known.iter().rev().nth(usize::from(self.count == KEPT))?;
        is_known.then(|| Delta::from_secs(i64::from(*longest)))
    }
}

/// The time without a sync that no healthy kubelet needs, if `longest` is the longest that it
/// needed.
pub(super) fn limit(longest: Delta) -> Delta {
    let (times, of) = LONGEST_TIMES;
    longest.fraction(times, of) + BUSY
}

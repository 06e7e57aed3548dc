//! Error bounds, and how they grow with age.

use super::types::{KernelClock, Sample};
use crate::base::time::{Delta, Monotonic, Reading, Wall};

/// Assumed frequency error of the hardware that measures age, in parts per million. Crystals are
/// specified with 20 to 100 ppm over their temperature range.
pub const HARDWARE_PPM: i64 = 100;
/// How far the frequency may wander from the value that the time daemon has measured, in parts per
/// million: PHI, the frequency tolerance by which dispersion grows (RFC 5905, section 7.2).
const WANDER_PPM: i64 = 15;
/// Largest frequency error that the kernel can correct, in parts per million (MAXFREQ in
/// include/linux/timex.h). The kernel grows `maxerror` at this rate (kernel/time/ntp.c).
const KERNEL_PPM: i64 = 500;
/// Fastest slew of the wall clock, in parts per million: adjtimex(2) accepts 10 % in `tick`, and
/// MAXFREQ in addition for each of `freq` and a single-shot adjustment.
const SLEW_PPM: i64 = 101_000;
/// Largest error bound at which the kernel's report confirms the clock. systemd-timesyncd may
/// update the kernel only every 2048 s, in which `maxerror` grows by 1.02 s: twice that.
const KERNEL_LIMIT: Delta = Delta::from_secs(2);
/// Smallest error bound taken from the kernel. systemd-timesyncd reports an error of zero, but no
/// measurement over a network is exact: half of a slow round trip.
const KERNEL_FLOOR: Delta = Delta::from_millis(100);

/// The interval of possible offsets: true time minus the wall clock is from `lo` to `hi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) lo: Delta,
    pub(crate) hi: Delta,
}

impl Range {
    pub(crate) fn around(offset: Delta, bound: Delta) -> Self {
        // A forged negative bound must not swap the ends.
        let bound = bound.max(Delta::ZERO);
        Self { lo: offset - bound, hi: offset + bound }
    }

    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.lo <= other.hi && other.lo <= self.hi
    }

    pub(crate) fn hull(self, other: Self) -> Self {
        Self { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    pub(crate) fn middle(&self) -> Delta {
        self.lo + (self.hi - self.lo).fraction(1, 2)
    }

    /// Distance from the middle to the farther end: the bound must not round down.
    pub(crate) fn half(&self) -> Delta {
        self.hi - self.middle()
    }

    /// The same, with more room at both ends.
    pub(crate) fn wider(self, by: Delta) -> Self {
        Self { lo: self.lo - by, hi: self.hi + by }
    }

    /// The same, from another origin.
    pub(crate) fn moved(self, by: Delta) -> Self {
        Self { lo: self.lo + by, hi: self.hi + by }
    }

    /// The offsets of this clock against another one.
    pub(crate) fn against(self, other: Self) -> Self {
        Self { lo: self.lo - other.hi, hi: self.hi - other.lo }
    }

    /// Distance from zero to the nearer end; none if zero is in it.
    pub(crate) fn nearest(&self) -> Delta {
        self.lo.max(-self.hi).max(Delta::ZERO)
    }

    /// Distance from zero to the farther end.
    pub(crate) fn farthest(&self) -> Delta {
        self.lo.abs().max(self.hi.abs())
    }
}

/// One measurement of true time: it was `truth ± bound` at `monotonic`. It does not depend on the
/// wall clock, so it stays valid when that is set or slewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fix {
    pub(crate) truth: Wall,
    pub(crate) monotonic: Monotonic,
    pub(crate) bound: Delta,
}

impl Fix {
    pub(crate) fn new(taken: &Reading, offset: Delta, bound: Delta) -> Self {
        Self { truth: taken.wall + offset, monotonic: taken.monotonic, bound }
    }

    pub(crate) fn of_sample(sample: &Sample) -> Self {
        Self::new(&sample.taken, sample.offset, sample.root_distance)
    }

    pub(crate) fn age(&self, now: &Reading) -> Delta {
        now.monotonic - self.monotonic
    }

    /// Moves the measurement by `size`, because UTC itself was stepped: a leap second.
    pub(crate) fn shift(&mut self, size: Delta) {
        self.truth = self.truth + size;
    }

    /// The possible offsets at `now`, if the monotonic clock is wrong by at most `ppm` parts per
    /// million.
    pub(crate) fn range(&self, now: &Reading, ppm: i64) -> Range {
        let age = self.age(now);
        Range::around(self.truth + age - now.wall, self.bound + age.drift(ppm))
    }
}

impl KernelClock {
    /// The measurement that the kernel's report stands for; nothing if no daemon synchronises the
    /// clock, or if the kernel's own bound is too wide.
    fn fix(&self) -> Option<Fix> {
        let bound = self.max_error.max(KERNEL_FLOOR);
        (self.synchronised && bound <= KERNEL_LIMIT)
            .then(|| Fix::new(&self.taken, Delta::ZERO, bound))
    }

    /// The possible offsets at `now`, if the kernel's report still confirms the clock.
    pub(crate) fn range(&self, now: &Reading) -> Option<Range> {
        let range = self.fix()?.range(now, KERNEL_PPM);
        // The wall clock was slewed or set since the report. Either that corrected an error, or it
        // introduced one. Nothing shows which, so the range covers both. After a large step that
        // is too wide, and proves nothing before the kernel's next report.
        let range = range.hull(Range::around(Delta::ZERO, range.half()));
        (range.half() <= KERNEL_LIMIT).then_some(range)
    }

    /// Whether this report would confirm the clock, had that not been set since.
    pub(crate) fn is_before_step(&self, now: &Reading) -> bool {
        self.fix().is_some_and(|fix| {
            fix.range(now, KERNEL_PPM).middle().abs() > fix.age(now).drift(SLEW_PPM)
        })
    }

    /// When this report stops confirming the clock, unless a new one arrives.
    pub(crate) fn expires(&self) -> Option<Monotonic> {
        let room = KERNEL_LIMIT - self.fix()?.bound;
        Some(self.taken.monotonic + room.fraction(1_000_000, KERNEL_PPM))
    }
}

/// The assumed frequency error of the hardware in parts per million: its specification, or the
/// value that the time daemon has measured if that is larger.
pub(crate) fn hardware_ppm(kernel: Option<&KernelClock>) -> i64 {
    let measured =
        kernel.map_or(0, |kernel| kernel.steering_ppm.saturating_abs().saturating_add(WANDER_PPM));
    measured.clamp(HARDWARE_PPM, KERNEL_PPM)
}

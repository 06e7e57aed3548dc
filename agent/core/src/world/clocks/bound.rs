//! How sure a reading is, and how that wears off with age.

use super::types::{KernelClock, Sample};
use crate::base::time::{Delta, Monotonic, Reading, Wall};

/// How far the hardware that measures age may be off: crystals are sold at 20 to 100 ppm over
/// temperature.
pub const HARDWARE_PPM: i64 = 100;
/// What hardware may wander about what its daemon has learned of it: RFC 5905's PHI, the frequency
/// tolerance that its dispersion grows by.
const WANDER_PPM: i64 = 15;
/// MAXFREQ (kernel/time/ntp.c): hardware that is further off cannot be kept at all. The kernel
/// grows `maxerror` by this much.
const KERNEL_PPM: i64 = 500;
/// The most that a clock can be slewed: adjtimex(2) takes a tenth in `tick`, and MAXFREQ on top of
/// it in each of `freq` and a single shot.
const SLEW_PPM: i64 = 101_000;
/// Beyond this the kernel's word proves nothing. systemd-timesyncd may leave 2048 s between two
/// updates, in which `maxerror` grows by 1.02 s: twice that.
const KERNEL_LIMIT: Delta = Delta::from_secs(2);
/// systemd-timesyncd tells the kernel that its error is zero. Nothing that was measured over a
/// network is that good: half a slow round trip.
const KERNEL_FLOOR: Delta = Delta::from_millis(100);

/// True time minus wall clock, from `lo` to `hi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) lo: Delta,
    pub(crate) hi: Delta,
}

impl Range {
    pub(crate) fn around(offset: Delta, bound: Delta) -> Self {
        let bound = bound.max(Delta::ZERO); // a hostile negative bound must not turn the range inside out
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

    /// From the middle to the farther end: halving rounds down, the bound must not.
    pub(crate) fn half(&self) -> Delta {
        self.hi - self.middle()
    }

    /// The end that is farther from zero.
    pub(crate) fn farthest(&self) -> Delta {
        self.lo.abs().max(self.hi.abs())
    }
}

/// True time was `truth ± bound` at `boot`. Says nothing of the wall clock, so that setting or
/// slewing it leaves this as true as before.
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

    /// UTC itself was stepped by `size`, as in a leap second.
    pub(crate) fn follow(&mut self, size: Delta) {
        self.truth = self.truth + size;
    }

    /// The offset at `now`, if what measures age is wrong by no more than `ppm`.
    pub(crate) fn range(&self, now: &Reading, ppm: i64) -> Range {
        let age = self.age(now);
        Range::around(self.truth + age - now.wall, self.bound + age.drift(ppm))
    }
}

impl KernelClock {
    /// What the kernel's word is worth: nothing when no daemon keeps the clock, or when its own
    /// bound is too wide.
    fn fix(&self) -> Option<Fix> {
        let bound = self.max_error.max(KERNEL_FLOOR);
        (self.synchronised && bound <= KERNEL_LIMIT)
            .then(|| Fix::new(&self.taken, Delta::ZERO, bound))
    }

    /// The offset at `now`, if the kernel still vouches for one.
    pub(crate) fn range(&self, now: &Reading) -> Option<Range> {
        let fix = self.fix()?;
        let mut range = fix.range(now, KERNEL_PPM);
        // A clock that was slewed since was wrong before, or is now. Its daemon believes the
        // former, and its word is all that there is: it may be either.
        if range.middle().abs() <= fix.age(now).drift(SLEW_PPM) {
            range = range.hull(Range::around(Delta::ZERO, range.half()));
        }
        (range.half() <= KERNEL_LIMIT).then_some(range)
    }

    /// From when on its word is worth nothing, unless it is heard again.
    pub(crate) fn expires(&self) -> Option<Monotonic> {
        let room = KERNEL_LIMIT - self.fix()?.bound;
        Some(self.taken.monotonic + room.fraction(1_000_000, KERNEL_PPM))
    }
}

/// How far off the hardware that measures age may be: as far as it is sold to be, or as its daemon
/// has found it to be.
pub(crate) fn hardware_ppm(kernel: Option<&KernelClock>) -> i64 {
    let learned =
        kernel.map_or(0, |kernel| kernel.steering_ppm.saturating_abs().saturating_add(WANDER_PPM));
    learned.clamp(HARDWARE_PPM, KERNEL_PPM)
}

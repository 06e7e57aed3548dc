//! Time as values: readings of the node's clocks, signed differences, and the interval that
//! contains true time.
//!
//! Nothing here reads a clock. All times are nanoseconds in `i64`, which lasts until the year 2262.
//! Arithmetic saturates: a forged `exp` of 2^63 gives a far deadline, not a panic.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

const NANOS: i64 = 1_000_000_000;

/// A signed difference between two times, in nanoseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Delta(i64);

impl Delta {
    /// No difference.
    pub const ZERO: Self = Self(0);
    /// The largest difference: about 292 years.
    pub const MAX: Self = Self(i64::MAX);

    /// A difference of `nanos` nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// A difference of `millis` milliseconds; saturates.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// A difference of `secs` seconds; saturates.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(NANOS))
    }

    /// A difference of `secs` seconds with a fraction; saturates. NaN gives zero.
    #[allow(clippy::cast_possible_truncation)] // `as` saturates, as intended
    pub fn from_secs_f64(secs: f64) -> Self {
        Self((secs * NANOS as f64) as i64)
    }

    /// The difference in nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// The difference in seconds, for telemetry.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / NANOS as f64
    }

    /// The difference in whole seconds, rounded towards negative infinity.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(NANOS)
    }

    /// Whether there is no difference.
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's `skip_serializing_if` passes it so
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// The absolute value.
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// `numerator / denominator` of this difference, rounded towards zero. Integer arithmetic keeps
    /// verdicts reproducible. A denominator below 1 counts as 1.
    #[allow(clippy::cast_possible_truncation)] // clamped to the range of i64 just before
    pub fn fraction(self, numerator: i64, denominator: i64) -> Self {
        let scaled = i128::from(self.0) * i128::from(numerator) / i128::from(denominator.max(1));
        Self(scaled.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }

    /// The largest drift of a clock that is wrong by at most `ppm` parts per million, while it
    /// measured this difference itself. The clock may be slow, so the true difference may be
    /// longer: hence the divisor.
    pub fn drift(self, ppm: i64) -> Self {
        self.abs().fraction(ppm, 1_000_000 - ppm)
    }

    /// As a standard duration. A negative difference gives zero.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }

    /// From a standard duration; saturates.
    pub fn from_std(duration: std::time::Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl std::ops::Add for Delta {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::Sub for Delta {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::ops::Neg for Delta {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

/// For people: `1h 02m`, `4m 05s`, `12.3s`, `1.2ms`. Only a negative difference has a sign.
impl fmt::Display for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let nanos = self.0.unsigned_abs();
        let rounded = |unit: u64| (nanos + unit / 2) / unit;
        let (secs, tenths, micros) = (rounded(1_000_000_000), rounded(100_000_000), rounded(1_000));
        match secs {
            _ if nanos < 1_000 => write!(f, "{nanos}ns"),
            _ if micros < 1_000 => write!(f, "{micros}us"),
            _ if rounded(100_000) < 10_000 => write!(f, "{:.1}ms", nanos as f64 / 1e6),
            _ if tenths < 600 => write!(f, "{}.{}s", tenths / 10, tenths % 10),
            60..3_600 => write!(f, "{}m {:02}s", secs / 60, secs % 60),
            3_600..172_800 => write!(f, "{}h {:02}m", secs / 3_600, secs % 3_600 / 60),
            _ => write!(f, "{}d {:02}h", secs / 86_400, secs % 86_400 / 3_600),
        }
    }
}

/// A time in UTC, in nanoseconds since the Unix epoch: a reading of CLOCK_REALTIME, or a time in a
/// token.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Wall(i64);

impl Wall {
    /// The time `nanos` nanoseconds after the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The time `secs` seconds after the epoch, the unit of NumericDate (RFC 7519, section 2);
    /// saturates.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(NANOS))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(NANOS)
    }

    /// RFC 3339 in UTC, to the second.
    pub fn rfc3339(self) -> String {
        self.utc().to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// `hh:mm:ss` in UTC.
    pub fn clock_time(self) -> String {
        self.utc().format("%H:%M:%S").to_string()
    }

    fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(self.0)
    }
}

/// A reading of the clock that measures age, in nanoseconds since boot: CLOCK_MONOTONIC_RAW plus
/// the time that the machine was suspended.
///
/// Nobody can set or slew this clock. CLOCK_MONOTONIC and CLOCK_BOOTTIME are slewed together with
/// the wall clock (clock_gettime(2)), so they cannot prove that the wall clock is right. The error
/// of this clock is that of the hardware (`HARDWARE_PPM` in `world::clocks`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Monotonic(i64);

impl Monotonic {
    /// The reading `nanos` nanoseconds after boot.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since boot.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }
}

macro_rules! point_arithmetic {
    ($point:ident) => {
        impl std::ops::Add<Delta> for $point {
            type Output = Self;
            fn add(self, delta: Delta) -> Self {
                Self(self.0.saturating_add(delta.0))
            }
        }
        impl std::ops::Sub<Delta> for $point {
            type Output = Self;
            fn sub(self, delta: Delta) -> Self {
                Self(self.0.saturating_sub(delta.0))
            }
        }
        impl std::ops::Sub for $point {
            type Output = Delta;
            fn sub(self, other: Self) -> Delta {
                Delta(self.0.saturating_sub(other.0))
            }
        }
    };
}
point_arithmetic!(Wall);
point_arithmetic!(Monotonic);

/// Both clocks of the node, read at the same moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// CLOCK_REALTIME: the time that kubelet and the pods see.
    pub wall: Wall,
    /// The clock that measures age.
    pub monotonic: Monotonic,
}

impl Reading {
    /// The wall clock at the moment `monotonic`, computed from this reading. Steps of the wall
    /// clock in between are left out.
    pub fn wall_at(&self, monotonic: Monotonic) -> Wall {
        self.wall + (monotonic - self.monotonic)
    }

    /// This reading with both clocks moved forward by `delta`.
    #[must_use]
    pub fn after(&self, delta: Delta) -> Self {
        Self { wall: self.wall + delta, monotonic: self.monotonic + delta }
    }
}

/// An interval that contains true time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// True time is not before this.
    pub lo: Wall,
    /// True time is not after this.
    pub hi: Wall,
}

impl Interval {
    /// The interval `wall + offset ± bound`. A negative bound counts as zero.
    pub fn new(wall: Wall, offset: Delta, bound: Delta) -> Self {
        let bound = bound.max(Delta::ZERO);
        Self { lo: wall + offset - bound, hi: wall + offset + bound }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_are_printed_for_people() {
        let cases = [
            (Delta::from_nanos(12), "12ns"),
            (Delta::from_nanos(81_000), "81us"),
            (Delta::from_nanos(1_200_000), "1.2ms"),
            (Delta::from_millis(12_340), "12.3s"),
            (Delta::from_secs(-245), "-4m 05s"),
            (Delta::from_nanos(999_960), "1.0ms"),
            (Delta::from_nanos(999_980_000), "1.0s"),
            (Delta::from_millis(59_960), "1m 00s"),
            (Delta::from_millis(89_999), "1m 30s"),
            (Delta::from_secs(3_720), "1h 02m"),
            (Delta::from_secs(864_000), "10d 00h"),
        ];
        for (delta, text) in cases {
            assert_eq!(delta.to_string(), text);
        }
    }

    #[test]
    fn extreme_times_saturate() {
        let far = Wall::from_secs(i64::MAX);
        assert_eq!(far + Delta::from_secs(1), far);
        assert!(far.rfc3339().starts_with("2262-"));
        assert_eq!(Delta::from_secs_f64(f64::NAN), Delta::ZERO);
        assert_eq!(
            Delta::MAX.fraction(80, 100).as_nanos(),
            i64::MAX / 100 * 80 + i64::MAX % 100 * 80 / 100
        );
    }
}

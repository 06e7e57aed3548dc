//! The time of a line. klog writes the month and the day, and the time of the node's time zone.

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, NaiveTime};
use tokenwatch_core::base::time::{Delta, Wall};

/// The offsets of time zones are multiples of this.
const ZONE_STEP: i64 = 900;
/// No time zone is farther from UTC.
const FARTHEST: i64 = 14 * 3_600 + ZONE_STEP;
const NANOS: i64 = 1_000_000_000;

/// When a line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sources) enum LineTime {
    /// A moment.
    At(Wall),
    /// In the node's time zone, in some year.
    Local(Local),
}

/// A month, a day and a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sources) struct Local {
    month: u32,
    day: u32,
    time: NaiveTime,
}

/// The time in the header `E1128 04:17:00.123456       1 x.go:75] `.
pub(in crate::sources) fn klog_time(line: &str) -> Option<Local> {
    let number = |from: usize, to: usize| line.get(from..to)?.parse::<u32>().ok();
    let time = line.get(6..)?.split(' ').next()?;
    let time = NaiveTime::parse_from_str(time, "%H:%M:%S%.f").ok()?;
    Some(Local { month: number(1, 3)?, day: number(3, 5)?, time })
}

/// The offset of the node's time zone, if the last line of a file has this time and the file was
/// written at `modified`. kubelet writes something every few seconds.
pub(in crate::sources) fn zone(last: Local, modified: Wall) -> Option<Delta> {
    let behind = (modified - last.as_utc(modified)?).as_secs();
    let zone = (behind + ZONE_STEP / 2).div_euclid(ZONE_STEP) * ZONE_STEP;
    (zone.abs() <= FARTHEST).then(|| Delta::from_secs(zone))
}

/// The time in a line of JSON, in milliseconds since 1970 with a fraction.
pub(in crate::sources) fn milliseconds(ts: f64) -> Option<Wall> {
    // From 1970 to 2255: what follows fits into 64 bits.
    let is_time = (0.0..9e12).contains(&ts);
    #[expect(clippy::cast_possible_truncation)] // the range was checked
    is_time.then(|| Wall::from_nanos((ts * 1e3) as i64 * 1_000))
}

impl Local {
    /// The moment, with what [`zone`] gave, and not later than the file was written.
    pub(in crate::sources) fn at(self, zone: Delta, modified: Wall) -> Option<Wall> {
        self.exact(zone, modified).map(|at| at.min(modified))
    }

    /// The moment, with what [`zone`] gave. The kernel dates a file by its last tick, which may be
    /// some milliseconds before the line was written.
    pub(in crate::sources) fn exact(self, zone: Delta, modified: Wall) -> Option<Wall> {
        Some(self.as_utc(modified)? + zone)
    }

    /// As if it were UTC, in the year that makes it closest to `near`.
    fn as_utc(self, near: Wall) -> Option<Wall> {
        let year = chrono::DateTime::from_timestamp(near.as_nanos().div_euclid(NANOS), 0)?.year();
        let in_year = |year| {
            let date = NaiveDate::from_ymd_opt(year, self.month, self.day)?;
            let nanos = NaiveDateTime::new(date, self.time).and_utc().timestamp_nanos_opt()?;
            Some(Wall::from_nanos(nanos))
        };
        let years = [year - 1, year, year + 1].into_iter().filter_map(in_year);
        years.min_by_key(|at| (*at - near).abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(text: &str) -> Wall {
        let time = chrono::DateTime::parse_from_rfc3339(text).unwrap();
        Wall::from_nanos(time.timestamp_nanos_opt().unwrap())
    }

    #[test]
    fn the_time_zone_and_the_year_follow_from_when_the_file_was_written() {
        let table = [
            // (last line, file written, an earlier line, when that was)
            ("1128 04:17:00.1", "2026-11-28T04:17:03Z", "1128 04:10:00.0", "2026-11-28T04:10:00Z"),
            ("1128 09:47:00.1", "2026-11-28T04:17:03Z", "1128 09:40:00.0", "2026-11-28T04:10:00Z"),
            ("1127 18:17:00.1", "2026-11-28T04:17:03Z", "1127 18:10:00.0", "2026-11-28T04:10:00Z"),
            ("0101 00:00:30.0", "2027-01-01T00:00:31Z", "1231 23:59:00.0", "2026-12-31T23:59:00Z"),
            ("1231 23:59:30.0", "2027-01-01T04:59:31Z", "1231 23:59:00.0", "2027-01-01T04:59:00Z"),
        ];
        for (last, modified, earlier, expected) in table {
            let time = |text: &str| klog_time(&format!("E{text}  1 a.go:1] x")).unwrap();
            let modified = wall(modified);
            let zone = zone(time(last), modified).unwrap();
            assert_eq!(time(earlier).at(zone, modified), Some(wall(expected)), "{last}");
        }
    }

    #[test]
    fn what_is_no_time_gives_none() {
        for line in
            ["", "E", "E9999 04:17:00.1 1", "E1128 99:17:00.1 1", "E11é8 04", "Exx28 04:17:00"]
        {
            let at = klog_time(line).and_then(|time| time.at(Delta::ZERO, Wall::from_secs(1)));
            assert_eq!(at, None, "{line}");
        }
        let old = klog_time("E1128 04:17:00.1 1 a.go:1] x").unwrap();
        assert_eq!(zone(old, wall("2026-08-01T00:00:00Z")), None, "a file that nobody writes");
    }
}

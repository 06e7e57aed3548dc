//! Whether the clock runs away: the slope over the last rounds, beyond what their bounds can
//! explain.

use std::collections::VecDeque;

use super::bound::Range;
use crate::base::time::{Delta, Monotonic};

/// A quarter of an hour at the default interval of 64 s: long enough for a slope, short enough to
/// forget what a daemon has corrected.
const KEPT: usize = 16;
/// Two rounds make a line through anything.
const NEEDED: usize = 4;
/// Drifting means: off within this time.
const HORIZON: Delta = Delta::from_secs(3_600);

/// What the servers agreed on, round by round.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(VecDeque<Point>);

/// True time was `offset ± bound` ahead of the wall clock at `boot`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) monotonic: Monotonic,
    pub(crate) offset: Delta,
    pub(crate) bound: Delta,
}

impl History {
    pub(crate) fn push(&mut self, point: Point) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(point);
    }

    /// Whether the offset, now in `range`, moves away from zero and passes `limit` within the hour.
    pub(crate) fn leads_beyond(&self, limit: Delta, range: &Range) -> bool {
        let offset = range.middle();
        let away = |moved: Delta| (moved > Delta::ZERO) == (offset > Delta::ZERO);
        let proven = offset.abs() > range.half();
        proven
            && self
                .proven_move()
                .is_some_and(|(moved, ahead)| away(moved) && offset.abs() + ahead > limit)
    }

    /// How far true time moved against the wall clock, and how far it will in the horizon at the
    /// least rate that the bounds leave possible.
    fn proven_move(&self) -> Option<(Delta, Delta)> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let (span, moved) = (last.monotonic - first.monotonic, last.offset - first.offset);
        let certain = moved.abs() - first.bound - last.bound;
        let told = self.0.len() >= NEEDED && span > Delta::ZERO && certain > Delta::ZERO;
        told.then(|| (moved, certain.fraction(HORIZON.as_nanos(), span.as_nanos())))
    }
}

//! Drift: the change of the offset over the last rounds, less what their error bounds can explain.

use std::collections::VecDeque;

use super::bound::Range;
use crate::base::time::{Delta, Monotonic};

/// Rounds that are kept: 17 minutes at the default interval of 64 s. That is long enough for a
/// slope, and short enough that a correction by the daemon drops out soon.
const CAPACITY: usize = 16;
/// Fewest rounds for a slope. Any two rounds make a line, whatever their errors.
const MIN_ROUNDS: usize = 4;
/// A clock drifts if it will be off within this time.
const HORIZON: Delta = Delta::from_secs(3_600);

/// The agreed offset of the last rounds, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(VecDeque<Point>);

/// One round: true time was `offset ± bound` ahead of the wall clock at `monotonic`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) monotonic: Monotonic,
    pub(crate) offset: Delta,
    pub(crate) bound: Delta,
}

impl History {
    pub(crate) fn push(&mut self, point: Point) {
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(point);
    }

    /// Whether the offset, now in `range`, moves away from zero and passes `limit` within
    /// [`HORIZON`].
    pub(crate) fn leads_beyond(&self, limit: Delta, range: &Range) -> bool {
        let offset = range.middle();
        let away = |moved: Delta| (moved > Delta::ZERO) == (offset > Delta::ZERO);
        let has_known_sign = offset.abs() > range.half();
        has_known_sign
            && self
                .significant_move()
                .is_some_and(|(moved, ahead)| away(moved) && offset.abs() + ahead > limit)
    }

    /// How far the offset moved over the kept rounds, and how far it will move within [`HORIZON`]
    /// at the lowest rate that the error bounds allow. Nothing if the bounds can explain the move.
    fn significant_move(&self) -> Option<(Delta, Delta)> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let (span, moved) = (last.monotonic - first.monotonic, last.offset - first.offset);
        let certain = moved.abs() - first.bound - last.bound;
        let is_significant =
            self.0.len() >= MIN_ROUNDS && span > Delta::ZERO && certain > Delta::ZERO;
        is_significant.then(|| (moved, certain.fraction(HORIZON.as_nanos(), span.as_nanos())))
    }
}

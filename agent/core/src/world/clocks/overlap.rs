//! What ranges have in common.

use super::bound::Range;

/// From the start of the first range to the end of the last.
pub(super) fn hull(ranges: &[Range]) -> Option<Range> {
    ranges.iter().copied().reduce(Range::hull)
}

/// The intervals that at least `needed` of the ranges contain, in ascending order.
pub(super) fn shared_by(ranges: &[Range], needed: usize) -> Vec<Range> {
    // Starts sort before ends at the same point: ranges that only touch share that point.
    let mut edges: Vec<_> =
        ranges.iter().flat_map(|range| [(range.lo, false), (range.hi, true)]).collect();
    edges.sort_unstable();
    let mut pieces = Vec::new();
    let (mut depth, mut opened) = (0_usize, None);
    for (at, is_end) in edges {
        if is_end {
            if depth == needed {
                pieces.extend(opened.take().map(|lo| Range { lo, hi: at }));
            }
            depth -= 1;
        } else {
            depth += 1;
            if depth == needed {
                opened = Some(at);
            }
        }
    }
    pieces
}

//! Agreement of time servers by intersection of their intervals (Marzullo's algorithm, as in RFC
//! 5905, section 11.2.1).
//!
//! RFC 5905 selects the *largest* group of intervals that intersect. That group can exclude true
//! time although a majority of the intervals contains it. Example: of [0,10] [0,10] [0,4] [6,8]
//! [6,8], four intersect in [6,8], but true time may be 2, which three contain.
//!
//! This implementation assumes only that more than half of the servers are right. The result spans
//! every point that more than half of the intervals contain. It is never narrower than the RFC's,
//! and it contains true time whenever the assumption holds.

use super::bound::Range;
use super::types::{Agreement, Vote};

/// The result of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// More than half of the servers with a usable answer share a point.
    Agreed(Agreement),
    /// No point is shared by more than half. Together, the servers claim this range.
    Contradiction(Range, Vec<Vote>),
    /// No server gave a usable answer.
    NoAnswer(Vec<Vote>),
}

impl Selection {
    pub(crate) fn votes(&self) -> &[Vote] {
        match self {
            Self::Agreed(agreement) => &agreement.votes,
            Self::Contradiction(_, votes) | Self::NoAnswer(votes) => votes,
        }
    }
}

/// Compares the ranges of the servers. `None` is a server without a usable answer.
pub(crate) fn agree(ranges: &[Option<Range>]) -> Selection {
    let answers: Vec<Range> = ranges.iter().flatten().copied().collect();
    let pieces = shared_by(&answers, answers.len() / 2 + 1);
    let vote_of = |range: &Range| vote(range, &pieces);
    let votes = ranges.iter().map(|range| range.as_ref().map_or(Vote::Unusable, vote_of)).collect();
    match (hull(&pieces), hull(&answers)) {
        (Some(agreed), _) => {
            Selection::Agreed(Agreement { offset: agreed.middle(), bound: agreed.half(), votes })
        }
        (None, Some(claimed)) => Selection::Contradiction(claimed, votes),
        (None, None) => Selection::NoAnswer(votes),
    }
}

/// The vote on one server. If the majority is right, true time is in one of `pieces`: a range that
/// meets none of them is wrong, and one that meets only some of them may be.
fn vote(range: &Range, pieces: &[Range]) -> Vote {
    match pieces.iter().filter(|piece| range.meets(piece)).count() {
        _ if pieces.is_empty() => Vote::Undecided,
        0 => Vote::Falseticker,
        met if met == pieces.len() => Vote::Agrees,
        _ => Vote::Undecided,
    }
}

fn hull(ranges: &[Range]) -> Option<Range> {
    ranges.iter().copied().reduce(Range::hull)
}

/// The intervals that at least `needed` of the ranges contain, in ascending order.
fn shared_by(ranges: &[Range], needed: usize) -> Vec<Range> {
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

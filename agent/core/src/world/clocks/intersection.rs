//! Agreement by intersection of intervals (after Marzullo; RFC 5905, section 11.2.1).
//!
//! RFC 5905 looks for the *largest* group that intersects. That group can shut true time out
//! although a majority of the intervals holds it: of [0,10] [0,10] [0,4] [6,8] [6,8], four meet in
//! [6,8] while true time may be 2, as three say. Here only the assumption counts, that more than
//! half are right: the answer spans every point that more than half of the intervals hold. It is
//! never narrower than the RFC's, and it is right whenever the assumption is.

use super::bound::Range;
use super::types::{Agreement, Vote};

/// What became of comparing the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// More than half of those who answered share a point.
    Agreed(Agreement),
    /// They do not; together they claim this range.
    Contradiction(Range, Vec<Vote>),
    /// Nobody answered.
    Silence(Vec<Vote>),
}

impl Selection {
    pub(crate) fn votes(&self) -> &[Vote] {
        match self {
            Self::Agreed(agreement) => &agreement.votes,
            Self::Contradiction(_, votes) | Self::Silence(votes) => votes,
        }
    }
}

/// Compares the servers' ranges; nothing stands for a server without a usable answer.
pub(crate) fn agree(ranges: &[Option<Range>]) -> Selection {
    let heard: Vec<Range> = ranges.iter().flatten().copied().collect();
    let pieces = shared_by(&heard, heard.len() / 2 + 1);
    let votes = ranges
        .iter()
        .map(|range| range.map_or(Vote::Unusable, |range| vote(&range, &pieces)))
        .collect();
    match (hull(&pieces), hull(&heard)) {
        (Some(agreed), _) => {
            Selection::Agreed(Agreement { offset: agreed.middle(), bound: agreed.half(), votes })
        }
        (None, Some(claimed)) => Selection::Contradiction(claimed, votes),
        (None, None) => Selection::Silence(votes),
    }
}

/// If the majority is right, true time is in one of `pieces`: who misses them all is wrong, who
/// meets only some may be.
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

/// The stretches that at least `needed` of the ranges hold, from left to right.
fn shared_by(ranges: &[Range], needed: usize) -> Vec<Range> {
    // At the same point starts come before ends: ranges that only touch do share that point.
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

//! Agreement of time servers by intersection of their intervals (Marzullo's algorithm, as in RFC
//! 5905, section 11.2.1).
//!
//! RFC 5905 selects the *largest* group of intervals that intersect. That group can exclude true
//! time although a majority of the intervals contains it. Example: of [0,10] [0,10] [0,4] [6,8]
//! [6,8], four intersect in [6,8], but true time may be 2, which three contain.
//!
//! This implementation assumes only that fewer than half of the configured voters are wrong. They
//! agree if more than half of them share a point. Who does not answer counts, too: else one server
//! that is wrong would decide whenever the others are silent. The result spans every point that can
//! be true time: one that all answers claim but as many as may be wrong. It is never narrower than
//! the RFC's, and it contains true time whenever the assumption holds.

use super::bound::Range;
use super::overlap::{hull, shared_by};
use super::types::Vote;
use super::votes::{Ballot, Claim};

/// The result of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) outcome: Outcome,
    /// The vote on each address, in the order of the servers.
    pub(crate) votes: Vec<Vote>,
    /// The voters, each with its claim.
    pub(crate) ballots: Vec<Ballot>,
    /// The number of voters that agree.
    pub(crate) agreeing: usize,
}

/// What the comparison shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// More than half of the voters share a point. True time is in this range, if they are right.
    Agreed(Range),
    /// Fewer answer, none contradicts another, and the kernel's report agrees with them. The range
    /// contains true time if any of them or the kernel is right.
    Witnessed(Range),
    /// The answers contradict each other, and there is no majority. Together, they claim this.
    Contradiction(Range),
    /// The answers agree, and are too few to show anything.
    TooFew,
    /// There is no usable answer.
    NoAnswer,
}

/// Compares the claims of the voters, with the kernel's as a witness. `ranges` are the answers of
/// all addresses; `None` is one without a usable answer.
pub(crate) fn select(
    ballots: Vec<Ballot>,
    ranges: &[Option<Range>],
    kernel: Option<Range>,
) -> Selection {
    let claims: Vec<Range> = ballots.iter().filter_map(|ballot| ballot.claim.range()).collect();
    let pieces = agreed(&claims, ballots.len());
    let answers: Vec<Range> = ranges.iter().flatten().copied().collect();
    let outcome = outcome(&pieces, &answers, kernel);
    let witnessed = if let Outcome::Witnessed(range) = outcome { vec![range] } else { pieces };
    let vote_of = |range: &Range| vote(range, &witnessed);
    let votes = ranges.iter().map(|range| range.as_ref().map_or(Vote::Unusable, vote_of)).collect();
    let agreeing = claims.iter().filter(|claim| vote_of(claim) == Vote::Agrees).count();
    Selection { outcome, votes, ballots, agreeing }
}

/// Where true time can be, if more than half of the voters share a point. At most `wrong` of the
/// claims are wrong, so all others contain it.
fn agreed(claims: &[Range], voters: usize) -> Vec<Range> {
    let wrong = voters.div_ceil(2).saturating_sub(1);
    if shared_by(claims, voters / 2 + 1).is_empty() {
        return Vec::new();
    }
    shared_by(claims, claims.len().saturating_sub(wrong).max(1))
}

fn outcome(pieces: &[Range], answers: &[Range], kernel: Option<Range>) -> Outcome {
    match (hull(pieces), hull(answers)) {
        (Some(agreed), _) => Outcome::Agreed(agreed),
        (None, Some(claimed)) => minority(answers, claimed, kernel),
        (None, None) => Outcome::NoAnswer,
    }
}

/// What answers of less than a majority show.
fn minority(answers: &[Range], claimed: Range, kernel: Option<Range>) -> Outcome {
    let [common] = shared_by(answers, answers.len())[..] else {
        return Outcome::Contradiction(claimed);
    };
    match kernel.filter(|kernel| kernel.meets(&common)) {
        Some(kernel) => Outcome::Witnessed(kernel.hull(claimed)),
        None => Outcome::TooFew,
    }
}

impl Claim {
    pub(crate) fn range(&self) -> Option<Range> {
        match self {
            Self::Range(range) => Some(*range),
            Self::Split | Self::Silent => None,
        }
    }
}

/// The vote on one answer. If the majority is right, true time is in one of `pieces`: a range that
/// meets none of them is wrong, and one that meets only some of them may be.
fn vote(range: &Range, pieces: &[Range]) -> Vote {
    match pieces.iter().filter(|piece| range.meets(piece)).count() {
        _ if pieces.is_empty() => Vote::Undecided,
        0 => Vote::Falseticker,
        met if met == pieces.len() => Vote::Agrees,
        _ => Vote::Undecided,
    }
}

//! Who votes on true time, and what each voter claims.
//!
//! A vote belongs to a name that somebody configured. Whoever controls a name controls all of its
//! addresses, so they are one voice: they agree among themselves first. Both address families of a
//! name are usually one machine. A pool is the exception: its operators put independent servers
//! behind one name, so each address has a vote, up to the pool's maximum.

use std::cmp::Reverse;

use super::bound::Range;
use super::overlap::{hull, shared_by};
use super::server::ServerName;
use crate::base::time::{Delta, Monotonic, Reading};

/// Names that are kept. No configuration has so many; it bounds memory.
const MAX_NAMES: usize = 64;
/// A name that was not queried for so long has no vote any more: another name has taken over its
/// addresses. A server that is still configured pauses for a day at most, after DENY (RFC 5905,
/// section 7.4).
const FORGOTTEN: Delta = Delta::from_secs(86_400);

/// What one address answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) server: &'a ServerName,
    /// When it was last queried.
    pub(crate) queried: Monotonic,
    /// The offsets that it claims; none if it gave no usable answer.
    pub(crate) range: Option<Range>,
}

/// What a voter claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// True time is in this range of offsets.
    Range(Range),
    /// Its addresses contradict each other: it claims nothing.
    Split,
    /// It gave no usable answer.
    Silent,
}

/// A voter with its claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ballot {
    /// The name; with the address, if that votes for itself.
    pub(crate) voter: ServerName,
    pub(crate) claim: Claim,
}

/// The names that the agent queries, in the order in which it first did. A name that does not
/// answer keeps its vote: silence does not make the others a majority.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Vec<(ServerName, Monotonic)>);

impl Names {
    /// Takes that a server was queried.
    pub(crate) fn see(&mut self, server: &ServerName, at: Monotonic) {
        if let Some((_, last)) = self.0.iter_mut().find(|(known, _)| known.shares_name(server)) {
            *last = at;
        } else if self.0.len() < MAX_NAMES {
            self.0.push((ServerName { address: None, ..server.clone() }, at));
        }
    }

    /// The ballots at `now`, given the answer of each address.
    pub(crate) fn ballots(&self, answers: &[Answer<'_>], now: &Reading) -> Vec<Ballot> {
        let current = self.0.iter().filter(|(_, last)| now.monotonic - *last < FORGOTTEN);
        current.flat_map(|(name, _)| of_name(name, answers)).collect()
    }
}

fn of_name(name: &ServerName, answers: &[Answer<'_>]) -> Vec<Ballot> {
    let own: Vec<Answer<'_>> =
        answers.iter().filter(|answer| answer.server.shares_name(name)).copied().collect();
    let votes = name.pool.map_or(Vec::new(), |most| of_pool(own.clone(), most));
    if votes.is_empty() { vec![Ballot { voter: name.clone(), claim: joint(&own) }] } else { votes }
}

/// What the addresses of one name claim together: what more than half of those with an answer
/// share. Addresses without an answer do not count, because many networks have no IPv6.
fn joint(own: &[Answer<'_>]) -> Claim {
    let ranges: Vec<Range> = own.iter().filter_map(|answer| answer.range).collect();
    if ranges.is_empty() {
        return Claim::Silent;
    }
    hull(&shared_by(&ranges, ranges.len() / 2 + 1)).map_or(Claim::Split, Claim::Range)
}

/// The addresses of a pool that vote. Those that answer come first, and then those that were
/// queried last: a pool name gives other addresses each time, and the former ones have no vote.
fn of_pool(own: Vec<Answer<'_>>, most: u8) -> Vec<Ballot> {
    let mut own: Vec<_> = own.into_iter().filter(|it| it.server.address.is_some()).collect();
    own.sort_by_key(|answer| (answer.range.is_none(), Reverse(answer.queried)));
    own.truncate(usize::from(most));
    let ballot = |answer: Answer<'_>| Ballot {
        voter: answer.server.clone(),
        claim: answer.range.map_or(Claim::Silent, Claim::Range),
    };
    own.into_iter().map(ballot).collect()
}

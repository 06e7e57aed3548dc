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
use super::types::Round;
use crate::base::time::{Delta, Monotonic, Reading};

/// Names that are kept. No configuration has so many; it bounds memory.
const MAX_NAMES: usize = 64;
/// Where a recording does not show who is configured: a name that was not queried for so long has
/// no vote any more, because another name has taken over its addresses. A server that is still
/// configured pauses for a day at most, after DENY (RFC 5905, section 7.4).
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

/// The names that vote. A name that does not answer keeps its vote: silence does not make the
/// others a majority.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Those that are configured; empty if the rounds do not show it.
    configured: Vec<ServerName>,
    /// Those that the agent queries, in the order in which it first did.
    queried: Vec<(ServerName, Monotonic)>,
}

impl Names {
    /// Takes who is configured, and who was queried.
    pub(crate) fn round(&mut self, round: &Round) {
        if !round.voters.is_empty() {
            self.configured = round.voters.iter().take(MAX_NAMES).map(of_all_addresses).collect();
        }
        for exchange in &round.exchanges {
            self.see(&exchange.server, exchange.ended.monotonic);
        }
    }

    fn see(&mut self, server: &ServerName, at: Monotonic) {
        let mut known = self.queried.iter_mut();
        if let Some((_, last)) = known.find(|(known, _)| known.shares_name(server)) {
            *last = at;
        } else if self.queried.len() < MAX_NAMES {
            self.queried.push((of_all_addresses(server), at));
        }
    }

    /// Whether the answers of this server count. Not if another name has taken over its addresses.
    pub(crate) fn count(&self, server: &ServerName) -> bool {
        self.configured.is_empty() || self.configured.iter().any(|name| name.shares_name(server))
    }

    /// The ballots at `now`, given the answer of each address.
    pub(crate) fn ballots(&self, answers: &[Answer<'_>], now: &Reading) -> Vec<Ballot> {
        if !self.configured.is_empty() {
            return self.configured.iter().flat_map(|name| of_name(name, answers)).collect();
        }
        let current = self.queried.iter().filter(|(_, last)| now.monotonic - *last < FORGOTTEN);
        current.flat_map(|(name, _)| of_name(name, answers)).collect()
    }
}

fn of_all_addresses(server: &ServerName) -> ServerName {
    ServerName { address: None, ..server.clone() }
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

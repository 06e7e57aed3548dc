//! Camps: groups of time servers that agree among themselves and contradict the other groups.

use super::bound::Range;
use super::server::ServerName;
use crate::base::time::Delta;

/// A leap second that some servers smear and others do not puts them at most this far apart, plus
/// their bounds.
const LEAP_SECOND: Delta = Delta::from_secs(1);

/// Servers that share a range of offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Camp {
    /// Its members, by name.
    pub(crate) servers: Vec<ServerName>,
    /// The offsets that all of them claim.
    pub(crate) range: Range,
}

/// The fewest camps into which these claims fall, in ascending order of their offsets.
pub(crate) fn camps<'a>(claims: impl Iterator<Item = (&'a ServerName, Range)>) -> Vec<Camp> {
    let mut claims: Vec<_> = claims.collect();
    claims.sort_by_key(|(_, range)| (range.lo, range.hi));
    let mut camps: Vec<Camp> = Vec::new();
    for (server, range) in claims {
        match camps.last_mut().filter(|camp| camp.range.meets(&range)) {
            Some(camp) => camp.join(server, range),
            None => camps.push(Camp { servers: vec![server.clone()], range }),
        }
    }
    for camp in &mut camps {
        camp.servers.sort();
    }
    camps
}

impl Camp {
    /// Whether all of its members are addresses of one voter.
    pub(crate) fn is_one_voter(&self) -> bool {
        self.servers.windows(2).all(|pair| pair[0].voter() == pair[1].voter())
    }

    fn join(&mut self, server: &ServerName, range: Range) {
        self.servers.push(server.clone());
        self.range = Range { lo: self.range.lo.max(range.lo), hi: self.range.hi.min(range.hi) };
    }
}

/// The distance between the first camp and the last.
pub(crate) fn distance(camps: &[Camp]) -> Delta {
    match camps {
        [first, .., last] => last.range.middle() - first.range.middle(),
        [] | [_] => Delta::ZERO,
    }
}

/// Whether these are two camps that a smeared leap second can put so far apart. Whether there is a
/// leap second is another question.
pub(crate) fn within_a_leap_second(camps: &[Camp]) -> bool {
    match camps {
        [first, second] => second.range.lo - first.range.hi <= LEAP_SECOND,
        [] | [_] | [_, _, ..] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::clocks::testing::server;

    fn camps_of(claims: &[(&str, i64, i64)]) -> Vec<Camp> {
        let claims: Vec<_> = claims
            .iter()
            .map(|(name, millis, bound)| {
                let (at, bound) = (Delta::from_millis(*millis), Delta::from_millis(*bound));
                (server(name), Range::around(at, bound))
            })
            .collect();
        camps(claims.iter().map(|(server, range)| (server, *range)))
    }

    fn members(camps: &[Camp]) -> Vec<Vec<&str>> {
        camps.iter().map(|camp| camp.servers.iter().map(|it| it.host.as_str()).collect()).collect()
    }

    #[test]
    fn servers_fall_into_camps_by_what_they_share() {
        let smeared = camps_of(&[("d", 800, 5), ("a", 0, 5), ("b", 2, 5), ("c", 801, 5)]);
        assert_eq!(members(&smeared), [vec!["a", "b"], vec!["c", "d"]]);
        assert_eq!(distance(&smeared), Delta::from_nanos(799_500_000));
        assert!(within_a_leap_second(&smeared));

        let apart = camps_of(&[("a", 0, 5), ("b", 37_250, 5)]);
        assert_eq!(members(&apart), [vec!["a"], vec!["b"]]);
        assert!(!within_a_leap_second(&apart));

        // The wide one meets both, and the camps stay two.
        let chain = camps_of(&[("a", 0, 10), ("wide", 20, 15), ("c", 40, 10)]);
        assert_eq!(members(&chain), [vec!["a", "wide"], vec!["c"]]);
        assert!(!within_a_leap_second(&camps_of(&[("a", 0, 5), ("b", 1, 5)])), "one camp");
        assert!(!within_a_leap_second(&camps_of(&[("a", 0, 1), ("b", 9, 1), ("c", 20, 1)])));
    }
}

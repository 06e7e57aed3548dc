//! Which configured servers vote, and through which of their addresses.
//!
//! Two names of one machine are one voter. They are that only where all of their addresses are the
//! same: otherwise a name could take the vote of another by listing its address.

use std::net::SocketAddr;

use tokenwatch_core::world::clocks::{Machine, ServerName};

/// A configured server that votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Voter {
    pub(super) name: ServerName,
    /// The addresses that answer for it; none while it does not resolve.
    pub(super) addresses: Vec<SocketAddr>,
}

/// Those of the configured servers that vote, given the addresses of each. Left out is one whose
/// vote another has. What does not resolve votes: its silence counts.
pub(super) fn voters<'a>(
    servers: impl Iterator<Item = (&'a ServerName, &'a [SocketAddr])>,
) -> Vec<Voter> {
    let (mut taken, mut voters) = (Vec::new(), Vec::new());
    for (name, addresses) in servers {
        let own = not_taken(name, addresses, &mut taken);
        if addresses.is_empty() || !own.is_empty() {
            voters.push(Voter { name: name.clone(), addresses: own });
        }
    }
    voters
}

/// The addresses of a name whose vote nobody has yet. They have one together, or one each if it is
/// a pool. `taken` are the addresses of each vote.
fn not_taken(
    name: &ServerName,
    addresses: &[SocketAddr],
    taken: &mut Vec<Vec<Machine<'static>>>,
) -> Vec<SocketAddr> {
    let together = if name.pool.is_some() { 1 } else { addresses.len().max(1) };
    let mut own = Vec::new();
    for of_vote in addresses.chunks(together) {
        let mut machines: Vec<_> = of_vote.iter().copied().map(Machine::at).collect();
        machines.sort();
        machines.dedup();
        if !taken.contains(&machines) {
            taken.push(machines);
            own.extend(of_vote);
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name address …`, or `name*` for a pool.
    fn server(text: &str) -> (ServerName, Vec<SocketAddr>) {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap();
        let mut server: ServerName = name.trim_end_matches('*').parse().unwrap();
        server.pool = name.ends_with('*').then_some(4);
        let address = |word: &str| match word.parse() {
            Ok(address) => address,
            Err(_) => SocketAddr::new(word.parse().unwrap(), server.port),
        };
        (server.clone(), words.map(address).collect())
    }

    fn shown(voter: &Voter) -> String {
        let addresses: Vec<_> = voter.addresses.iter().map(|at| at.ip().to_string()).collect();
        [std::slice::from_ref(&voter.name.host), &addresses[..]].concat().join(" ")
    }

    #[test]
    fn names_are_one_voter_only_where_all_of_their_addresses_are_the_same() {
        // (the configured servers with their addresses, those that vote)
        let table: [(&[&str], &[&str]); 9] = [
            (&["a 192.0.2.1", "same 192.0.2.1"], &["a 192.0.2.1"]),
            (&["a 192.0.2.1", "same:1123 192.0.2.1"], &["a 192.0.2.1"]),
            (&["a 192.0.2.1 192.0.2.2", "b 192.0.2.2 192.0.2.1"], &["a 192.0.2.1 192.0.2.2"]),
            (&["e 192.0.2.1 192.0.2.9", "b 192.0.2.1"], &["e 192.0.2.1 192.0.2.9", "b 192.0.2.1"]),
            (&["a", "b", "c 192.0.2.1"], &["a", "b", "c 192.0.2.1"]),
            (&["a 127.0.0.1:1", "b 127.0.0.1:2"], &["a 127.0.0.1", "b 127.0.0.1"]),
            (&["a 192.0.2.1", "p* 192.0.2.1 192.0.2.2"], &["a 192.0.2.1", "p 192.0.2.2"]),
            (
                &["p* 192.0.2.1 192.0.2.2", "q* 192.0.2.2", "d 192.0.2.1 192.0.2.2"],
                &["p 192.0.2.1 192.0.2.2", "d 192.0.2.1 192.0.2.2"],
            ),
            (&["p* 192.0.2.1", "a 192.0.2.1"], &["p 192.0.2.1"]),
        ];
        for (configured, expected) in table {
            let servers: Vec<_> = configured.iter().map(|text| server(text)).collect();
            let votes = voters(servers.iter().map(|(name, at)| (name, &at[..])));
            assert_eq!(votes.iter().map(shown).collect::<Vec<_>>(), expected, "{configured:?}");
        }
    }
}

//! Addresses of a configured server.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokenwatch_core::world::clocks::ServerName;
use tokio::net::lookup_host;
use tokio::time::timeout;

/// Addresses used of a name that is no pool. They have one vote together, and four are enough to
/// see that they contradict each other.
const MAX_ADDRESSES: usize = 4;
/// Timeout of one lookup. A resolver that is down must not delay a round: the addresses from the
/// last lookup are used instead.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a name gave no address.
#[derive(Debug)]
pub(super) enum ResolveError {
    /// The resolver did not respond in time.
    Timeout,
    /// The resolver's error.
    Resolver(io::Error),
    /// The name exists and has no address.
    NoAddress,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => {
                write!(f, "the resolver did not respond within {} s", RESOLVE_TIMEOUT.as_secs())
            }
            Self::Resolver(error) => write!(f, "{error}"),
            Self::NoAddress => f.write_str("the name has no address"),
        }
    }
}

/// The server's addresses, in the resolver's order.
pub(super) async fn resolve(server: &ServerName) -> Result<Vec<SocketAddr>, ResolveError> {
    let found = timeout(RESOLVE_TIMEOUT, lookup_host((server.host.as_str(), server.port))).await;
    let found = found.map_err(|_| ResolveError::Timeout)?.map_err(ResolveError::Resolver)?;
    let mut addresses = Vec::new();
    for address in found {
        // An IPv4-mapped address is the IPv4 address.
        let ip = address.ip().to_canonical();
        let address = if ip.is_ipv4() { SocketAddr::new(ip, address.port()) } else { address };
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(ResolveError::NoAddress) } else { Ok(addresses) }
}

/// Those that are used of a server's addresses. `silent` are the addresses that were used until now
/// and do not respond.
pub(super) fn chosen(
    server: &ServerName,
    mut found: Vec<SocketAddr>,
    silent: &[SocketAddr],
) -> Vec<SocketAddr> {
    let Some(most) = server.pool else {
        found.truncate(MAX_ADDRESSES);
        return found;
    };
    // Each address of a pool has a vote, and a machine may have one of each family: only one family
    // is used. The resolver's order shows which one has a route. If that does not respond, it is
    // the turn of the other one.
    let had_v6 = silent.first().map(SocketAddr::is_ipv6);
    let other = found.iter().map(SocketAddr::is_ipv6).find(|is_v6| Some(*is_v6) != had_v6);
    let use_v6 = other.or(had_v6);
    found.retain(|address| Some(address.is_ipv6()) == use_v6);
    found.truncate(usize::from(most));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_used_up_to_its_maximum_and_by_one_family() {
        let all = |text: &str| -> Vec<SocketAddr> {
            text.split_whitespace().map(|at| at.parse().unwrap()).collect()
        };
        let found = "[2001:db8::1]:123 192.0.2.1:123 [2001:db8::2]:123 192.0.2.2:123 192.0.2.3:123";
        let name: ServerName = "pool.example".parse().unwrap();
        let pool = |most| ServerName { pool: Some(most), ..name.clone() };
        let v6 = "[2001:db8::1]:123 [2001:db8::2]:123";
        // (the server, the addresses that do not respond, those that are used)
        let table = [
            (pool(4), "", v6),
            (pool(1), "", "[2001:db8::1]:123"),
            (pool(2), v6, "192.0.2.1:123 192.0.2.2:123"),
            (pool(2), "192.0.2.1:123", v6),
            (name.clone(), "", &found[..found.len() - "192.0.2.3:123".len()]),
        ];
        for (server, silent, used) in table {
            assert_eq!(chosen(&server, all(found), &all(silent)), all(used), "{server:?} {silent}");
        }
        let only_v4 = all("192.0.2.1:123 192.0.2.2:123");
        assert_eq!(chosen(&pool(4), only_v4.clone(), &only_v4), only_v4, "it has no other family");
    }
}

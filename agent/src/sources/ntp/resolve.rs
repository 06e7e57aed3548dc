//! Addresses of a configured server.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokenwatch_core::world::clocks::ServerName;
use tokio::net::lookup_host;
use tokio::time::timeout;

/// Addresses used of one name: as many as a pool name usually has.
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
        if !addresses.contains(&address) && addresses.len() < MAX_ADDRESSES {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(ResolveError::NoAddress) } else { Ok(addresses) }
}

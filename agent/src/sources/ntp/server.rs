//! What a configured server's name means.

use std::net::SocketAddr;
use std::time::Duration;

use tokenwatch_core::world::clocks::ServerName;
use tokio::net::lookup_host;
use tokio::time::timeout;

/// Addresses taken of one name: as many as a pool name usually gives.
const ADDRESSES: usize = 4;
/// A resolver that is down must not hold up a round: the addresses known before are used instead.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether it is a public pool, run by volunteers for everyone.
pub fn is_public_pool(server: &ServerName) -> bool {
    let name = server.host.trim_end_matches('.').to_ascii_lowercase();
    name == "pool.ntp.org" || name.ends_with(".pool.ntp.org")
}

/// Its addresses, in the resolver's order.
pub(super) async fn resolve(server: &ServerName) -> Result<Vec<SocketAddr>, String> {
    let found = timeout(RESOLVE_TIMEOUT, lookup_host((server.host.as_str(), server.port))).await;
    let found = found
        .map_err(|_| "the resolver does not answer".to_owned())?
        .map_err(|error| error.to_string())?;
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) && addresses.len() < ADDRESSES {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err("the name has no address".to_owned()) } else { Ok(addresses) }
}

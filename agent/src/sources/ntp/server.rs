//! A time server as configured, and the addresses it has.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use tokenwatch_core::clock::ServerName;
use tokio::net::lookup_host;
use tokio::time::timeout;

/// NTP's port (IANA).
const PORT: u16 = 123;
/// Addresses taken of one name: as many as a pool name usually gives.
const ADDRESSES: usize = 4;
/// A resolver that is down must not hold up a round: the addresses known before are used instead.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// `HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NtpServer {
    /// Name or address.
    pub host: String,
    /// UDP port.
    pub port: u16,
}

impl NtpServer {
    /// At NTP's own port.
    pub fn new(host: &str) -> Self {
        Self { host: host.to_owned(), port: PORT }
    }

    /// Whether it is a public pool, run by volunteers for everyone.
    pub fn is_public_pool(&self) -> bool {
        let name = self.host.trim_end_matches('.').to_ascii_lowercase();
        name == "pool.ntp.org" || name.ends_with(".pool.ntp.org")
    }

    /// As the core knows it.
    pub(super) fn named(&self, address: Option<IpAddr>) -> ServerName {
        ServerName { host: self.host.clone(), port: self.port, address: address.map(|address| address.to_string()) }
    }

    /// Its addresses, in the resolver's order.
    pub(super) async fn resolve(&self) -> Result<Vec<SocketAddr>, String> {
        let found = timeout(RESOLVE_TIMEOUT, lookup_host((self.host.as_str(), self.port))).await;
        let mut addresses = Vec::new();
        for address in found.map_err(|_| "the resolver does not answer".to_owned())?.map_err(|error| error.to_string())? {
            if !addresses.contains(&address) && addresses.len() < ADDRESSES {
                addresses.push(address);
            }
        }
        if addresses.is_empty() { Err("the name has no address".to_owned()) } else { Ok(addresses) }
    }
}

impl fmt::Display for NtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.named(None), f)
    }
}

/// `host`, `host:port`, `192.0.2.1`, `192.0.2.1:123`, `2001:db8::1`, `[2001:db8::1]:123`.
impl FromStr for NtpServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let explain = |what: &str| format!("`{}`: {what}; write HOST, HOST:PORT or [IPV6]:PORT", tokenwatch_core::text::shown(text));
        if text.parse::<IpAddr>().is_ok() {
            return Ok(Self::new(text));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => {
                (host, port.parse().ok().filter(|port| *port != 0).ok_or_else(|| explain("the port is not a number from 1 to 65535"))?)
            }
            None => (text, PORT),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        let well_formed = !host.is_empty() && host.len() <= 253 && host.chars().all(is_name);
        if well_formed { Ok(Self { host: host.to_owned(), port }) } else { Err(explain("this is no host name or address")) }
    }
}

//! The name of a time server, as people write it and as it is shown.

use core::net::Ipv6Addr;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::host::Host;
use crate::base::text::shown;

/// NTP's UDP port (RFC 5905, section 7.2).
const NTP_PORT: u16 = 123;

/// A time server as configured, and one of its addresses. A name has one vote, however many
/// addresses it has; only a pool has one for each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServerName {
    /// Host name or address as configured. An IPv6 address may have a zone (`fe80::1%eth0`).
    pub host: String,
    /// UDP port.
    pub port: u16,
    /// The address that the agent queries; nothing if the name did not resolve.
    pub address: Option<String>,
    /// For a pool, whose addresses are independent servers: how many of them vote at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<u8>,
}

impl ServerName {
    /// Who votes through this address: the name, or the address itself if it is one of a pool.
    pub(crate) fn voter(&self) -> (Host<'_>, u16, Option<Host<'_>>) {
        let address = self.pool.and(self.address.as_deref());
        (Host::of(&self.host), self.port, address.map(Host::of))
    }

    /// Whether `other` is an address of the same name. The port counts: whoever configures one
    /// machine twice has it merged before it is queried ([`Self::machine`]), and under a pseudonym
    /// nobody sees which ports are on loopback.
    pub(crate) fn shares_name(&self, other: &Self) -> bool {
        (self.port, self.pool) == (other.port, other.pool)
            && (self.host == other.host || Host::of(&self.host) == Host::of(&other.host))
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match shown(&self.host) {
            host if host.contains(':') => write!(f, "[{host}]:{}", self.port)?,
            host => write!(f, "{host}:{}", self.port)?,
        }
        match &self.address {
            Some(address) if *address != self.host => write!(f, " ({})", shown(address)),
            _ => Ok(()),
        }
    }
}

/// A text that names no time server. `Display` is a fragment of a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAServer {
    /// The text is no host name and no address.
    Host(String),
    /// The text after the colon is no port.
    Port(String),
}

impl fmt::Display for NotAServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(text) => write!(
                f,
                "\"{}\" is not HOST or HOST:PORT; write an IPv6 address with a port in brackets, \
                 as in [2001:db8::1]:123",
                shown(text)
            ),
            Self::Port(text) => {
                write!(f, "\"{}\" is not a port: expected 1 to 65535", shown(text))
            }
        }
    }
}

impl std::error::Error for NotAServer {}

/// Accepts `host`, `host:port`, `[v6]`, `[v6]:port`, and an IPv6 address without brackets and port,
/// each with or without a zone. The default port is 123.
impl FromStr for ServerName {
    type Err = NotAServer;

    fn from_str(text: &str) -> Result<Self, NotAServer> {
        let text = text.trim();
        if is_v6(text) {
            return Ok(Self { host: text.to_owned(), port: NTP_PORT, address: None, pool: None });
        }
        let not_a_server = || NotAServer::Host(text.to_owned());
        let (host, rest) = split(text).ok_or_else(not_a_server)?;
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => NTP_PORT,
            Some(port) if !port.contains(':') => port_number(port)?,
            Some(_) | None => return Err(not_a_server()),
        };
        Ok(Self { host: host.to_owned(), port, address: None, pool: None })
    }
}

/// The host, without brackets, and what follows it.
fn split(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').filter(|(address, _)| is_v6(address)),
        None => Some(text.split_at(text.find(':').unwrap_or(text.len())))
            .filter(|(host, _)| is_host(host)),
    }
}

/// Whether it is an IPv6 address, with or without a zone (RFC 4007, section 11).
fn is_v6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    address.parse::<Ipv6Addr>().is_ok() && is_zone(zone)
}

/// Whether it can be the name or the number of an interface.
fn is_zone(zone: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
    !zone.is_empty() && zone.len() <= 15 && zone.chars().all(fits)
}

/// Whether `host` has only letters, digits, dots and dashes (RFC 1123), or underscores, which some
/// networks use.
fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

fn port_number(text: &str) -> Result<u16, NotAServer> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| NotAServer::Port(text.to_owned()))
}

//! The host of a time server, whatever its spelling.

use std::borrow::Cow;

use core::net::{IpAddr, Ipv6Addr};

/// A host in one form for all of its spellings: without regard to case, to a dot at the end, and to
/// how an address is written. An IPv4-mapped address is an IPv4 address (RFC 4291, section
/// 2.5.5.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Host<'a> {
    Address(IpAddr),
    /// A link-local address, which means another machine on each link (RFC 4007, section 6).
    OnLink(Ipv6Addr, Cow<'a, str>),
    Name(Cow<'a, str>),
}

impl<'a> Host<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let text = text.trim_end_matches('.');
        if let Ok(address) = text.parse::<IpAddr>() {
            return Self::Address(address.to_canonical());
        }
        let zoned = text.split_once('%').and_then(|(at, zone)| Some((at.parse().ok()?, zone)));
        match zoned {
            Some((address, zone)) => Self::zoned(address, zone.into()),
            None if text.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Self::Name(text.to_ascii_lowercase().into())
            }
            None => Self::Name(text.into()),
        }
    }

    /// Only a link-local address needs its zone.
    pub(crate) fn zoned(address: Ipv6Addr, zone: Cow<'a, str>) -> Self {
        if address.is_unicast_link_local() {
            Self::OnLink(address, zone)
        } else {
            Self::Address(IpAddr::V6(address).to_canonical())
        }
    }

    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            Self::OnLink(..) => false,
            Self::Name(name) => name == "localhost",
        }
    }
}

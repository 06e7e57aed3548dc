//! Addresses to which a connection shows that a token is used.

use std::net::{IpAddr, SocketAddr};

/// Who verifies tokens, by address: the API server, or what somebody else runs for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verifier {
    /// Its address.
    pub ip: IpAddr,
    /// Its port; none: any.
    pub port: Option<u16>,
}

impl Verifier {
    /// Whether a connection to `remote` is one to it.
    fn has(&self, remote: SocketAddr) -> bool {
        self.ip.to_canonical() == remote.ip() && self.port.is_none_or(|port| port == remote.port())
    }
}

/// Whether a connection to `remote` is one to a verifier.
pub(super) fn any(verifiers: &[Verifier], remote: SocketAddr) -> bool {
    verifiers.iter().any(|verifier| verifier.has(remote))
}

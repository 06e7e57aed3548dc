//! Which configured servers are one machine, whatever their spelling.
//!
//! One machine has one vote, so the port does not make another one of it. The exception is
//! loopback: there, each port is a daemon that somebody started on this very machine, as tests and
//! demos do.

use core::net::SocketAddr;

use super::host::Host;
use super::server::ServerName;

/// What time servers of one machine have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Machine<'a> {
    host: Host<'a>,
    /// On loopback only.
    port: Option<u16>,
}

impl<'a> Machine<'a> {
    fn new(host: Host<'a>, port: u16) -> Self {
        Self { port: host.is_loopback().then_some(port), host }
    }
}

impl Machine<'static> {
    /// The one with this address.
    pub fn at(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V4(v4) => Host::Address((*v4.ip()).into()),
            SocketAddr::V6(v6) => Host::zoned(*v6.ip(), v6.scope_id().to_string().into()),
        };
        Self::new(host, address.port())
    }
}

impl ServerName {
    /// The machine that is configured by this name or address.
    pub fn machine(&self) -> Machine<'_> {
        Machine::new(Host::of(&self.host), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> ServerName {
        text.parse().unwrap()
    }

    #[test]
    fn spellings_of_a_machine_are_one_and_other_machines_are_not() {
        // (one server, another, whether they are one machine)
        let table = [
            ("ntp.a", "NTP.A.", true),
            ("ntp.a", "ntp.a:1123", true),
            ("ntp.a", "ntp.b", false),
            ("192.0.2.1", "[::ffff:192.0.2.1]:1123", true),
            ("192.0.2.1", "::ffff:c000:0201", true),
            ("192.0.2.1", "192.0.2.1.", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:DB8:0:0::1", "2001:db8::1%eth0", true),
            ("fe80::1%eth0", "FE80::1%eth0", true),
            ("fe80::1%eth0", "fe80::1%eth1", false),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:1", "[::ffff:127.0.0.1]:1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("[::1]:1", "[::1]:2", false),
            ("localhost:1", "LOCALHOST.:1", true),
            ("localhost:1", "localhost:2", false),
        ];
        for (one, other, is_one) in table {
            let (one, other) = (server(one), server(other));
            assert_eq!(one.machine() == other.machine(), is_one, "{one} {other}");
        }
    }

    #[test]
    fn an_address_is_the_machine_that_its_text_names() {
        let ports =
            ["192.0.2.1:1 192.0.2.1", "[::ffff:192.0.2.1]:1 192.0.2.1", "127.0.0.1:7 127.0.0.1:7"];
        for row in ports {
            let (address, name) = row.split_once(' ').unwrap();
            assert_eq!(Machine::at(address.parse().unwrap()), server(name).machine(), "{row}");
        }
        let on_link = |scope| Machine::at(format!("[fe80::1%{scope}]:123").parse().unwrap());
        assert_ne!(on_link(2), on_link(3));
        assert_eq!(on_link(2), server("fe80::1%2").machine());
    }
}

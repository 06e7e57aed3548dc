//! TCP sockets of a network namespace (proc_pid_net(5)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Indices of the fields of a line.
const LOCAL: usize = 1;
/// The remote end and the state come next.
const AFTER_LOCAL: usize = 0;
const V4_DIGITS: usize = 8;
const V6_DIGITS: usize = 32;

/// The states of a socket that has, or had, a connection (include/net/tcp_states.h). The others
/// have none yet, or listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Both ends can send: ESTABLISHED.
    Open,
    /// The remote end has closed: CLOSE_WAIT. A program that does not close its end keeps the
    /// socket for as long as it runs.
    HalfClosed,
    /// This end has closed. The kernel keeps the socket for a minute at most: TIME_WAIT and the
    /// states before it.
    Closed,
}

/// A TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The end in the namespace.
    pub local: SocketAddr,
    /// The other end. An IPv4 address that is mapped into IPv6 is given as IPv4.
    pub remote: SocketAddr,
    /// Its state.
    pub state: ConnectionState,
}

/// The connection in a line of `tcp` or `tcp6`; none for the header, a listening socket, or a line
/// of another form.
pub(super) fn connection(line: &[u8]) -> Option<Connection> {
    let mut fields = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let local = address(fields.nth(LOCAL)?)?;
    let remote = address(fields.nth(AFTER_LOCAL)?)?;
    let state = state(u8::from_str_radix(fields.nth(AFTER_LOCAL)?, 16).ok()?)?;
    Some(Connection { local, remote, state })
}

fn state(number: u8) -> Option<ConnectionState> {
    const ESTABLISHED: u8 = 1;
    const FIN_WAIT1: u8 = 4;
    const FIN_WAIT2: u8 = 5;
    const TIME_WAIT: u8 = 6;
    const CLOSE_WAIT: u8 = 8;
    const LAST_ACK: u8 = 9;
    const CLOSING: u8 = 11;
    match number {
        ESTABLISHED => Some(ConnectionState::Open),
        CLOSE_WAIT => Some(ConnectionState::HalfClosed),
        FIN_WAIT1 | FIN_WAIT2 | TIME_WAIT | LAST_ACK | CLOSING => Some(ConnectionState::Closed),
        _ => None,
    }
}

/// `0100007F:1F90`: the address in words of the machine's byte order, and the port as a number.
fn address(field: &str) -> Option<SocketAddr> {
    let (address, port) = field.split_once(':')?;
    let ip = match address.len() {
        V4_DIGITS => IpAddr::V4(Ipv4Addr::from(word(address)?)),
        V6_DIGITS => IpAddr::V6(v6(address)?).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

fn v6(digits: &str) -> Option<Ipv6Addr> {
    let mut octets = [0; 16];
    for (at, octet) in octets.chunks_exact_mut(4).enumerate() {
        octet.copy_from_slice(&word(digits.get(at * V4_DIGITS..(at + 1) * V4_DIGITS)?)?);
    }
    Some(Ipv6Addr::from(octets))
}

fn word(digits: &str) -> Option<[u8; 4]> {
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(digits, 16).ok())?.map(u32::to_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a machine of this byte order shows it.
    fn shown(address: &str) -> String {
        let address: SocketAddr = address.parse().unwrap();
        let octets = match address.ip() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let words = octets.chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
        let words: Vec<String> = words.map(|word| format!("{word:08X}")).collect();
        format!("{}:{:04X}", words.concat(), address.port())
    }

    fn line(local: &str, remote: &str, state: &str) -> String {
        format!(
            "   7: {} {} {state} 00000000:00000000 02:000006D6 00000000  1000        0 12 1 0",
            shown(local),
            shown(remote)
        )
    }

    #[test]
    fn both_ends_are_read_in_both_families() {
        // (local, remote as the kernel has it, remote)
        let table = [
            ("10.244.1.7:40112", "10.96.0.1:443", "10.96.0.1:443"),
            ("[::ffff:10.244.1.7]:40112", "[::ffff:10.96.0.1]:443", "10.96.0.1:443"),
            ("[fd00::7]:40112", "[fd00:96::1]:6443", "[fd00:96::1]:6443"),
        ];
        for (local, raw, remote) in table {
            let found = connection(line(local, raw, "01").as_bytes()).unwrap();
            assert_eq!(found.remote, remote.parse().unwrap(), "{raw}");
            assert_eq!((found.local.port(), found.state), (40112, ConnectionState::Open));
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_line_of_the_kernel_is_read() {
        let line =
            b"   0: 0100007F:A2AC 0100007F:1F90 06 00000000:00000000 03:00000F1C 00000000     \
                     0        0 0 3 0000000000000000";
        let found = connection(line).unwrap();
        assert_eq!(found.local, "127.0.0.1:41644".parse().unwrap());
        assert_eq!(found.remote, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(found.state, ConnectionState::Closed);
    }

    #[test]
    fn only_states_with_a_connection_count() {
        use ConnectionState::{Closed, HalfClosed, Open};
        let closed = ["04", "05", "06", "09", "0B"].map(|state| (state, Some(Closed)));
        let open = [("01", Some(Open)), ("08", Some(HalfClosed))];
        let none = ["02", "03", "07", "0A", "0C", "00", "FF"].map(|state| (state, None));
        for (state, expected) in closed.into_iter().chain(open).chain(none) {
            let line = line("10.0.0.1:1", "10.0.0.2:2", state);
            assert_eq!(connection(line.as_bytes()).map(|found| found.state), expected, "{state}");
        }
    }

    #[test]
    fn a_line_of_another_form_is_none() {
        let lines = [
            "",
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid",
            "0: 0100007F:A2AC",
            "0: 0100007F:A2AC 0100007F:1F90",
            "0: 0100007F:A2AC 0100007F 01",
            "0: 0100007F:A2AC 0100007F:12345 01",
            "0: 0100007F:A2AC +100007F:1F90 01",
            "0: 0100007F:A2AC 00007F:1F90 01",
            "0: 0100007F:A2AC \u{e9}\u{e9}\u{e9}\u{e9}:1F90 01",
        ];
        for line in lines {
            assert_eq!(connection(line.as_bytes()), None, "{line}");
        }
    }
}

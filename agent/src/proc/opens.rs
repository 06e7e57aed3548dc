//! How many TCP connections a network namespace has opened, and how much it has sent
//! (proc_pid_net(5), `snmp` and `netstat`).
//!
//! The kernel counts them per namespace, and reading the counters costs some microseconds. The list
//! of sockets costs a thousand times that on a large machine: for it, the kernel goes through the
//! table of all namespaces' sockets.

/// Counters of a network namespace (RFC 4022).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpCounters {
    /// Connections that were opened from inside since the namespace exists (`ActiveOpens`).
    pub opened: u64,
    /// Connections that were opened from outside since then (`PassiveOpens`).
    pub accepted: u64,
    /// Connections that this end has not closed, from inside or outside (`CurrEstab`): ESTABLISHED
    /// and CLOSE_WAIT.
    pub established: u64,
}

/// What a network namespace has sent and received since it exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Segments of TCP with data, without repetitions (`TCPOrigDataSent`).
    pub sent: u64,
    /// Bytes, of every protocol (`InOctets`).
    pub received: u64,
}

/// The counters in the text of `snmp`.
pub(super) fn counters(text: &[u8]) -> Option<TcpCounters> {
    let tcp = Values::of(std::str::from_utf8(text).ok()?, "Tcp: ")?;
    Some(TcpCounters {
        opened: tcp.get("ActiveOpens")?,
        accepted: tcp.get("PassiveOpens")?,
        established: tcp.get("CurrEstab")?,
    })
}

/// The traffic in the text of `netstat`.
pub(super) fn traffic(text: &[u8]) -> Option<Traffic> {
    let text = std::str::from_utf8(text).ok()?;
    let sent = Values::of(text, "TcpExt: ")?.get("TCPOrigDataSent")?;
    Some(Traffic { sent, received: Values::of(text, "IpExt: ")?.get("InOctets")? })
}

/// Two lines with the same beginning: one of names, and one of values.
struct Values<'a> {
    names: &'a str,
    values: &'a str,
}

impl<'a> Values<'a> {
    fn of(text: &'a str, beginning: &str) -> Option<Self> {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(beginning));
        Some(Self { names: lines.next()?, values: lines.next()? })
    }

    fn get(&self, name: &str) -> Option<u64> {
        let at = self.names.split(' ').position(|one| one == name)?;
        self.values.split(' ').nth(at)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_names() {
        let text = "Ip: Forwarding DefaultTTL\nIp: 1 64\n\
                    Tcp: RtoAlgorithm MaxConn ActiveOpens PassiveOpens CurrEstab InSegs\n\
                    Tcp: 1 -1 1234 5 6 7\nUdp: InDatagrams\nUdp: 8\n";
        let expected = TcpCounters { opened: 1_234, accepted: 5, established: 6 };
        assert_eq!(counters(text.as_bytes()), Some(expected));
        for broken in ["", "Tcp: ActiveOpens CurrEstab\n", "Tcp: ActiveOpens\nTcp: 1\n", "\u{ff}"] {
            assert_eq!(counters(broken.as_bytes()), None, "{broken}");
        }
        assert_eq!(counters(b"Tcp: ActiveOpens CurrEstab\nTcp: -1 2\n"), None);
    }

    #[test]
    fn traffic_is_found_in_two_pairs_of_lines() {
        let text = "TcpExt: SyncookiesSent TCPOrigDataSent TCPACK\nTcpExt: 1 77 3\n\
                    IpExt: InNoRoutes InOctets OutOctets\nIpExt: 0 4096 9\n";
        assert_eq!(traffic(text.as_bytes()), Some(Traffic { sent: 77, received: 4_096 }));
        for broken in ["", "TcpExt: TCPOrigDataSent\nTcpExt: 1\n", "IpExt: InOctets\nIpExt: 1\n"] {
            assert_eq!(traffic(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn this_kernel_has_them() {
        let text = std::fs::read("/proc/self/net/snmp").unwrap();
        assert!(counters(&text).is_some(), "{}", text.escape_ascii());
        let text = std::fs::read("/proc/self/net/netstat").unwrap();
        assert!(traffic(&text).is_some(), "{}", text.escape_ascii());
    }
}

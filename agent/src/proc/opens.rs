//! How many TCP connections a network namespace has opened (proc_pid_net(5), `snmp`).
//!
//! The kernel counts them per namespace, and reading the counters costs some microseconds. The list
//! of sockets costs a thousand times that on a large machine: for it, the kernel goes through the
//! table of all namespaces' sockets.

/// Counters of a network namespace (RFC 4022).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpCounters {
    /// Connections that were opened from inside since the namespace exists (`ActiveOpens`).
    pub opened: u64,
    /// Connections that are open now, from inside or outside (`CurrEstab`).
    pub established: u64,
}

/// The counters in the text of `snmp`: a line of names, and one of values.
pub(super) fn counters(text: &[u8]) -> Option<TcpCounters> {
    let text = std::str::from_utf8(text).ok()?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let values: Vec<&str> = values.split(' ').collect();
    let value = |wanted: &str| {
        let at = names.split(' ').position(|name| name == wanted)?;
        values.get(at)?.parse().ok()
    };
    Some(TcpCounters { opened: value("ActiveOpens")?, established: value("CurrEstab")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_names() {
        let text = "Ip: Forwarding DefaultTTL\nIp: 1 64\n\
                    Tcp: RtoAlgorithm MaxConn ActiveOpens PassiveOpens CurrEstab InSegs\n\
                    Tcp: 1 -1 1234 5 6 7\nUdp: InDatagrams\nUdp: 8\n";
        let expected = TcpCounters { opened: 1_234, established: 6 };
        assert_eq!(counters(text.as_bytes()), Some(expected));
        for broken in ["", "Tcp: ActiveOpens CurrEstab\n", "Tcp: ActiveOpens\nTcp: 1\n", "\u{ff}"] {
            assert_eq!(counters(broken.as_bytes()), None, "{broken}");
        }
        assert_eq!(counters(b"Tcp: ActiveOpens CurrEstab\nTcp: -1 2\n"), None);
    }

    #[test]
    fn this_kernel_has_them() {
        let text = std::fs::read("/proc/self/net/snmp").unwrap();
        assert!(counters(&text).is_some(), "{}", text.escape_ascii());
    }
}

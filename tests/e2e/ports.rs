//! Ports for servers on this machine.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Below the ports that the kernel gives to clients (from 32768 on), so that no client takes one
/// while its server is down.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

pub fn free_tcp_port() -> u16 {
    free_port(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
}

pub fn free_udp_port() -> u16 {
    free_port(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
}

/// This run gets each port only once. Another run begins elsewhere.
fn free_port(is_free: impl Fn(u16) -> bool) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(100);
    let ports = std::iter::repeat_with(|| start.wrapping_add(NEXT.fetch_add(1, Relaxed)) % COUNT);
    let mut ports = ports.map(|port| u16::try_from(FIRST + port).unwrap());
    ports.find(|port| is_free(*port)).unwrap()
}

/// Whether a connection to this port of 127.0.0.1 has bytes that its server has not read.
pub fn has_unread(port: u16) -> bool {
    let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!("0100007F:{port:04X}");
    connections.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let received =
            fields.get(4).and_then(|queues| queues.split_once(':')).map(|queues| queues.1);
        fields.get(1) == Some(&&*local)
            && fields[3] == ESTABLISHED
            && received.is_some_and(|bytes| bytes != "00000000")
    })
}

/// `TCP_ESTABLISHED` of the kernel's include/net/tcp_states.h, as /proc/net/tcp shows it.
const ESTABLISHED: &str = "01";

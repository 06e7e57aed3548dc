//! One request to one server and its response, over UDP.

use std::net::SocketAddr;
use std::time::Duration;

use tokenwatch_core::world::clocks::{Exchange, ExchangeError, Sample, ServerName};
use tokio::net::UdpSocket;
use tokio::time::timeout_at;

use super::packet;
use crate::clocks;

/// Longer than any response without authentication. A longer one is cut; only its first 48 bytes
/// count.
const BUFFER: usize = 128;

/// Polls `server` at `address`, with up to `attempts` requests: one packet in some hundreds is
/// lost.
pub(super) async fn exchange(
    server: ServerName,
    address: SocketAddr,
    limit: Duration,
    attempts: u8,
) -> Exchange {
    let started = clocks::now();
    let mut result = Err(ExchangeError::Timeout);
    for _ in 0..attempts.max(1) {
        result = attempt(address, limit).await;
        if !matches!(result, Err(ExchangeError::Timeout | ExchangeError::Disturbed)) {
            break;
        }
    }
    Exchange { server, started, ended: clocks::now(), result }
}

async fn attempt(address: SocketAddr, limit: Duration) -> Result<Sample, ExchangeError> {
    let socket = connect(address).await.map_err(network)?;
    let cookie = rand::random_range(1..=u64::MAX); // not zero, which servers take for "not set"
    let deadline = clocks::timer() + limit;
    let sent = clocks::now();
    socket.send(&packet::request(cookie)).await.map_err(network)?;
    let mut buffer = [0; BUFFER];
    let mut strays = 0_u32;
    loop {
        let received = timeout_at(deadline, socket.recv(&mut buffer)).await;
        let now = clocks::now();
        match received {
            Err(_) if strays > 0 => return Err(only_strays(strays)),
            Err(_) => return Err(ExchangeError::Timeout),
            Ok(Err(error)) => return Err(network(error)),
            Ok(Ok(size)) if packet::is_response(&buffer[..size], cookie) => {
                return packet::sample(&buffer[..size], &sent, &now);
            }
            // A forged or late packet must not keep the real response out.
            Ok(Ok(_)) => strays += 1,
        }
    }
}

fn only_strays(count: u32) -> ExchangeError {
    ExchangeError::Bogus(format!("{count} packets, none of them a response to this request"))
}

/// A connected socket: the kernel drops packets from other addresses and reports a closed port at
/// once.
async fn connect(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let any: SocketAddr =
        if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}

#[allow(clippy::needless_pass_by_value)] // for map_err
fn network(error: std::io::Error) -> ExchangeError {
    ExchangeError::Network(error.to_string())
}

//! One request to one server and its response, over UDP.

use std::net::SocketAddr;
use std::time::Duration;

use tokenwatch_core::base::time::Reading;
use tokenwatch_core::world::clocks::{Exchange, ExchangeError, Sample, ServerName};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

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
    let mut result = attempt(address, limit).await;
    for _ in 1..attempts {
        if is_worth_another(&result) {
            result = attempt(address, limit).await;
        }
    }
    Exchange { server, started, ended: clocks::now(), result }
}

fn is_worth_another(result: &Result<Sample, ExchangeError>) -> bool {
    matches!(result, Err(ExchangeError::Timeout | ExchangeError::ClockStepped))
}

async fn attempt(address: SocketAddr, limit: Duration) -> Result<Sample, ExchangeError> {
    let socket = connect(address).await.map_err(network)?;
    let cookie = rand::random_range(1..=u64::MAX); // not zero, which servers take for "not set"
    let deadline = clocks::timer() + limit;
    let sent = clocks::now();
    socket.send(&packet::request(cookie)).await.map_err(network)?;
    let (packet, received) = response(&socket, cookie, deadline).await?;
    packet::sample(&packet, &sent, &received)
}

/// The response to the request with this cookie, and when it came. A forged or late packet must not
/// keep it out.
async fn response(
    socket: &UdpSocket,
    cookie: u64,
    deadline: Instant,
) -> Result<([u8; BUFFER], Reading), ExchangeError> {
    let (mut buffer, mut strays) = ([0; BUFFER], 0_u32);
    loop {
        let received = timeout_at(deadline, socket.recv(&mut buffer)).await;
        let now = clocks::now();
        let size = received.map_err(|_| no_response(strays))?.map_err(network)?;
        if packet::is_response(&buffer[..size], cookie) {
            return Ok((buffer, now));
        }
        strays += 1;
    }
}

fn no_response(strays: u32) -> ExchangeError {
    let reason = format!("{strays} packets, none of them a response to this request");
    if strays > 0 { ExchangeError::InvalidResponse(reason) } else { ExchangeError::Timeout }
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

//! One question to one server, over UDP.

use std::net::SocketAddr;
use std::time::Duration;

use tokenwatch_core::world::clocks::{Exchange, ExchangeError, Sample, ServerName};
use tokio::net::UdpSocket;
use tokio::time::timeout_at;

use super::packet;
use crate::clocks;

/// More than any answer without authentication; what is longer is cut, and its first 48 bytes are
/// what counts.
const BUFFER: usize = 128;

/// Asks `server` at `address`, once more if nothing came in time: one packet in some hundreds is
/// lost on the way.
pub(super) async fn exchange(
    server: ServerName,
    address: SocketAddr,
    wait: Duration,
    attempts: u8,
) -> Exchange {
    let started = clocks::now();
    let mut result = Err(ExchangeError::Timeout);
    for _ in 0..attempts.max(1) {
        result = ask(address, wait).await;
        if !matches!(result, Err(ExchangeError::Timeout | ExchangeError::ClockStepped)) {
            break;
        }
    }
    Exchange { server, started, ended: clocks::now(), result }
}

async fn ask(address: SocketAddr, wait: Duration) -> Result<Sample, ExchangeError> {
    let socket = connect(address).await.map_err(network)?;
    let cookie = rand::random_range(1..=u64::MAX); // never zero, which servers take for "not set"
    let deadline = clocks::timer() + wait;
    let sent = clocks::now();
    socket.send(&packet::request(cookie)).await.map_err(network)?;
    let mut buffer = [0; BUFFER];
    let mut strays = 0_u32;
    loop {
        let received = timeout_at(deadline, socket.recv(&mut buffer)).await;
        let now = clocks::now();
        match received {
            Err(_) if strays > 0 => {
                return Err(ExchangeError::InvalidResponse(format!(
                    "{strays} answers, none to our question"
                )));
            }
            Err(_) => return Err(ExchangeError::Timeout),
            Ok(Err(error)) => return Err(network(error)),
            Ok(Ok(size)) if packet::answers(&buffer[..size], cookie) => {
                return packet::sample(&buffer[..size], &sent, &now);
            }
            // A forged or late answer: whoever sent it must not be able to shut out the real one.
            Ok(Ok(_)) => strays += 1,
        }
    }
}

/// Connected, so that the kernel drops what others send, and tells of a closed port at once.
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

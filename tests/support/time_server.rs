//! An NTP server (RFC 5905) of the tests' own, whose time is whatever the test says.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Seconds from 1900, where NTP counts from, to 1970.
const NTP_TO_UNIX: i64 = 2_208_988_800;

/// Serves until it is dropped.
pub(crate) struct TimeServer {
    #[allow(dead_code)] // a test that chose the port need not ask
    pub(crate) address: SocketAddr,
    silent: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl TimeServer {
    /// On `ip` and `port` (0: any), telling what `truth` says: nanoseconds since 1970.
    pub(crate) fn start(
        ip: IpAddr,
        port: u16,
        truth: impl Fn() -> i64 + Send + 'static,
    ) -> std::io::Result<Self> {
        let socket = UdpSocket::bind((ip, port))?;
        let address = socket.local_addr()?;
        socket.set_read_timeout(Some(std::time::Duration::from_millis(100)))?; // so that it sees its end
        let (silent, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (is_silent, has_ended) = (Arc::clone(&silent), Arc::clone(&ended));
        std::thread::spawn(move || {
            let mut question = [0; 128];
            while !has_ended.load(Ordering::Relaxed) {
                let Ok((length, client)) = socket.recv_from(&mut question) else { continue };
                if length >= 48 && !is_silent.load(Ordering::Relaxed) {
                    let _ = socket.send_to(&answer(&question, truth()), client);
                }
            }
        });
        Ok(Self { address, silent, ended })
    }

    /// Whether it leaves questions unanswered.
    #[allow(dead_code)] // not every test that has a server wants it silent
    pub(crate) fn set_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }
}

impl Drop for TimeServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Stratum 1, precision 2^-20 s, a root dispersion of a millisecond.
fn answer(question: &[u8; 128], now: i64) -> [u8; 48] {
    let mut packet = [0; 48];
    (packet[0], packet[1], packet[3]) = (4 << 3 | 4, 1, 236);
    packet[8..12].copy_from_slice(&66_u32.to_be_bytes());
    packet[12..16].copy_from_slice(b"TEST");
    packet[24..32].copy_from_slice(&question[40..48]);
    for at in [16, 32, 40] {
        packet[at..at + 8].copy_from_slice(&stamp(now).to_be_bytes());
    }
    packet
}

fn stamp(now: i64) -> u64 {
    let seconds = (now.div_euclid(1_000_000_000) + NTP_TO_UNIX).rem_euclid(1 << 32).cast_unsigned();
    (seconds << 32) | ((now.rem_euclid(1_000_000_000).cast_unsigned() << 32) / 1_000_000_000)
}

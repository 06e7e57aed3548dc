//! A time server on loopback (RFC 5905, stratum 1) whose time can be set wrong, or that can fall
//! silent.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

use tokenwatch_core::base::time::{Delta, Wall};
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

/// A header without extensions.
const PACKET: usize = 48;
/// 1900-01-01, where NTP counts from, to 1970-01-01.
const NTP_TO_UNIX: i64 = 2_208_988_800;
/// Mode 3: a client asks.
const CLIENT: u8 = 3;
/// Mode 4: a server answers.
const SERVER: u8 = 4;
/// Precision 2^-20 s, about a microsecond: what two reads of the clock on one machine are worth.
const PRECISION: i8 = -20;
/// Root dispersion in units of 2^-16 s, about 0.2 ms: a server with a good reference clock.
const ROOT_DISPERSION: u32 = 13;

/// Turns the time of every server that follows it.
#[derive(Clone, Debug, Default)]
pub struct Dial(Arc<DialState>);

#[derive(Debug, Default)]
struct DialState {
    offset: AtomicI64,
    silent: AtomicBool,
}

impl Dial {
    /// From now on the servers' time is the node's plus `offset`.
    pub fn set_offset(&self, offset: Delta) {
        self.0.offset.store(offset.as_nanos(), Relaxed);
    }

    /// How far the servers are ahead of the node.
    pub fn offset(&self) -> Delta {
        Delta::from_nanos(self.0.offset.load(Relaxed))
    }

    /// Whether the servers answer at all.
    pub fn set_silent(&self, silent: bool) {
        self.0.silent.store(silent, Relaxed);
    }

    fn answers(&self) -> bool {
        !self.0.silent.load(Relaxed)
    }
}

/// A running server; it ends when dropped.
#[derive(Debug)]
pub struct NtpServer {
    address: SocketAddr,
    task: AbortHandle,
}

impl NtpServer {
    /// Starts one on a free port of 127.0.0.1, on the current runtime. `now` is the node's time.
    pub async fn start(dial: Dial, now: fn() -> Wall) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        let task = tokio::spawn(serve(socket, dial, now)).abort_handle();
        Ok(Self { address, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, dial: Dial, now: fn() -> Wall) {
    let mut request = [0; 128];
    loop {
        // An error here is about one datagram (a client that closed its port): the next one may be
        // well.
        let Ok((length, client)) = socket.recv_from(&mut request).await else { continue };
        let received = now() + dial.offset();
        if let Some(answer) =
            answer(&request[..length], received, now() + dial.offset()).filter(|_| dial.answers())
        {
            let _ = socket.send_to(&answer, client).await; // as with any NTP server, a lost answer is the client's to notice
        }
    }
}

/// The answer to a client's request; none to anything else.
fn answer(request: &[u8], received: Wall, sent: Wall) -> Option<[u8; PACKET]> {
    let first = *request.first()?;
    let asked = request.get(40..PACKET)?; // the client's transmit timestamp
    if first & 0b111 != CLIENT {
        return None;
    }
    let mut packet = [0; PACKET];
    packet[0] = (first & 0b0011_1000) | SERVER; // leap 0, the client's version
    packet[1] = 1; // stratum
    packet[2] = request[2]; // poll
    packet[3] = PRECISION.cast_unsigned();
    packet[8..12].copy_from_slice(&ROOT_DISPERSION.to_be_bytes());
    packet[12..16].copy_from_slice(b"DEMO");
    packet[16..24].copy_from_slice(&ntp_time(received));
    packet[24..32].copy_from_slice(asked);
    packet[32..40].copy_from_slice(&ntp_time(received));
    packet[40..48].copy_from_slice(&ntp_time(sent));
    Some(packet)
}

/// Seconds since 1900 (they wrap, as RFC 5905's eras do) and a fraction of 2^-32 s.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the era is meant to be cut off; the remainder is positive
fn ntp_time(at: Wall) -> [u8; 8] {
    let seconds = (at.as_secs() + NTP_TO_UNIX) as u32;
    let nanos = at.as_nanos().rem_euclid(1_000_000_000) as u64;
    let fraction = (nanos << 32) / 1_000_000_000;
    ((u64::from(seconds) << 32) | fraction).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    fn now() -> Wall {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Wall::from_nanos(i64::try_from(since.as_nanos()).unwrap())
    }

    /// The independent client's view of our clock.
    #[derive(Clone, Copy, Default)]
    struct NodeClock(i64);

    impl sntpc::NtpTimestampGenerator for NodeClock {
        fn init(&mut self) {
            self.0 = now().as_nanos();
        }
        fn timestamp_sec(&self) -> u64 {
            (self.0 / 1_000_000_000).cast_unsigned()
        }
        fn timestamp_subsec_micros(&self) -> u32 {
            u32::try_from(self.0 % 1_000_000_000 / 1_000).unwrap()
        }
    }

    struct Socket(UdpSocket);

    impl sntpc::NtpUdpSocket for Socket {
        async fn send_to(&self, bytes: &[u8], address: SocketAddr) -> sntpc::Result<usize> {
            self.0.send_to(bytes, address).await.map_err(|_| sntpc::Error::Network)
        }
        async fn recv_from(&self, bytes: &mut [u8]) -> sntpc::Result<(usize, SocketAddr)> {
            self.0.recv_from(bytes).await.map_err(|_| sntpc::Error::Network)
        }
    }

    async fn ask(server: &NtpServer) -> sntpc::Result<sntpc::NtpResult> {
        let socket = Socket(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        sntpc::get_time(server.address(), &socket, sntpc::NtpContext::new(NodeClock::default()))
            .await
    }

    #[tokio::test]
    async fn an_independent_client_measures_what_is_dialled() {
        let dial = Dial::default();
        let server = NtpServer::start(dial.clone(), now).await.unwrap();
        for secs in [0, 12, -3_600] {
            dial.set_offset(Delta::from_secs(secs));
            let result = ask(&server).await.unwrap();
            let error = result.offset() - secs * 1_000_000;
            assert!(error.abs() < 50_000, "asked for {secs} s, off by {error} us");
            assert_eq!(
                (result.stratum(), result.leap_indicator(), result.reference_id()),
                (1, 0, *b"DEMO")
            );
        }
    }

    #[tokio::test]
    async fn a_silent_server_says_nothing_until_it_is_told_to() {
        let dial = Dial::default();
        let server = NtpServer::start(dial.clone(), now).await.unwrap();
        dial.set_silent(true);
        assert!(tokio::time::timeout(Duration::from_millis(200), ask(&server)).await.is_err());
        dial.set_silent(false);
        assert!(ask(&server).await.is_ok());
    }

    #[test]
    fn only_clients_are_answered() {
        let at = Wall::from_secs(1_800_000_000);
        let mut request = [0; PACKET];
        request[0] = 0b00_100_011;
        request[40..].copy_from_slice(b"cookie!!");
        let answer = answer(&request, at, at).unwrap();
        assert_eq!((answer[0], &answer[24..32]), (0b00_100_100, &b"cookie!!"[..]));
        assert_eq!(super::answer(&request[..47], at, at), None, "cut off");
        request[0] = 0b00_100_100;
        assert_eq!(
            super::answer(&request, at, at),
            None,
            "a server's answer: two servers must not talk to each other for ever"
        );
    }

    #[test]
    fn times_count_from_1900() {
        let half_past = Wall::from_nanos(1_500_000_000);
        assert_eq!(ntp_time(half_past), [0x83, 0xaa, 0x7e, 0x81, 0x80, 0, 0, 0]); // 2208988801.5
    }
}

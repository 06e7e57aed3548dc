//! An NTP server (RFC 5905, stratum 1) that answers with the time it is given, or not at all.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokenwatch_core::base::time::Wall;

use crate::Error;

/// A header without extensions.
const PACKET: usize = 48;
/// Room for a request with an extension; what exceeds it is cut off, and the header is enough.
const REQUEST: usize = 128;
/// 1900-01-01, where NTP counts from, to 1970-01-01.
const NTP_TO_UNIX: i64 = 2_208_988_800;
/// Mode 3: a client's request.
const CLIENT: u8 = 3;
/// Mode 4: a server's answer.
const SERVER: u8 = 4;
/// Precision 2^-20 s, about a microsecond: what two reads of the clock on one machine are worth.
const PRECISION: i8 = -20;
/// Root dispersion in units of 2^-16 s, about 0.2 ms: a server with a good reference clock.
const ROOT_DISPERSION: u32 = 13;
/// How often the server's thread checks whether it has to end.
const PAUSE: Duration = Duration::from_millis(100);

/// A running server. Dropping it ends its thread within 0.1 s.
#[derive(Debug)]
pub struct TimeServer {
    address: SocketAddr,
    switches: Arc<Switches>,
}

#[derive(Debug, Default)]
struct Switches {
    silent: AtomicBool,
    ended: AtomicBool,
}

impl TimeServer {
    /// Starts a server at `at` (port 0: any port that is free), in a thread of its own. `truth` is
    /// the time that it reports.
    pub fn start(
        at: impl Into<SocketAddr>,
        truth: impl Fn() -> Wall + Send + 'static,
    ) -> Result<Self, Error> {
        let (socket, address) = bound(at.into()).map_err(Error::listen("NTP server"))?;
        let switches = Arc::<Switches>::default();
        let seen = Arc::clone(&switches);
        std::thread::spawn(move || serve(&socket, &seen, &truth));
        Ok(Self { address, switches })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it leaves requests unanswered.
    pub fn set_silent(&self, silent: bool) {
        self.switches.silent.store(silent, Relaxed);
    }
}

impl Drop for TimeServer {
    fn drop(&mut self) {
        self.switches.ended.store(true, Relaxed);
    }
}

fn bound(at: SocketAddr) -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind(at)?;
    socket.set_read_timeout(Some(PAUSE))?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

fn serve(socket: &UdpSocket, switches: &Switches, truth: &dyn Fn() -> Wall) {
    let mut request = [0; REQUEST];
    while !switches.ended.load(Relaxed) {
        // An error is about one datagram (its client closed the port), or the pause is over.
        let Ok((length, client)) = socket.recv_from(&mut request) else { continue };
        let received = truth();
        let answer = answer(&request[..length], received, truth())
            .filter(|_| !switches.silent.load(Relaxed));
        if let Some(answer) = answer {
            let _ = socket.send_to(&answer, client); // the client detects that an answer is lost
        }
    }
}

/// The answer to a client's request; none to anything else.
fn answer(request: &[u8], received: Wall, sent: Wall) -> Option<[u8; PACKET]> {
    let first = *request.first()?;
    let origin = request.get(40..PACKET)?; // the client's transmit timestamp
    if first & 0b111 != CLIENT {
        return None;
    }
    let mut packet = header(first, request[2]);
    packet[16..24].copy_from_slice(&ntp_time(received));
    packet[24..32].copy_from_slice(origin);
    packet[32..40].copy_from_slice(&ntp_time(received));
    packet[40..48].copy_from_slice(&ntp_time(sent));
    Some(packet)
}

/// A server's packet without its times. `first` is the first byte of the request.
fn header(first: u8, poll: u8) -> [u8; PACKET] {
    let mut packet = [0; PACKET];
    packet[0] = (first & 0b0011_1000) | SERVER; // leap 0, the client's version
    packet[1] = 1; // stratum
    packet[2] = poll;
    packet[3] = PRECISION.cast_unsigned();
    packet[8..12].copy_from_slice(&ROOT_DISPERSION.to_be_bytes());
    packet[12..16].copy_from_slice(b"DEMO");
    packet
}

/// Seconds since 1900 (they wrap, as RFC 5905's eras do) and a fraction in units of 2^-32 s.
// The era is cut off on purpose; the remainder is positive.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn ntp_time(at: Wall) -> [u8; 8] {
    let seconds = (at.as_secs() + NTP_TO_UNIX) as u32;
    let nanos = at.as_nanos().rem_euclid(1_000_000_000) as u64;
    let fraction = (nanos << 32) / 1_000_000_000;
    ((u64::from(seconds) << 32) | fraction).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::{SystemTime, UNIX_EPOCH};

    use tokenwatch_core::base::time::Delta;
    use tokio::net::UdpSocket;

    const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

    /// The independent client's view of our clock.
    #[derive(Clone, Copy, Default)]
    struct NodeClock(i64);

    impl sntpc::NtpTimestampGenerator for NodeClock {
        fn init(&mut self) {
            self.0 = ahead(0).as_nanos();
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

    async fn measure(server: &TimeServer) -> sntpc::Result<sntpc::NtpResult> {
        let socket = Socket(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        sntpc::get_time(server.address(), &socket, sntpc::NtpContext::new(NodeClock::default()))
            .await
    }

    /// This machine's clock, and so many seconds.
    #[allow(clippy::disallowed_methods)] // a test is what gives the server its time
    fn ahead(secs: i64) -> Wall {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Wall::from_nanos(i64::try_from(since.as_nanos()).unwrap()) + Delta::from_secs(secs)
    }

    #[tokio::test]
    async fn an_independent_client_measures_the_time_that_was_given() {
        for secs in [0, 12, -3_600] {
            let server = TimeServer::start(LOOPBACK, move || ahead(secs)).unwrap();
            let result = measure(&server).await.unwrap();
            let error = result.offset() - secs * 1_000_000;
            assert!(error.abs() < 50_000, "wanted {secs} s, off by {error} us");
            assert_eq!(
                (result.stratum(), result.leap_indicator(), result.reference_id()),
                (1, 0, *b"DEMO")
            );
        }
    }

    #[tokio::test]
    async fn a_silent_server_answers_again_when_it_is_switched_back() {
        let server = TimeServer::start(LOOPBACK, || ahead(0)).unwrap();
        server.set_silent(true);
        assert!(tokio::time::timeout(Duration::from_millis(200), measure(&server)).await.is_err());
        server.set_silent(false);
        assert!(measure(&server).await.is_ok());
    }

    #[test]
    fn a_port_that_is_taken_is_an_error_that_names_the_server() {
        let first = TimeServer::start(LOOPBACK, || ahead(0)).unwrap();
        let error = TimeServer::start(first.address(), || ahead(0)).unwrap_err();
        assert!(error.to_string().starts_with("the NTP server cannot listen: "), "{error}");
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
            "a server's answer: two servers must not answer each other for ever"
        );
    }

    #[test]
    fn times_count_from_1900() {
        let half_past = Wall::from_nanos(1_500_000_000);
        assert_eq!(ntp_time(half_past), [0x83, 0xaa, 0x7e, 0x81, 0x80, 0, 0, 0]); // 2208988801.5
    }
}

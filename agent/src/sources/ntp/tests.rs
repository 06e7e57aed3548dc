use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use tokenwatch_core::base::time::{Delta, Monotonic, Reading, Wall};
use tokenwatch_core::world::clocks::{ExchangeError, Sample};
use tokenwatch_core::world::observation::SourceState;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::channel;
use tokio::time::timeout;

use super::poll_policy::PollPolicy;
use super::poller::Poller;
use super::*;
use crate::clocks;

/// Seconds from the NTP epoch to the Unix epoch.
const UNIX_EPOCH: i64 = 2_208_988_800;

fn stamp(at: Wall) -> [u8; 8] {
    let seconds = (at.as_secs() + UNIX_EPOCH).rem_euclid(1 << 32).cast_unsigned();
    let fraction = (at.as_nanos().rem_euclid(1_000_000_000).cast_unsigned() << 32) / 1_000_000_000;
    ((seconds << 32) | fraction).to_be_bytes()
}

/// A correct response, at `now`, to `request`.
fn response(request: &[u8], now: Wall) -> Vec<u8> {
    let mut packet = vec![0; 48];
    // Version 4, server; stratum 2; 2^-20 s.
    (packet[0], packet[1], packet[3]) = (4 << 3 | 4, 2, 236);
    packet[16..24].copy_from_slice(&stamp(now - Delta::from_secs(30)));
    packet[24..32].copy_from_slice(&request[40..48]);
    packet[32..40].copy_from_slice(&stamp(now));
    packet[40..48].copy_from_slice(&stamp(now));
    packet
}

type Change = fn(&mut Vec<u8>);

/// Stratum 0, and a kiss code instead of a reference (RFC 5905, section 7.4).
fn kiss_of_death(packet: &mut [u8], code: [u8; 4]) {
    packet[1] = 0;
    packet[12..16].copy_from_slice(&code);
}

/// A server at `local` whose responses are changed.
async fn server(local: &str, change: Change) -> ServerName {
    let socket = UdpSocket::bind((local, 0)).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 128];
        while let Ok((size, client)) = socket.recv_from(&mut buffer).await {
            let mut packet = response(&buffer[..size], clocks::now().wall);
            change(&mut packet);
            if !packet.is_empty() {
                socket.send_to(&packet, client).await.unwrap();
            }
        }
    });
    ServerName { host: local.to_owned(), port, address: None, pool: None }
}

fn config(servers: Vec<ServerName>) -> NtpConfig {
    NtpConfig { servers, timeout: Duration::from_millis(300), attempts: 1, ..NtpConfig::default() }
}

async fn result(local: &str, change: Change) -> Result<Sample, ExchangeError> {
    let servers = vec![server(local, change).await];
    measure(&config(servers)).await.exchanges.remove(0).result
}

#[tokio::test]
async fn a_correct_response_gives_a_sample_over_ipv4_and_ipv6() {
    for local in ["127.0.0.1", "::1"] {
        let sample = result(local, |_| {}).await.unwrap();
        assert!(sample.offset.abs() <= sample.root_distance, "{sample:?}");
        assert_eq!(sample.stratum, 2);
    }
}

#[tokio::test]
async fn an_invalid_response_is_an_error() {
    let cases: [(&str, Change, &str); 12] = [
        ("silent", |packet| packet.clear(), "timeout"),
        ("another request's cookie", |packet| packet[24] ^= 1, "bogus"),
        ("a client's mode", |packet| packet[0] = 4 << 3 | 3, "bogus"),
        ("cut off", |packet| packet.truncate(47), "bogus"),
        ("version 2", |packet| packet[0] = 2 << 3 | 4, "bogus"),
        ("no transmit time", |packet| packet[40..48].fill(0), "bogus"),
        ("sent before it was received", |packet| packet[43] = packet[43].wrapping_sub(9), "bogus"),
        ("leap 3", |packet| packet[0] |= 3 << 6, "unsynchronised"),
        ("stratum 16", |packet| packet[1] = 16, "unsynchronised"),
        ("rate", |packet| kiss_of_death(packet, *b"RATE"), "kiss_of_death"),
        ("not yet", |packet| kiss_of_death(packet, *b"INIT"), "unsynchronised"),
        ("root dispersion of 2 s", |packet| packet[9] = 2, "too_far"),
    ];
    for (name, change, kind) in cases {
        assert_eq!(result("127.0.0.1", change).await.unwrap_err().kind(), kind, "{name}");
    }
}

/// From a sender that can use the server's address, but has not seen the request.
#[tokio::test]
async fn forged_packets_neither_count_nor_keep_the_response_out() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = ServerName {
        host: "127.0.0.1".to_owned(),
        port: socket.local_addr().unwrap().port(),
        address: None,
        pool: None,
    };
    tokio::spawn(async move {
        let mut request = [0; 48];
        let mut before = [7; 48];
        while let Ok((_, client)) = socket.recv_from(&mut request).await {
            let now = clocks::now().wall;
            let noise = [
                vec![],
                vec![0xff; 48],
                vec![0; 60_000],
                request.to_vec(),
                response(&before, now - Delta::from_secs(9)),
                vec![4 << 3 | 4; 47],
            ];
            for packet in noise.iter().chain([&response(&request, now)]) {
                socket.send_to(packet, client).await.unwrap();
            }
            before = request;
        }
    });
    for _ in 0..3 {
        let result = measure(&config(vec![server.clone()])).await.exchanges.remove(0).result;
        assert!(
            result.as_ref().is_ok_and(|sample| sample.offset.abs() < Delta::from_secs(1)),
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn a_packet_from_another_port_is_ignored() {
    let (socket, other) = (
        UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        UdpSocket::bind("127.0.0.1:0").await.unwrap(),
    );
    let server = ServerName {
        host: "127.0.0.1".to_owned(),
        port: socket.local_addr().unwrap().port(),
        address: None,
        pool: None,
    };
    tokio::spawn(async move {
        let mut request = [0; 48];
        while let Ok((_, client)) = socket.recv_from(&mut request).await {
            other.send_to(&response(&request, clocks::now().wall), client).await.unwrap();
        }
    });
    assert_eq!(
        measure(&config(vec![server])).await.exchanges.remove(0).result,
        Err(ExchangeError::Timeout)
    );
}

/// Packets from the server's address, as fast as two threads can send, until it is dropped: there
/// is always something to receive.
struct Flood(Arc<AtomicBool>);

impl Flood {
    fn start(socket: &Arc<std::net::UdpSocket>, victim: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..2 {
            let (socket, over) = (Arc::clone(socket), Arc::clone(&over));
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let _ = socket.send_to(&[4 << 3 | 4; 48], victim);
                }
            });
        }
        Self(over)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_flood_cannot_prolong_a_round() {
    let socket = Arc::new(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    let server = ServerName {
        host: "127.0.0.1".to_owned(),
        port: socket.local_addr().unwrap().port(),
        address: None,
        pool: None,
    };
    let config = config(vec![server]);
    let asking = tokio::spawn(async move { measure(&config).await });
    let receiving = Arc::clone(&socket);
    let victim = tokio::task::spawn_blocking(move || receiving.recv_from(&mut [0; 48]).unwrap().1)
        .await
        .unwrap();
    let flood = Flood::start(&socket, victim);
    let round = timeout(Duration::from_secs(20), asking)
        .await
        .expect("it ends while the flood goes on")
        .unwrap();
    drop(flood);
    assert_eq!(round.exchanges[0].result.as_ref().unwrap_err().kind(), "bogus");
}

#[tokio::test]
async fn a_server_is_polled_once_and_each_failure_has_its_kind() {
    let real = server("127.0.0.1", |_| {}).await;
    let closed = ServerName {
        port: UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port(),
        ..real.clone()
    };
    let unknown = ServerName { host: "no such name".to_owned(), ..real.clone() };
    let round = measure(&config(vec![real.clone(), real, closed, unknown])).await;
    let mut kinds: Vec<_> = round
        .exchanges
        .iter()
        .map(|exchange| exchange.result.as_ref().map_or_else(ExchangeError::kind, |_| "sample"))
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["network", "resolve", "sample"]);
}

/// With many names, the later ones are asked, too: else they would be outvoted by being left out.
#[tokio::test]
async fn each_name_is_polled_before_the_second_address_of_any() {
    let real = server("127.0.0.1", |_| {}).await;
    let named = |nth: u8| ServerName { host: format!("127.0.0.{nth}"), ..real.clone() };
    let servers: Vec<_> = (1..=30).chain([1, 2]).map(named).collect();
    let round = measure(&config(servers)).await;
    let mut hosts: Vec<_> = round.exchanges.into_iter().map(|it| it.server.host).collect();
    hosts.sort_unstable();
    hosts.dedup();
    assert_eq!(hosts.len(), 30);
}

#[tokio::test]
async fn it_polls_again_when_notified_and_ends_when_the_receiver_is_dropped() {
    let (out, mut observations) = channel(8);
    let remeasure = Arc::new(Notify::new());
    let servers = vec![server("127.0.0.1", |_| {}).await];
    let config = NtpConfig { interval: Duration::from_hours(1), ..config(servers) };
    let task = tokio::spawn(run(config, out, Arc::clone(&remeasure)));
    assert!(matches!(
        observations.recv().await,
        Some(Observation::Source(SourceState { degraded: None, .. }))
    ));
    assert!(matches!(observations.recv().await, Some(Observation::NtpRound(_))));
    remeasure.notify_one();
    let again = timeout(Duration::from_secs(1), observations.recv()).await;
    assert!(matches!(again, Ok(Some(Observation::NtpRound(_)))), "before the burst's next round");
    drop(observations);
    timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_kiss_of_death_is_obeyed_and_a_response_delays_nothing() {
    let kiss: [(&str, Change, usize); 4] = [
        ("DENY", |packet| kiss_of_death(packet, *b"DENY"), 1),
        ("RSTR", |packet| kiss_of_death(packet, *b"RSTR"), 1),
        ("RATE", |packet| kiss_of_death(packet, *b"RATE"), 1),
        ("none", |_| {}, 2),
    ];
    for (code, change, polled) in kiss {
        let mut poller = Poller::new(config(vec![server("127.0.0.1", change).await]));
        let rounds = [poller.round().await, poller.round().await];
        assert_eq!(
            rounds.iter().map(|round| round.exchanges.len()).sum::<usize>(),
            polled,
            "{code}: {rounds:?}"
        );
    }
}

#[test]
fn servers_are_polled_no_more_often_than_their_policy_allows() {
    let minute = Duration::from_secs(64);
    let at = |secs: i64| Monotonic::default() + Delta::from_secs(secs);
    let kiss = |code: &str| Some(ExchangeError::KissOfDeath(code.to_owned()));
    let cases = [
        ("local", true, false, None, 0),
        ("on the network", false, false, None, 2),
        ("pool", false, true, None, 922),
        ("pool without response", false, true, Some(ExchangeError::Timeout), 58),
        ("kiss RATE", false, false, kiss("RATE"), 116),
        ("kiss DENY", false, false, kiss("DENY"), 77_760),
    ];
    for (name, local, pool, error, wait) in cases {
        let mut policy = PollPolicy::new(local, pool);
        assert!(policy.allows(at(0)), "{name}");
        policy.record(at(0), minute, error.as_ref());
        assert!(policy.allows(at(wait)), "{name}");
        assert!(wait == 0 || !policy.allows(at(wait - 2)), "{name}");
    }
}

fn exchange_at(node: Wall, server: Wall) -> Result<Sample, ExchangeError> {
    let sent = Reading { wall: node, monotonic: Monotonic::default() };
    let packet = response(&packet::request(7), server);
    packet::sample(&packet, &sent, &sent.after(Delta::from_millis(2)))
}

#[test]
fn the_era_follows_from_the_nodes_clock_and_the_earliest_time() {
    let rollover = Wall::from_secs(2_085_978_496); // 2036-02-07T06:28:16Z
    let cases = [
        ("before", rollover - Delta::from_secs(10), rollover - Delta::from_secs(5)),
        ("across", rollover - Delta::from_secs(5), rollover + Delta::from_secs(5)),
        ("after", rollover + Delta::from_secs(3_600), rollover + Delta::from_secs(3_700)),
        ("a node that booted in 1970", Wall::from_secs(60), Wall::from_secs(2_300_000_000)),
    ];
    for (name, node, server) in cases {
        let sample = exchange_at(node, server).unwrap();
        assert!(
            (sample.offset - (server - node)).abs() < Delta::from_millis(2),
            "{name}: {sample:?}"
        );
    }
}

#[test]
fn a_clock_set_during_the_exchange_is_an_error() {
    let sent = Reading { wall: Wall::from_secs(1_800_000_000), monotonic: Monotonic::default() };
    let packet = response(&packet::request(7), sent.wall);
    let mut received = sent.after(Delta::from_millis(2));
    received.wall = received.wall + Delta::from_secs(90);
    assert_eq!(packet::sample(&packet, &sent, &received), Err(ExchangeError::ClockStepped));
}

fn reading(wall: i64, monotonic: i64) -> Reading {
    Reading { wall: Wall::from_nanos(wall), monotonic: Monotonic::from_nanos(monotonic) }
}

proptest::proptest! {
    #[test]
    fn no_packet_makes_it_panic(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100),
        wall: i64,
        monotonic: i64,
        elapsed: i64,
    ) {
        let sent = reading(wall, monotonic);
        let received = sent.after(Delta::from_nanos(elapsed));
        fuzzed::checked(&bytes, &sent, &received);
    }
    /// A response with a valid header and arbitrary numbers.
    #[test]
    fn every_sample_has_a_bound(
        bytes: [u8; 48],
        wall: i64,
        monotonic: i64,
        elapsed in 0_i64..3_000_000_000,
        slip in -200_000_000_i64..200_000_000,
    ) {
        let mut packet = bytes;
        (packet[0], packet[1]) = (4 << 3 | 4, packet[1] % 15 + 1);
        packet[4..12].copy_from_slice(&[0, 0, bytes[4], bytes[5], 0, 0, bytes[6], bytes[7]]);
        // Otherwise the server claims to have held the request for decades.
        packet[40..48].copy_from_slice(&bytes[32..40]);
        let sent = reading(wall, monotonic);
        let mut received = sent.after(Delta::from_nanos(elapsed));
        received.wall = received.wall + Delta::from_nanos(slip);
        fuzzed::checked(&packet, &sent, &received);
    }

    /// Whatever the delay in each direction, and however fast the node's clock was slewed
    /// meanwhile: true time is within the root distance.
    #[test]
    fn an_honest_response_bounds_true_time(
        offset in -4_000_000_000_000_000_000_i64..2_000_000_000_000_000_000,
        there in 0_i64..400_000_000,
        held in 0_i64..1_000_000,
        back in 0_i64..400_000_000,
        slew in -100_000_i64..100_000,
        hardware in -100_i64..100,
    ) {
        let sent = reading(1_800_000_000_000_000_000, 0);
        let offset = Delta::from_nanos(offset / 2);
        let arrived = sent.wall + offset + Delta::from_nanos(there);
        let mut packet = response(&packet::request(7), arrived);
        packet[40..48].copy_from_slice(&stamp(arrived + Delta::from_nanos(held)));
        let elapsed = Delta::from_nanos(there + held + back);
        let age = elapsed + elapsed.fraction(hardware, 1_000_000);
        let slewed = age.fraction(slew, 1_000_000);
        let received =
            Reading { wall: sent.wall + age + slewed, monotonic: sent.monotonic + age };
        if let Ok(sample) = packet::sample(&packet, &sent, &received) {
            let truth = sent.wall + offset + elapsed;
            let error = received.wall + sample.offset - truth;
            let is_within = error.abs() <= sample.root_distance;
            proptest::prop_assert!(is_within, "off by {error}: {sample:?}");
        } else {
            let is_disturbed = slewed.abs() > Delta::from_millis(50);
            proptest::prop_assert!(is_disturbed, "an honest response was refused");
        }
    }
}

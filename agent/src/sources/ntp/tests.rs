use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use tokenwatch_core::base::time::{Delta, Monotonic, Reading, Wall};
use tokenwatch_core::world::clocks::{ExchangeError, Sample};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::channel;
use tokio::time::timeout;

use super::courtesy::Courtesy;
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

/// A right answer, at `now`, to `question`.
fn answer(question: &[u8], now: Wall) -> Vec<u8> {
    let mut packet = vec![0; 48];
    (packet[0], packet[1], packet[3]) = (4 << 3 | 4, 2, 236); // version 4, server; stratum 2; 2^-20 s
    packet[16..24].copy_from_slice(&stamp(now - Delta::from_secs(30)));
    packet[24..32].copy_from_slice(&question[40..48]);
    packet[32..40].copy_from_slice(&stamp(now));
    packet[40..48].copy_from_slice(&stamp(now));
    packet
}

type Spoil = fn(&mut Vec<u8>);

/// Stratum 0, and a code instead of a reference (RFC 5905, section 7.4).
fn kiss_of_death(packet: &mut [u8], code: [u8; 4]) {
    packet[1] = 0;
    packet[12..16].copy_from_slice(&code);
}

/// A server at `local` whose answers are spoilt.
async fn server(local: &str, spoil: Spoil) -> ServerName {
    let socket = UdpSocket::bind((local, 0)).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 128];
        while let Ok((size, client)) = socket.recv_from(&mut buffer).await {
            let mut packet = answer(&buffer[..size], clocks::now().wall);
            spoil(&mut packet);
            if !packet.is_empty() {
                socket.send_to(&packet, client).await.unwrap();
            }
        }
    });
    ServerName { host: local.to_owned(), port, address: None }
}

fn config(servers: Vec<ServerName>) -> NtpConfig {
    NtpConfig { servers, timeout: Duration::from_millis(300), attempts: 1, ..NtpConfig::default() }
}

async fn result(local: &str, spoil: Spoil) -> Result<Sample, ExchangeError> {
    let servers = vec![server(local, spoil).await];
    measure(&config(servers)).await.exchanges.remove(0).result
}

#[tokio::test]
async fn a_right_answer_is_a_sample_on_both_families() {
    for local in ["127.0.0.1", "::1"] {
        let sample = result(local, |_| {}).await.unwrap();
        assert!(sample.offset.abs() <= sample.root_distance, "{sample:?}");
        assert_eq!(sample.stratum, 2);
    }
}

#[tokio::test]
async fn what_cannot_be_believed_is_not() {
    let cases: [(&str, Spoil, &str); 12] = [
        ("silent", |packet| packet.clear(), "timeout"),
        ("somebody else's question", |packet| packet[24] ^= 1, "bogus"),
        ("a client's mode", |packet| packet[0] = 4 << 3 | 3, "bogus"),
        ("cut off", |packet| packet.truncate(47), "bogus"),
        ("version 2", |packet| packet[0] = 2 << 3 | 4, "bogus"),
        ("no transmit time", |packet| packet[40..48].fill(0), "bogus"),
        ("answered before it was asked", |packet| packet[43] = packet[43].wrapping_sub(9), "bogus"),
        ("leap 3", |packet| packet[0] |= 3 << 6, "unsynchronised"),
        ("stratum 16", |packet| packet[1] = 16, "unsynchronised"),
        ("rate", |packet| kiss_of_death(packet, *b"RATE"), "kiss_of_death"),
        ("not yet", |packet| kiss_of_death(packet, *b"INIT"), "unsynchronised"),
        ("root dispersion of 2 s", |packet| packet[9] = 2, "too_far"),
    ];
    for (name, spoil, kind) in cases {
        assert_eq!(result("127.0.0.1", spoil).await.unwrap_err().kind(), kind, "{name}");
    }
}

/// Whoever can send from the server's address, but has not seen the question.
#[tokio::test]
async fn noise_neither_counts_as_an_answer_nor_keeps_the_answer_out() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = ServerName {
        host: "127.0.0.1".to_owned(),
        port: socket.local_addr().unwrap().port(),
        address: None,
    };
    tokio::spawn(async move {
        let mut question = [0; 48];
        let mut before = [7; 48];
        while let Ok((_, client)) = socket.recv_from(&mut question).await {
            let now = clocks::now().wall;
            let noise = [
                vec![],
                vec![0xff; 48],
                vec![0; 60_000],
                question.to_vec(),
                answer(&before, now - Delta::from_secs(9)),
                vec![4 << 3 | 4; 47],
            ];
            for packet in noise.iter().chain([&answer(&question, now)]) {
                socket.send_to(packet, client).await.unwrap();
            }
            before = question;
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
async fn an_answer_from_another_port_is_none() {
    let (socket, other) = (
        UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        UdpSocket::bind("127.0.0.1:0").await.unwrap(),
    );
    let server = ServerName {
        host: "127.0.0.1".to_owned(),
        port: socket.local_addr().unwrap().port(),
        address: None,
    };
    tokio::spawn(async move {
        let mut question = [0; 48];
        while let Ok((_, client)) = socket.recv_from(&mut question).await {
            other.send_to(&answer(&question, clocks::now().wall), client).await.unwrap();
        }
    });
    assert_eq!(
        measure(&config(vec![server])).await.exchanges.remove(0).result,
        Err(ExchangeError::Timeout)
    );
}

/// From the server's address, as fast as two threads can, until the test is over: there is always
/// something to receive.
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
async fn a_flood_cannot_make_a_round_last() {
    let socket = Arc::new(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    let server = ServerName {
        host: "127.0.0.1".to_owned(),
        port: socket.local_addr().unwrap().port(),
        address: None,
    };
    let config = config(vec![server]);
    let asking = tokio::spawn(async move { measure(&config).await });
    let asked = Arc::clone(&socket);
    let victim = tokio::task::spawn_blocking(move || asked.recv_from(&mut [0; 48]).unwrap().1)
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
async fn names_ports_and_duplicates_each_get_what_they_deserve() {
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

#[tokio::test]
async fn it_asks_again_at_once_when_told_to_and_ends_when_nobody_listens() {
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
async fn a_kiss_of_death_is_obeyed_and_an_answer_is_no_reason_to_stay_away() {
    let kiss: [(&str, Spoil, usize); 4] = [
        ("DENY", |packet| kiss_of_death(packet, *b"DENY"), 1),
        ("RSTR", |packet| kiss_of_death(packet, *b"RSTR"), 1),
        ("RATE", |packet| kiss_of_death(packet, *b"RATE"), 1),
        ("none", |_| {}, 2),
    ];
    for (code, spoil, asked) in kiss {
        let mut poller = Poller::new(config(vec![server("127.0.0.1", spoil).await]));
        let rounds = [poller.round().await, poller.round().await];
        assert_eq!(
            rounds.iter().map(|round| round.exchanges.len()).sum::<usize>(),
            asked,
            "{code}: {rounds:?}"
        );
    }
}

#[test]
fn servers_are_asked_no_more_often_than_they_like() {
    let minute = Duration::from_secs(64);
    let at = |secs: i64| Monotonic::default() + Delta::from_secs(secs);
    let kiss = |code: &str| Some(ExchangeError::KissOfDeath(code.to_owned()));
    let cases = [
        ("local", true, false, None, 0),
        ("on the network", false, false, None, 2),
        ("pool", false, true, None, 922),
        ("pool that was silent", false, true, Some(ExchangeError::Timeout), 58),
        ("told to slow down", false, false, kiss("RATE"), 116),
        ("told to go away", false, false, kiss("DENY"), 77_760),
    ];
    for (name, local, pool, error, wait) in cases {
        let mut courtesy = Courtesy::new(local, pool);
        assert!(courtesy.allows(at(0)), "{name}");
        courtesy.asked(at(0), minute, error.as_ref());
        assert!(courtesy.allows(at(wait)), "{name}");
        assert!(wait == 0 || !courtesy.allows(at(wait - 2)), "{name}");
    }
}

fn exchange_at(node: Wall, server: Wall) -> Result<Sample, ExchangeError> {
    let sent = Reading { wall: node, monotonic: Monotonic::default() };
    let packet = answer(&packet::request(7), server);
    packet::sample(&packet, &sent, &sent.after(Delta::from_millis(2)))
}

#[test]
fn the_era_is_told_by_the_nodes_clock_and_by_reason() {
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
fn a_clock_that_is_set_during_the_exchange_spoils_it() {
    let sent = Reading { wall: Wall::from_secs(1_800_000_000), monotonic: Monotonic::default() };
    let packet = answer(&packet::request(7), sent.wall);
    let mut received = sent.after(Delta::from_millis(2));
    received.wall = received.wall + Delta::from_secs(90);
    assert_eq!(packet::sample(&packet, &sent, &received), Err(ExchangeError::ClockStepped));
}

proptest::proptest! {
    #[test]
    fn no_answer_can_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100), wall: i64, monotonic: i64, elapsed: i64) {
        let sent = Reading { wall: Wall::from_nanos(wall), monotonic: Monotonic::from_nanos(monotonic) };
        let received = sent.after(Delta::from_nanos(elapsed));
        if let Ok(sample) = packet::sample(&bytes, &sent, &received) {
            proptest::prop_assert!((1..16).contains(&sample.stratum) && sample.root_distance <= packet::MAX_DISTANCE);
        }
    }
    /// An answer that passes for one, in which everything that is a number is made up.
    #[test]
    fn what_is_believed_of_any_answer_has_a_bound(bytes: [u8; 48], wall: i64, monotonic: i64, elapsed in 0_i64..3_000_000_000, slip in -200_000_000_i64..200_000_000) {
        let mut packet = bytes;
        (packet[0], packet[1]) = (4 << 3 | 4, packet[1] % 15 + 1);
        packet[4..12].copy_from_slice(&[0, 0, bytes[4], bytes[5], 0, 0, bytes[6], bytes[7]]);
        packet[40..48].copy_from_slice(&bytes[32..40]); // else the server is said to have held it for decades
        let sent = Reading { wall: Wall::from_nanos(wall), monotonic: Monotonic::from_nanos(monotonic) };
        let mut received = sent.after(Delta::from_nanos(elapsed));
        received.wall = received.wall + Delta::from_nanos(slip);
        if let Ok(sample) = packet::sample(&packet, &sent, &received) {
            proptest::prop_assert!(sample.delay >= Delta::ZERO && sample.delay.fraction(1, 2) <= sample.root_distance, "{sample:?}");
            proptest::prop_assert!(Delta::from_nanos(slip).abs() <= sample.root_distance, "a clock that was set meanwhile proves nothing finer: {sample:?}");
        }
    }

    /// Whatever the way there and back took, and however fast the node's clock was slewed meanwhile: true time is within the root distance.
    #[test]
    fn an_honest_answer_holds_true_time(offset in -4_000_000_000_000_000_000_i64..2_000_000_000_000_000_000, there in 0_i64..400_000_000, held in 0_i64..1_000_000, back in 0_i64..400_000_000, slew in -100_000_i64..100_000, hardware in -100_i64..100) {
        let sent = Reading { wall: Wall::from_secs(1_800_000_000), monotonic: Monotonic::default() };
        let offset = Delta::from_nanos(offset / 2);
        let arrived = sent.wall + offset + Delta::from_nanos(there);
        let mut packet = answer(&packet::request(7), arrived);
        packet[40..48].copy_from_slice(&stamp(arrived + Delta::from_nanos(held)));
        let elapsed = Delta::from_nanos(there + held + back);
        let age = elapsed + elapsed.fraction(hardware, 1_000_000);
        let received = Reading { wall: sent.wall + age + age.fraction(slew, 1_000_000), monotonic: sent.monotonic + age };
        if let Ok(sample) = packet::sample(&packet, &sent, &received) {
            let truth = sent.wall + offset + elapsed;
            let error = received.wall + sample.offset - truth;
            proptest::prop_assert!(error.abs() <= sample.root_distance, "off by {error}: {sample:?}");
        } else {
            proptest::prop_assert!(age.fraction(slew, 1_000_000).abs() > Delta::from_millis(50), "an honest answer was refused");
        }
    }
}

//! Any bytes as the response of a time server, and any minority of wrong servers as a clock.

use tokenwatch_core::base::time::{Delta, Monotonic, Reading, Wall};
use tokenwatch_core::engine::{Config, Engine};
use tokenwatch_core::world::clocks::{
    Exchange, ExchangeError, HARDWARE_PPM, Leap, Round, Sample, ServerName,
};
use tokenwatch_core::world::observation::Observation;

use super::packet;
use crate::fuzzed::Numbers;

/// Most time servers of one clock: more would only repeat what fewer show.
const MAX_SERVERS: u8 = 9;

/// The first byte decides which of the two.
pub(crate) fn ntp(bytes: &[u8]) {
    match bytes.split_first() {
        Some((0, rest)) => clock(&mut Numbers::of(rest)),
        Some((_, rest)) => response(rest),
        None => {}
    }
}

/// A packet, after the readings at which its request was sent and it arrived.
fn response(bytes: &[u8]) {
    let mut numbers = Numbers::of(bytes);
    let (wall, monotonic) = (Wall::from_nanos(numbers.i64()), numbers.i64());
    let (elapsed, slip) = (Delta::from_nanos(numbers.i64()), Delta::from_nanos(numbers.i64()));
    let sent = Reading { wall, monotonic: Monotonic::from_nanos(monotonic) };
    let mut received = sent.after(elapsed);
    received.wall = received.wall + slip;
    checked(bytes.get(32..).unwrap_or_default(), &sent, &received);
}

/// The bound of a sample covers all that can make it wrong, and is small enough to be of use.
pub(super) fn checked(packet: &[u8], sent: &Reading, received: &Reading) {
    let Ok(sample) = packet::sample(packet, sent, received) else { return };
    let bound = sample.root_distance;
    assert!((1..16).contains(&sample.stratum), "{sample:?}");
    assert!(bound <= packet::MAX_DISTANCE, "{sample:?}");
    assert!(sample.delay >= Delta::ZERO && sample.delay.fraction(1, 2) <= bound, "{sample:?}");
    assert!(sample.reference_id.len() <= "255.255.255.255".len(), "{sample:?}");
    // A clock that was set meanwhile proves no more.
    let slip = (received.wall - sent.wall) - (received.monotonic - sent.monotonic);
    assert!(slip.abs() <= bound, "{sample:?}");
}

/// Servers of which fewer than half are wrong: what they agree on contains true time.
fn clock(numbers: &mut Numbers<'_>) {
    let servers = numbers.byte() % MAX_SERVERS + 1;
    let wrong = numbers.byte() % servers.div_ceil(2);
    // How far true time is ahead of the node's clock.
    let truth = Delta::from_millis(numbers.i32().into());
    let mut engine = Engine::new(config());
    let mut now = Reading { wall: Wall::from_secs(1_800_000_000), ..Reading::default() };
    for _ in 0..4 {
        now = now.after(Delta::from_secs(64));
        let round = (0..servers).map(|nth| exchange(nth, nth < wrong, truth, now, numbers));
        let exchanges = round.collect();
        let round = Round { started: now, ended: now, exchanges, voters: Vec::new() };
        let _ = engine.step(&now, Observation::NtpRound(round));
        for wait in [0, 30] {
            now = now.after(Delta::from_secs(wait));
            contains_true_time(&mut engine, &now, truth);
        }
        if numbers.is_empty() {
            return;
        }
    }
}

fn config() -> Config {
    let mut config = Config { node: "n1".into(), ..Config::default() };
    config.clock.servers_configured = true;
    config
}

fn contains_true_time(engine: &mut Engine, now: &Reading, truth: Delta) {
    let _ = engine.step(now, Observation::Tick);
    let estimate = engine.clock(now);
    let interval = estimate.interval(now.wall);
    let true_time = now.wall + truth;
    let contains = interval.lo <= true_time && true_time <= interval.hi;
    assert!(estimate.assumed || contains, "{truth} is outside of {estimate:?}");
}

/// The answer of one server. One that is right may be silent.
fn exchange(
    nth: u8,
    is_wrong: bool,
    truth: Delta,
    now: Reading,
    numbers: &mut Numbers<'_>,
) -> Exchange {
    let bound = Delta::from_nanos(i64::from(numbers.i32().unsigned_abs()) % 1_500_000_000);
    let error = Delta::from_nanos(numbers.i32().into());
    let offset = if is_wrong {
        Delta::from_nanos(numbers.i64())
    } else {
        truth + error.max(-bound).min(bound)
    };
    let is_silent = numbers.byte() & 3 == 3;
    let sample = Sample {
        offset,
        delay: Delta::ZERO,
        root_distance: bound + Delta::from_secs(1).drift(HARDWARE_PPM),
        stratum: 2,
        leap: Leap::None,
        reference_id: "GPS".into(),
        taken: now,
    };
    Exchange {
        server: ServerName {
            host: format!("s{nth}.example"),
            port: 123,
            address: Some(format!("192.0.2.{nth}")),
            pool: None,
        },
        started: now,
        ended: now,
        result: if is_silent { Err(ExchangeError::Timeout) } else { Ok(sample) },
    }
}

//! Rounds, readings and models for tests.

use super::server::ServerName;
use super::types::{Exchange, ExchangeError, KernelClock, Leap, Round, Sample, Step};
use super::{ClockModel, Limits};
use crate::base::time::{Delta, Monotonic, Reading, Wall};

/// Both clocks `secs` seconds after boot. The node booted at 1,700,000,000 s after the epoch.
pub(crate) fn at(secs: i64) -> Reading {
    Reading { wall: Wall::from_secs(1_700_000_000), monotonic: Monotonic::from_nanos(0) }
        .after(Delta::from_secs(secs))
}

/// A reading after the wall clock was set forward by `size`.
pub(crate) fn set(reading: Reading, size: Delta) -> Reading {
    Reading { wall: reading.wall + size, ..reading }
}

/// A step by `size`. `reading` is before it.
pub(crate) fn step(reading: Reading, size: Delta) -> Step {
    Step { size, after: set(reading, size) }
}

pub(crate) fn server(name: &str) -> ServerName {
    ServerName {
        host: name.to_owned(),
        port: 123,
        address: Some("192.0.2.1".to_owned()),
        pool: None,
    }
}

pub(crate) fn sample(taken: Reading, offset: Delta, bound: Delta) -> Sample {
    Sample {
        offset,
        delay: bound,
        root_distance: bound,
        stratum: 2,
        leap: Leap::None,
        reference_id: "GPS".to_owned(),
        taken,
    }
}

/// A server's name, and the offset and bound that it gives, or why it gives none.
pub(crate) type Answer<'a> = (&'a str, Result<(Delta, Delta), ExchangeError>);

/// A round that ended at `taken`, with the answer of each server.
pub(crate) fn round(taken: Reading, answers: &[Answer<'_>]) -> Round {
    let started = taken.after(Delta::from_millis(-10));
    let exchange = |(name, result): &Answer<'_>| Exchange {
        server: server(name),
        started,
        ended: taken,
        result: result.clone().map(|(offset, bound)| sample(taken, offset, bound)),
    };
    let exchanges = answers.iter().map(exchange).collect();
    Round { started, ended: taken, exchanges, voters: Vec::new() }
}

/// An answer with an offset of `millis` milliseconds and a bound of 5 ms.
#[allow(clippy::unnecessary_wraps)] // an `Answer` may also be an error
pub(crate) fn offset_ms(millis: i64) -> Result<(Delta, Delta), ExchangeError> {
    Ok((Delta::from_millis(millis), Delta::from_millis(5)))
}

/// A report of the kernel.
pub(crate) fn kernel(taken: Reading, synchronised: bool) -> KernelClock {
    let error = if synchronised { Delta::from_millis(20) } else { Delta::from_secs(16) };
    KernelClock {
        synchronised,
        max_error: error,
        estimated_error: error,
        leap: Leap::None,
        steering_ppm: 0,
        taken,
    }
}

/// A model with configured time servers and no measurements.
pub(crate) fn model() -> ClockModel {
    ClockModel::new(Limits { servers_configured: true, ..Limits::default() })
}

/// The same model after one round.
pub(crate) fn after_round(taken: Reading, answers: &[Answer<'_>]) -> ClockModel {
    let mut model = model();
    model.round(&round(taken, answers));
    model
}

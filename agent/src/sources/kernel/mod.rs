//! The kernel's own clock state (adjtimex(2)), and steps of the wall clock.

mod alarm;
mod steps;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::base::time::{Delta, Reading};
use tokenwatch_core::world::clocks::{KernelClock, Leap};
use tokenwatch_core::world::observation::Observation;
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use super::health::{Health, Source};
use super::send::send_all;
use crate::clocks;
use crate::sys::{self, Timex};
use alarm::StepAlarm;
use steps::StepDetector;

/// How often the clock state is read. Time daemons update it no faster than this by default
/// (chrony and ntpd, 2^6 s).
const INTERVAL: Duration = Duration::from_secs(64);
/// Microseconds in a tick of USER_HZ, which is 100 wherever a kubelet runs: the value of `tick` for
/// a clock that is not slewed.
const TICK: i64 = 10_000;
/// One microsecond per tick, in parts per million.
const TICK_PPM: i64 = 100;
/// How often the agent looks for a step where the kernel's alarm is not available.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Shortest time between two looks, for a clock that is set without end. The first step is still
/// reported at once.
const MIN_PAUSE: Duration = Duration::from_millis(20);

/// Reads the kernel's clock state. The error is that of adjtimex(2).
pub fn read() -> io::Result<KernelClock> {
    let timex = sys::adjtimex()?;
    Ok(interpret(&timex, clocks::now()))
}

fn interpret(timex: &Timex, taken: Reading) -> KernelClock {
    let is_error = timex.state == libc::TIME_ERROR || timex.status & libc::STA_UNSYNC != 0;
    KernelClock {
        synchronised: !is_error,
        max_error: micros(timex.max_error),
        estimated_error: micros(timex.estimated_error),
        leap: leap(timex.status, is_error),
        steering_ppm: steering(timex),
        taken,
    }
}

/// How fast the clock is slewed: `tick` counts in hundreds of ppm, `frequency` in 2^-16 ppm
/// (adjtimex(2)). Rounded away from zero.
fn steering(timex: &Timex) -> i64 {
    let scaled = timex
        .tick
        .saturating_sub(TICK)
        .saturating_mul(TICK_PPM << 16)
        .saturating_add(timex.frequency);
    scaled.signum() * (scaled.saturating_abs().saturating_add(0xffff) >> 16)
}

fn leap(status: i32, is_error: bool) -> Leap {
    match status {
        _ if is_error => Leap::Unsynchronised,
        _ if status & libc::STA_INS != 0 => Leap::Insert,
        _ if status & libc::STA_DEL != 0 => Leap::Delete,
        _ => Leap::None,
    }
}

fn micros(value: i64) -> Delta {
    Delta::from_nanos(value.saturating_mul(1_000))
}

/// Reports the kernel's clock state at start, every 64 s and after each step, and each step as it
/// happens; wakes `stepped` then. Ends when the receiver is dropped.
pub async fn run(observations: Sender<Observation>, stepped: Arc<Notify>) {
    let alarm = StepAlarm::set();
    let mut steps = StepDetector::new(clocks::wall_minus_boottime());
    let mut health = Health::new(Source::Kernel);
    while send_all(&observations, observe(&mut steps, &mut health, &stepped)).await {
        tokio::select! {
            () = wait_for_step(alarm.as_ref().ok(), &steps) => {}
            () = observations.closed() => return,
        }
    }
}

/// A step since the last call, and the clock state.
fn observe(steps: &mut StepDetector, health: &mut Health, stepped: &Notify) -> Vec<Observation> {
    let step = steps.detect(clocks::wall_minus_boottime(), clocks::now());
    if step.is_some() {
        stepped.notify_one();
    }
    step.map(Observation::ClockStep).into_iter().chain(clock_state(health)).collect()
}

/// The clock state if it can be read, after the source's health if that changed.
fn clock_state(health: &mut Health) -> Vec<Observation> {
    let clock = read();
    let degraded = clock.as_ref().err().map(|error| {
        format!("adjtimex failed: {error}; the clock is judged without the kernel's clock state")
    });
    let health = health.update(degraded);
    health.into_iter().chain(clock.ok().map(Observation::Kernel)).collect()
}

/// Returns when the clock was set, or after 64 s.
async fn wait_for_step(alarm: Option<&StepAlarm>, steps: &StepDetector) {
    tokio::time::sleep(MIN_PAUSE).await;
    let step = async {
        match alarm {
            Some(alarm) => alarm.wait().await,
            None => poll_for_step(steps).await,
        }
    };
    _ = timeout(INTERVAL, step).await;
}

async fn poll_for_step(steps: &StepDetector) {
    while !steps.is_stepped(clocks::wall_minus_boottime()) {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests;

//! What the kernel says about the clock, and when somebody sets it.

mod alarm;
mod steps;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::clocks::{KernelClock, Leap};
use tokenwatch_core::world::observation::{Observation, SourceState};
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use crate::clocks;
use crate::sys::{self, Timex};
use alarm::Alarm;
use steps::StepDetector;

/// As often as a time daemon updates the kernel's figures at its fastest default (chrony and ntpd,
/// 2^6 s).
const EVERY: Duration = Duration::from_secs(64);
/// Microseconds in a tick of USER_HZ, which is 100 wherever a kubelet runs: what `tick` is on a
/// clock that is not steered.
const TICK: i64 = 10_000;
/// One microsecond more or less in each of these ticks.
const TICK_PPM: i64 = 100;
/// Without the kernel's alarm a step is looked for this often.
const WITHOUT_ALARM: Duration = Duration::from_secs(1);

/// Whoever sets the clock without end must not keep us busy; the first step is told at once all the
/// same.
const SETTLE: Duration = Duration::from_millis(20);

/// Asks the kernel, now.
pub fn read() -> io::Result<KernelClock> {
    let timex = sys::adjtimex()?;
    Ok(interpret(&timex, clocks::now()))
}

fn interpret(timex: &Timex, taken: tokenwatch_core::base::time::Reading) -> KernelClock {
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

/// `tick` says it in hundreds, `freq` the rest in 2^-16 (adjtimex(2)); rounded away from zero.
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

/// Tells the kernel's word at start, every 64 s and after each step, and each step when it happens;
/// wakes `stepped` then. Ends when nobody listens.
pub async fn run(out: Sender<Observation>, stepped: Arc<Notify>) {
    let alarm = Alarm::set();
    let mut steps = StepDetector::new(clocks::set_to());
    let mut told = None;
    loop {
        let found = steps.look(clocks::set_to(), clocks::now());
        if found.is_some() {
            stepped.notify_one();
        }
        let observations =
            found.map(Observation::ClockStep).into_iter().chain(kernel_word(&mut told));
        for observation in observations {
            if out.send(observation).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = wait_for_step(alarm.as_ref().ok(), &steps) => {}
            () = out.closed() => return,
        }
    }
}

/// What the kernel says, and, when that changed, whether it says anything.
fn kernel_word(told: &mut Option<SourceState>) -> Vec<Observation> {
    let word = read();
    let degraded = word
        .as_ref()
        .err()
        .map(|error| format!("adjtimex: {error}; the kernel's word on the clock is missing"));
    let state = SourceState { source: "kernel".to_owned(), degraded };
    let news = (told.as_ref() != Some(&state)).then(|| Observation::Source(state.clone()));
    *told = Some(state);
    news.into_iter().chain(word.ok().map(Observation::Kernel)).collect()
}

/// Until the clock was set, or 64 s have passed.
async fn wait_for_step(alarm: Option<&Alarm>, steps: &StepDetector) {
    tokio::time::sleep(SETTLE).await;
    let watch = async {
        match alarm {
            Some(alarm) => alarm.rung().await,
            None => poll_for_step(steps).await,
        }
    };
    _ = timeout(EVERY, watch).await;
}

async fn poll_for_step(steps: &StepDetector) {
    while !steps.sees(clocks::set_to()) {
        tokio::time::sleep(WITHOUT_ALARM).await;
    }
}

#[cfg(test)]
mod tests;

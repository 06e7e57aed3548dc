//! What is believed about the clock, from the last samples, the kernel and the steps seen.

use serde::Serialize;

use super::types::{ClockState, ExchangeError, KernelClock, Round, Sample, ServerName, Step, Vote};
use crate::action::Span;
use crate::findings::{Code, Remedy, Severity};
use crate::time::{Boot, Delta, Interval, Reading, Wall};
use crate::value::Attributes;

/// Where good ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// An offset beyond this, by more than the bound, is clock.offset.
    pub offset: Delta,
    /// Taken as the bound when nothing vouches for the clock.
    pub assumed_bound: Delta,
    /// After this long without a usable answer the servers' last word is worth nothing.
    pub max_age: Delta,
    /// Whether any server is configured: its silence is then a warning rather than a remark.
    pub servers_configured: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            offset: Delta::from_millis(500), // a tenth of what breaks a Kerberos or a lease; far above what NTP leaves
            assumed_bound: Delta::from_secs(300),
            max_age: Delta::from_secs(1_800),
            servers_configured: false,
        }
    }
}

/// What is believed at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// True time minus the wall clock; zero when unknown.
    pub offset: Delta,
    /// How far off that can be; the assumed bound when unknown.
    pub bound: Delta,
    /// Whether the bound is assumed, because nothing vouches for the clock.
    pub assumed: bool,
    /// The state.
    pub state: ClockState,
}

impl Estimate {
    /// The interval that contains true time when the wall clock says `wall`.
    pub fn interval(&self, wall: Wall) -> Interval {
        Interval::new(wall, self.offset, self.bound)
    }
}

/// A server as `tokenwatch clock` and `check` show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerReport {
    /// Which.
    pub server: ServerName,
    /// Its last answer.
    pub result: Result<Sample, ExchangeError>,
    /// What it was worth.
    pub vote: Vote,
}

/// A clock finding before it has a subject's name and a remedy in context.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockFinding {
    /// One of clock.*.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// The server it is about, or nothing for the node.
    pub server: Option<String>,
    /// A sentence.
    pub summary: String,
    /// The facts.
    pub evidence: Attributes,
    /// What to do.
    pub remedy: Remedy,
}

/// The model.
#[derive(Clone, Debug)]
pub struct ClockModel {
    limits: Limits,
}

impl ClockModel {
    /// Knows nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// A round of exchanges ended.
    pub fn round(&mut self, _round: &Round) {}

    /// The kernel said something.
    pub fn kernel(&mut self, _kernel: &KernelClock) {}

    /// The wall clock was set.
    pub fn step(&mut self, _step: &Step) {}

    /// What is believed at `now`.
    pub fn estimate(&self, _now: &Reading) -> Estimate {
        Estimate { offset: Delta::ZERO, bound: self.limits.assumed_bound, assumed: true, state: ClockState::Unknown }
    }

    /// The servers of the last round.
    pub fn servers(&self) -> Vec<ServerReport> {
        Vec::new()
    }

    /// What is wrong at `now`.
    pub fn findings(&self, _now: &Reading) -> Vec<ClockFinding> {
        Vec::new()
    }

    /// When the answer to any of the above changes by itself next (the servers' word gets too old, a step is forgotten).
    pub fn next_change(&self, _now: &Reading) -> Option<Boot> {
        None
    }

    /// The spans of a round: `clock.measure` with one `ntp.exchange` per server.
    pub fn spans(&self, _round: &Round) -> Vec<Span> {
        Vec::new()
    }
}

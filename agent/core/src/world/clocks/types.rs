//! Values of the clock: samples of time servers, reports of the kernel, votes and states.

use serde::{Deserialize, Serialize};

use super::server::ServerName;
use crate::base::text::shown;
use crate::base::time::{Delta, Reading};

/// The leap indicator (RFC 5905, figure 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leap {
    /// 0: no warning.
    None,
    /// 1: the last minute of the day has 61 seconds.
    Insert,
    /// 2: the last minute of the day has 59 seconds.
    Delete,
    /// 3: the server is not synchronised.
    Unsynchronised,
}

/// The result of one successful exchange (RFC 5905, section 8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// theta: the server's time minus the node's wall clock. Positive if the node is behind.
    pub offset: Delta,
    /// delta: the round-trip delay.
    pub delay: Delta,
    /// lambda: the root distance, the largest distance of true time from wall + offset according to
    /// the server (RFC 5905, A.5.5.2).
    pub root_distance: Delta,
    /// The stratum, from 1 to 15.
    pub stratum: u8,
    /// The server's leap indicator.
    pub leap: Leap,
    /// The reference id: its ASCII text for stratum 1, else in the form of an IPv4 address.
    pub reference_id: String,
    /// The node's clocks when the answer arrived (T4).
    pub taken: Reading,
}

/// Why an exchange gave no sample. The texts are for people; [`Self::kind`] is for telemetry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeError {
    /// The name did not resolve; with the error of the resolver.
    Resolve(String),
    /// No answer arrived before the timeout.
    Timeout,
    /// The network reported an error, such as "connection refused" or "unreachable".
    Network(String),
    /// The answer does not match the request (origin timestamp, RFC 5905 section 8), or is not an
    /// answer of an NTP server.
    #[serde(rename = "bogus")] // as `kind`
    InvalidResponse(String),
    /// The server sent a Kiss-o'-Death packet with this code, such as RATE or DENY (RFC 5905,
    /// section 7.4).
    KissOfDeath(String),
    /// The server reports that it is not synchronised: leap indicator 3, or stratum 0 or 16.
    Unsynchronised,
    /// The server's root distance, given here, is beyond the limit for a usable answer.
    #[serde(rename = "too_far")] // as `kind`
    RootDistanceExceeded(Delta),
    /// The node's wall clock was set between request and answer.
    #[serde(rename = "disturbed")] // as `kind`
    ClockStepped,
}

impl ExchangeError {
    /// The value of `error.type` in telemetry. These names are stable.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "resolve",
            Self::Timeout => "timeout",
            Self::Network(_) => "network",
            Self::InvalidResponse(_) => "bogus",
            Self::KissOfDeath(_) => "kiss_of_death",
            Self::Unsynchronised => "unsynchronised",
            Self::RootDistanceExceeded(_) => "too_far",
            Self::ClockStepped => "disturbed",
        }
    }
}

impl std::fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Resolve(reason) => write!(f, "the name does not resolve: {}", shown(reason)),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Network(reason) => write!(f, "network error: {}", shown(reason)),
            Self::InvalidResponse(reason) => write!(f, "invalid answer: {}", shown(reason)),
            Self::KissOfDeath(code) => {
                write!(
                    f,
                    "the server limits or denies requests (Kiss-o'-Death code {})",
                    shown(code)
                )
            }
            Self::Unsynchronised => f.write_str("the server reports that it is not synchronised"),
            Self::RootDistanceExceeded(distance) => {
                write!(f, "the server's own error bound of {distance} is too wide to use")
            }
            Self::ClockStepped => {
                f.write_str("this node's clock was set between request and answer")
            }
        }
    }
}

/// One NTP request to one server, and its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The server.
    pub server: ServerName,
    /// When the request was sent.
    pub started: Reading,
    /// When the answer arrived, or the agent stopped waiting.
    pub ended: Reading,
    /// The sample, or why there is none.
    pub result: Result<Sample, ExchangeError>,
}

/// One measurement: the agent queries every server that is due, at about the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// When it started.
    pub started: Reading,
    /// When it ended.
    pub ended: Reading,
    /// One per server that was queried; empty where none is configured. An address that several
    /// names have was queried once, and is here once for each of them.
    pub exchanges: Vec<Exchange>,
    /// The configured servers, each machine once: they vote, whether they were queried or not.
    /// Empty in recordings of agents that did not report them: then every name that was queried
    /// votes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub voters: Vec<ServerName>,
}

/// The kernel's report about the clock: the result of adjtimex(2) without a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelClock {
    /// Whether a time daemon disciplines the clock: STA_UNSYNC is clear and the state is not
    /// TIME_ERROR.
    pub synchronised: bool,
    /// `maxerror`: the kernel's error bound, which it grows at 500 ppm.
    pub max_error: Delta,
    /// `esterror`: the daemon's estimate of the error.
    pub estimated_error: Delta,
    /// The announced leap second (STA_INS, STA_DEL).
    pub leap: Leap,
    /// How much faster than its hardware the clock runs, in parts per million: the frequency error
    /// that the daemon has measured, plus any slew.
    #[serde(default)]
    pub steering_ppm: i64,
    /// When the report was read.
    pub taken: Reading,
}

/// A step of the wall clock: it was set, not slewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The size of the step. Positive if the clock was set forward.
    pub size: Delta,
    /// Both clocks after the step.
    pub after: Reading,
}

/// The vote on one server after all were compared (RFC 5905, section 11.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// Its interval meets the agreed one: a truechimer.
    Agrees,
    /// The majority proves it wrong.
    Falseticker,
    /// It answered, and no majority shows whether it is right.
    Undecided,
    /// It gave no usable answer.
    Unusable,
}

impl Vote {
    /// The name in telemetry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Falseticker => "falseticker",
            Self::Undecided => "undecided",
            Self::Unusable => "unusable",
        }
    }
}

/// The state of the node's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockState {
    /// Offset and bound are known and within limits.
    Synchronised,
    /// The offset is beyond the limit, by more than the bound.
    Off,
    /// Within the limit, and moving so fast that it will be beyond it within an hour.
    Drifting,
    /// The clock was set, and no source has measured it since.
    Stepped,
    /// The servers contradict each other and no majority decides.
    Disagreeing,
    /// No source confirms the clock.
    Unknown,
}

impl ClockState {
    /// Every state, in the order in which it is shown.
    pub const ALL: [Self; 6] = [
        Self::Synchronised,
        Self::Off,
        Self::Drifting,
        Self::Stepped,
        Self::Disagreeing,
        Self::Unknown,
    ];

    /// The name in telemetry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Synchronised => "synchronised",
            Self::Off => "off",
            Self::Drifting => "drifting",
            Self::Stepped => "stepped",
            Self::Disagreeing => "disagreeing",
            Self::Unknown => "unknown",
        }
    }
}

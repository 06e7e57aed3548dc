//! Plain values of the clock: what a server answered, what the kernel says, what was agreed.

use core::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use crate::base::text::shown;
use crate::base::time::{Delta, Reading};

/// NTP's port (RFC 5905 section 7.2).
const NTP_PORT: u16 = 123;

/// A time server as configured, and the one address of it that was asked. Each address of a name is
/// a server of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServerName {
    /// Host name or address as configured.
    pub host: String,
    /// UDP port.
    pub port: u16,
    /// The address asked; nothing if the name did not resolve.
    pub address: Option<String>,
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`, and a bare IPv6 address, which cannot have a port.
impl std::str::FromStr for ServerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self { host: text.to_owned(), port: NTP_PORT, address: None });
        }
        let split = match text.strip_prefix('[') {
            Some(rest) => {
                rest.split_once(']').filter(|(address, _)| address.parse::<Ipv6Addr>().is_ok())
            }
            None => Some(text.split_at(text.find(':').unwrap_or(text.len())))
                .filter(|(host, _)| is_host(host)),
        };
        let (host, rest) = split.ok_or_else(|| no_server(text))?;
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => NTP_PORT,
            Some(port) if !port.contains(':') => port_number(port)?,
            _ => return Err(no_server(text)),
        };
        Ok(Self { host: host.to_owned(), port, address: None })
    }
}

/// A host name's letters, digits, dots and dashes (RFC 1123), and the underscore that some use.
fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

fn port_number(text: &str) -> Result<u16, String> {
    text.parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("\"{}\" is not a port: 1 to 65535 is wanted", shown(text)))
}

fn no_server(text: &str) -> String {
    format!(
        "\"{}\" is not HOST or HOST:PORT; an IPv6 address with a port goes in brackets, as in \
         [2001:db8::1]:123",
        shown(text)
    )
}

impl std::fmt::Display for ServerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match shown(&self.host) {
            host if host.contains(':') => write!(f, "[{host}]:{}", self.port)?,
            host => write!(f, "{host}:{}", self.port)?,
        }
        match &self.address {
            Some(address) if *address != self.host => write!(f, " ({address})"),
            _ => Ok(()),
        }
    }
}

/// Leap indicator (RFC 5905 figure 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leap {
    /// No warning.
    None,
    /// The last minute of the day has 61 seconds.
    Insert,
    /// The last minute of the day has 59 seconds.
    Delete,
    /// Not synchronised.
    Unsynchronised,
}

/// One good answer (RFC 5905 section 8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// theta: server's time minus the node's, positive when the node is behind.
    pub offset: Delta,
    /// delta: round-trip delay.
    pub delay: Delta,
    /// lambda: bound on how far true time can be from wall + offset, by the server's own word.
    pub root_distance: Delta,
    /// 1 to 15.
    pub stratum: u8,
    /// Leap indicator.
    pub leap: Leap,
    /// Reference id as text.
    pub reference_id: String,
    /// The node's clocks when the answer arrived (t4).
    pub taken: Reading,
}

/// Why an exchange gave no sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeError {
    /// The name did not resolve.
    Resolve(String),
    /// No answer in time.
    Timeout,
    /// The network said no (refused, unreachable).
    Network(String),
    /// The answer was not to our question (origin mismatch), or not an NTP server's answer.
    Bogus(String),
    /// Kiss-o'-Death with its code: asked to slow down or go away.
    KissOfDeath(String),
    /// The server says itself that it is not synchronised (leap 3, stratum 0 or 16).
    Unsynchronised,
    /// The server's root distance is beyond what can prove anything.
    TooFar(Delta),
    /// The node's own wall clock was set while the answer was under way.
    Disturbed,
}

impl ExchangeError {
    /// A word for it that telemetry can group by.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "resolve",
            Self::Timeout => "timeout",
            Self::Network(_) => "network",
            Self::Bogus(_) => "bogus",
            Self::KissOfDeath(_) => "kiss_of_death",
            Self::Unsynchronised => "unsynchronised",
            Self::TooFar(_) => "too_far",
            Self::Disturbed => "disturbed",
        }
    }
}

impl std::fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Resolve(reason) => write!(f, "the name does not resolve: {}", shown(reason)),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Network(reason) => write!(f, "the network refused: {}", shown(reason)),
            Self::Bogus(reason) => write!(f, "not a believable answer: {}", shown(reason)),
            Self::KissOfDeath(code) => {
                write!(f, "the server asks to be left alone ({})", shown(code))
            }
            Self::Unsynchronised => {
                f.write_str("the server says that it is not synchronised itself")
            }
            Self::TooFar(distance) => {
                write!(f, "the server's own error bound is {distance}, too much to prove anything")
            }
            Self::Disturbed => {
                f.write_str("this node's clock was set while the answer was under way")
            }
        }
    }
}

/// One request to one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// To whom.
    pub server: ServerName,
    /// When it was sent.
    pub started: Reading,
    /// When it was over.
    pub ended: Reading,
    /// What came of it.
    pub result: Result<Sample, ExchangeError>,
}

/// One measurement: every server asked once, at about the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// When it started.
    pub started: Reading,
    /// When it ended.
    pub ended: Reading,
    /// One per server asked; empty when none is configured.
    pub exchanges: Vec<Exchange>,
}

/// adjtimex(2), read only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelClock {
    /// STA_UNSYNC is clear and the state is not TIME_ERROR: something disciplines this clock.
    pub synchronised: bool,
    /// maxerror: the kernel's bound, grown by it at 500 ppm.
    pub max_error: Delta,
    /// esterror: the daemon's own estimate.
    pub estimated_error: Delta,
    /// Leap status.
    pub leap: Leap,
    /// By how many parts per million the clock is made to run faster than its hardware: what its
    /// daemon has learned of the hardware, and any slew.
    #[serde(default)]
    pub steering_ppm: i64,
    /// When it was read.
    pub taken: Reading,
}

/// The wall clock was set: it moved by `size`, and not by being slewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Positive: set forward.
    pub size: Delta,
    /// The clocks after it.
    pub after: Reading,
}

/// What a server's answer was worth once all were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// Its interval meets the agreed one.
    Agrees,
    /// The majority proves it wrong.
    Falseticker,
    /// It answered but no majority exists to judge it.
    Undecided,
    /// It gave no usable answer.
    Unusable,
}

impl Vote {
    /// As in telemetry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Falseticker => "falseticker",
            Self::Undecided => "undecided",
            Self::Unusable => "unusable",
        }
    }
}

/// What the servers agree on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// True time minus wall clock.
    pub offset: Delta,
    /// How far off that can be.
    pub bound: Delta,
    /// The vote on each server of the round, in its order.
    pub votes: Vec<Vote>,
}

/// What can be said of the node's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockState {
    /// Offset and bound are known and within limits.
    Synchronised,
    /// The offset is beyond the limit, by more than the bound.
    Off,
    /// Within limits, but moving so fast that it soon will not be.
    Drifting,
    /// It was set, and has not been measured since.
    Stepped,
    /// The servers contradict each other and no majority decides.
    Disagreeing,
    /// Nothing vouches for it.
    Unknown,
}

impl ClockState {
    /// All, in the order they are shown.
    pub const ALL: [Self; 6] = [
        Self::Synchronised,
        Self::Off,
        Self::Drifting,
        Self::Stepped,
        Self::Disagreeing,
        Self::Unknown,
    ];

    /// As in telemetry.
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

//! What the demo is given, and what it gives to the agent.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::oneshot;

use super::screen::Look;

/// The user's choices.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory in which the demo makes its temporary one.
    pub temp: PathBuf,
    /// Send to this collector instead of drawing.
    pub otlp_endpoint: Option<String>,
    /// What the output can do.
    pub look: Look,
}

/// The collector that the agent exports to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collector {
    /// The demo's own receiver (gRPC, no TLS) at this endpoint. No setting for it may come from the
    /// environment.
    BuiltIn(String),
    /// The one that the user named.
    Given(String),
}

/// What makes the agent watch the demo's node and nothing else.
#[derive(Debug)]
pub struct AgentPlan {
    /// The node's name.
    pub node: String,
    /// The kubelet root directory.
    pub root: PathBuf,
    /// The time servers.
    pub ntp: Vec<SocketAddr>,
    /// Interval between two measurements of the clock.
    pub clock_interval: Duration,
    /// Where to export.
    pub collector: Collector,
    /// Resolves when the agent has to stop.
    pub stop: oneshot::Receiver<()>,
}

/// How the agent ended.
pub type AgentEnd = Result<(), AgentFault>;

/// Why the agent did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentFault {
    /// It failed, for this reason.
    Failed(String),
    /// It stopped as requested, and this is what it could not send.
    Unsent(String),
    /// It stopped without a request.
    Unrequested,
    /// It was still running this long after the request to stop.
    StillRunning(Duration),
}

impl fmt::Display for AgentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(reason) => f.write_str(reason),
            Self::Unsent(rest) => f.write_str(rest),
            Self::Unrequested => f.write_str("it stopped without a request to stop"),
            Self::StillRunning(after) => {
                write!(f, "it did not stop within {} s", after.as_secs())
            }
        }
    }
}

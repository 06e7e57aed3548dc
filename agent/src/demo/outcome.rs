//! How the demo ended.

use std::fmt;
use std::io::{self, ErrorKind};

use super::plan::AgentFault;

/// How the demo ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was shown or, with a collector of the user's own, was sent.
    Complete,
    /// Something that the demo promises did not arrive.
    Incomplete,
    /// The user interrupted it.
    Interrupted,
    /// The agent stopped without a request, failed, or could not send everything.
    AgentEnded(AgentFault),
}

impl Outcome {
    /// The exit status.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Incomplete | Self::AgentEnded(_) => 1,
            Self::Interrupted => 130, // what shells expect after SIGINT: 128 + 2
        }
    }
}

/// Why the demo could not run.
#[derive(Debug)]
pub enum Error {
    /// A part of the simulated node failed.
    Node(tokenwatch_lab::Error),
    /// The output could not be written.
    Output(io::Error),
}

impl Error {
    /// The reader of the output closed it, as `| head` does.
    pub fn is_closed_output(&self) -> bool {
        match self {
            Self::Node(_) => false,
            Self::Output(error) => error.kind() == ErrorKind::BrokenPipe,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(error) => write!(f, "the simulated node failed: {error}"),
            Self::Output(error) => write!(f, "the output cannot be written: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<tokenwatch_lab::Error> for Error {
    fn from(error: tokenwatch_lab::Error) -> Self {
        Self::Node(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

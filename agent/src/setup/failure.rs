//! Why the agent could not start, or stopped early.

use std::fmt;

use super::api_server::ApiServerError;
use crate::agent;
use crate::config::otlp;
use crate::discovery::roots::NoRoots;
use crate::recorder::NoThread;
use crate::sinks::StartError;
use crate::state_file::InUse;

/// Why `run` failed.
#[derive(Debug)]
pub enum Failure {
    /// The OTLP settings or the standard `OTEL_*` variables are wrong. All mistakes, at least one.
    Export(Vec<otlp::Mistake>),
    /// The API server is configured, and nothing describes how to reach it.
    ApiServer(ApiServerError),
    /// No kubelet root was configured, and none was found.
    Roots(NoRoots),
    /// Another agent uses the directory of the state file.
    InUse(InUse),
    /// The recording could not be started.
    Recorder(NoThread),
    /// A thread that reads settings from the host ended early; what it reported was printed.
    Panicked,
    /// The agent could not start, or stopped before it received a signal.
    Agent(agent::Error<StartError>),
}

impl Failure {
    /// Whether another configuration would help: exit status 2 instead of 1.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Export(_) | Self::ApiServer(_) | Self::Roots(_) => true,
            Self::InUse(_) | Self::Recorder(_) | Self::Panicked | Self::Agent(_) => false,
        }
    }

    /// One message for each mistake.
    pub fn messages(&self) -> Vec<String> {
        match self {
            Self::Export(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
            Self::ApiServer(error) => vec![error.to_string()],
            Self::Roots(error) => vec![error.to_string()],
            Self::InUse(error) => vec![error.to_string()],
            Self::Recorder(error) => vec![error.to_string()],
            Self::Panicked => vec!["cannot start: a thread of it panicked".to_owned()],
            Self::Agent(error) => vec![error.to_string()],
        }
    }
}

/// One message per line.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.messages().join("\n"))
    }
}

impl std::error::Error for Failure {}

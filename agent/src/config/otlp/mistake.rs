//! What is wrong with where telemetry is to go.

use std::fmt;

use super::endpoint::BadEndpoint;
use super::variables::Malformed;

/// One mistake. Its message tells what to write instead, and never repeats a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where the value came from.
    pub source: Source,
    pub(super) problem: Problem,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A standard variable.
    Variable(String),
    /// A setting of ours, by its name.
    Setting(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// The value has the wrong form.
    Malformed(Malformed),
    /// The endpoint cannot be used.
    Endpoint(BadEndpoint),
    /// Half of what mTLS needs.
    HalfOfClientPair { given: &'static str, missing: &'static str },
    /// Another signal has an endpoint of its own, and alerts have none.
    NoEndpointForAlerts,
}

impl Mistake {
    /// What is wrong and what to do, without its source.
    pub fn message(&self) -> String {
        self.problem.to_string()
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Variable(name) => write!(f, "environment variable {name}: {}", self.problem),
            Source::Setting(name) => write!(f, "{name}: {}", self.problem),
        }
    }
}

impl std::error::Error for Mistake {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => why.fmt(f),
            Self::Endpoint(why) => why.fmt(f),
            Self::HalfOfClientPair { given, missing } => {
                write!(f, "a client {given} without its {missing}: give both files (mTLS) or none")
            }
            Self::NoEndpointForAlerts => f.write_str(
                "alerts have no endpoint, but another signal has one: set \
                 OTEL_EXPORTER_OTLP_ENDPOINT or \
                 OTEL_EXPORTER_OTLP_LOGS_ENDPOINT too, or OTEL_LOGS_EXPORTER=none to send no \
                 alerts",
            ),
        }
    }
}

impl From<Malformed> for Problem {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}

impl From<BadEndpoint> for Problem {
    fn from(why: BadEndpoint) -> Self {
        Self::Endpoint(why)
    }
}

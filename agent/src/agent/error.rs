//! Why the agent stopped without a signal.

use std::fmt;

/// The agent cannot go on. `S` is the error of starting the sinks.
#[derive(Debug)]
pub enum Error<S> {
    /// A sink could not be started.
    Sinks(S),
    /// Standard output was closed, and the agent prints its alerts there.
    OutputClosed,
    /// A source ended, which none does by itself.
    SourceEnded,
}

impl<S: fmt::Display> fmt::Display for Error<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sinks(error) => error.fmt(f),
            Self::OutputClosed => f.write_str(
                "standard output is closed, and no OTLP endpoint is configured: the agent stops \
                 because nobody receives its alerts",
            ),
            Self::SourceEnded => f.write_str(
                "a source of observations ended: the agent no longer sees everything, so it stops; \
                 restart it",
            ),
        }
    }
}

impl<S: fmt::Debug + fmt::Display> std::error::Error for Error<S> {}

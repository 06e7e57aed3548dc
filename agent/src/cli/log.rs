//! The agent's own log, on standard error. Telemetry does not pass through here.

use std::io::IsTerminal as _;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

use crate::config::{Log, LogFormat};
use crate::streams;

/// Starts the log. A second call in one process has no effect.
pub(super) fn start(log: &Log) {
    let filtered = registry().with(log.filter());
    let writer = fmt::layer().with_writer(streams::err).with_target(false);
    let started = match log.format {
        LogFormat::Text => {
            filtered.with(writer.with_ansi(streams::stderr().is_terminal())).try_init()
        }
        LogFormat::Json => filtered.with(writer.json().flatten_event(true)).try_init(),
    };
    drop(started);
}

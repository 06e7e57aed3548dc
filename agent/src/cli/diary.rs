//! The agent's own diary: what it does, on standard error. What it sends does not pass through here.

use tracing_subscriber::filter::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts it. A second start in one process changes nothing.
pub(super) fn start(log: &Log) {
    // The level was checked when the settings were read; should it be refused all the same, everything from info on is written.
    let filter = EnvFilter::builder().parse(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let writer = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let started = match log.format {
        LogFormat::Text => writer.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => writer.json().flatten_event(true).try_init(),
    };
    drop(started);
}

//! The filter of the log.

use tracing_subscriber::filter::{LevelFilter, Targets};

use super::Log;

/// The crate that sends requests to the API server.
const API_CLIENT: &str = "kube_client";

/// Levels per module. tracing's `EnvFilter` also supports patterns over fields, but adds a regex
/// engine (0.5 MB) for them.
pub(super) fn parse(level: &str) -> Option<Targets> {
    let parts: Vec<&str> = level.split(',').map(str::trim).collect();
    parts.join(",").parse().ok()
}

impl Log {
    /// The filter for `level`. If the level is invalid, which its check prevents, it is info.
    pub fn filter(&self) -> Targets {
        let default = || Targets::new().with_default(tracing::Level::INFO);
        let filter = parse(&self.level).unwrap_or_else(default);
        // This crate logs every failed request. The source or sink that sent the request logs it
        // once, with advice.
        let is_named = self.level.contains(API_CLIENT);
        if is_named { filter } else { filter.with_target(API_CLIENT, LevelFilter::OFF) }
    }
}

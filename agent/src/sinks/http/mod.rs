//! The HTTP server of the agent: `/metrics`, `/readers`, `/livez`, `/readyz`, and the status
//! page at `/`.
//!
//! Plain HTTP/1.1, read-only. [`connections`] limits their number, and [`listen`] their time.
//! [`respond`] chooses the response. [`throttle`] limits the work for clients to a tenth of a core.
//! The server never waits for a client while it holds the engine.

mod authority;
mod connections;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod listen;
mod openmetrics;
mod page;
mod probes;
mod respond;
mod throttle;

#[cfg(test)]
pub(crate) use page::sample;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::Views;
use super::metrics::Pull;
use connections::Connections;
use respond::Responder;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Addresses, independent of each other: one may be unavailable.
    pub addresses: Vec<IpAddr>,
    /// The port, the same on each address.
    pub port: u16,
    /// The kubelet roots that the settings name. They tell whoever asks what the agent watches.
    pub roots: Vec<PathBuf>,
    /// Names under which the server answers, beside those that nobody else can have.
    pub names: Vec<String>,
}

/// What the server shows.
#[derive(Clone)]
pub struct Content {
    /// Views of the engine.
    pub views: Views,
    /// The metrics.
    pub pull: Pull,
    /// The kubelet roots that the settings name.
    pub roots: Vec<PathBuf>,
}

/// The running server. Dropping it closes every connection.
#[derive(Debug)]
pub struct Http {
    _listeners: JoinSet<()>,
}

impl Http {
    /// Starts a task for each address on the current tokio runtime. An unavailable address is no
    /// error: its task tries again.
    pub fn start(settings: &Settings, content: Content) -> Self {
        let responder = Arc::new(Responder::new(content, settings.names.clone()));
        let connections = Arc::new(Connections::default());
        let addresses: BTreeSet<IpAddr> = settings.addresses.iter().copied().collect();
        let mut listeners = JoinSet::new();
        for address in addresses {
            let address = SocketAddr::new(address, settings.port);
            listeners.spawn(listen::run(address, Arc::clone(&responder), Arc::clone(&connections)));
        }
        Self { _listeners: listeners }
    }
}

//! What the node serves to whoever asks: `/metrics`, `/livez`, `/readyz`, and a page at `/`.
//!
//! Plain HTTP/1.1, to be read only. [`listen`] bounds who is let in and for how long, [`answer`]
//! says what is answered, [`gate`] keeps whoever asks without end from costing more than a tenth of
//! a core. Nothing of it waits for a client while it holds the engine.

mod answer;
mod gate;
mod host;
mod listen;
mod openmetrics;
mod page;
mod probes;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::task::JoinSet;

use super::Views;
use super::metrics::Pull;
use answer::Answers;
use listen::Doors;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Each on its own: one that cannot be had leaves the others.
    pub addresses: Vec<IpAddr>,
    /// On every one of them.
    pub port: u16,
}

/// What is shown.
#[derive(Clone)]
pub struct Shown {
    /// The engine.
    pub views: Views,
    /// The figures.
    pub pull: Pull,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Http {
    _listeners: JoinSet<()>,
}

impl Http {
    /// Starts a task for each address, on the runtime it is called in. An address that cannot be
    /// had is tried again, and is no error.
    pub fn start(settings: &Settings, shown: Shown) -> Self {
        let (answers, doors) = (Arc::new(Answers::new(shown)), Arc::new(Doors::default()));
        let addresses: BTreeSet<IpAddr> = settings.addresses.iter().copied().collect();
        let mut listeners = JoinSet::new();
        for address in addresses {
            let address = SocketAddr::new(address, settings.port);
            listeners.spawn(listen::run(address, Arc::clone(&answers), Arc::clone(&doors)));
        }
        Self { _listeners: listeners }
    }
}

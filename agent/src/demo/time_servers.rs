//! The node's time servers, which go wrong together.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_lab::Error;
use tokenwatch_lab::time_server::TimeServer;

use crate::clocks;

/// If only one of them were wrong, the other two would outvote it.
const COUNT: usize = 3;

/// Running time servers. Dropping them ends them.
#[derive(Debug)]
pub(super) struct TimeServers {
    servers: Vec<TimeServer>,
    ahead: Arc<AtomicI64>,
}

impl TimeServers {
    /// Starts the servers on loopback. They report the node's time.
    pub(super) fn start() -> Result<Self, Error> {
        let ahead = Arc::<AtomicI64>::default();
        let start = |_| TimeServer::start((Ipv4Addr::LOCALHOST, 0), truth(&ahead));
        let servers = (0..COUNT).map(start).collect::<Result<_, _>>()?;
        Ok(Self { servers, ahead })
    }

    /// From now on the servers' time is the node's plus `offset`.
    pub(super) fn set_ahead(&self, offset: Delta) {
        self.ahead.store(offset.as_nanos(), Relaxed);
    }

    /// Where they listen.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(TimeServer::address).collect()
    }
}

fn truth(ahead: &Arc<AtomicI64>) -> impl Fn() -> Wall + Send + 'static {
    let ahead = Arc::clone(ahead);
    move || clocks::now().wall + Delta::from_nanos(ahead.load(Relaxed))
}

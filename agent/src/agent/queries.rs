//! The way of queries from the engine to the sources that answer them.

use std::net::IpAddr;
use std::sync::Arc;

use tokenwatch_core::engine::Query;
use tokenwatch_core::world::cluster::AccountName;
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::sources::expected::ExpectedTokens;
use crate::sources::{pod_addresses, service_accounts};

/// Where the engine's queries go.
#[derive(Debug)]
pub(super) struct Queries {
    accounts: Sender<AccountName>,
    keys: Arc<Notify>,
    addresses: Sender<IpAddr>,
    metrics: Arc<Notify>,
    expected: ExpectedTokens,
}

/// Where the sources take them.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) accounts: Receiver<AccountName>,
    pub(super) keys: Arc<Notify>,
    pub(super) addresses: Receiver<IpAddr>,
    pub(super) metrics: Arc<Notify>,
}

/// `expected`: where the source of token files takes where to look.
pub(super) fn channels(expected: ExpectedTokens) -> (Queries, Waiting) {
    let (sender, accounts) = channel(service_accounts::QUEUE);
    let (asked, addresses) = channel(pod_addresses::QUEUE);
    let (keys, metrics) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let queries = Queries {
        accounts: sender,
        keys: Arc::clone(&keys),
        addresses: asked,
        metrics: Arc::clone(&metrics),
        expected,
    };
    (queries, Waiting { accounts, keys, addresses, metrics })
}

impl Queries {
    /// Hands queries to the sources. The engine repeats a query that does not fit into the queue.
    pub(super) fn send(&self, queries: Vec<Query>) {
        for query in queries {
            match query {
                Query::ServiceAccount(account) => drop(self.accounts.try_send(account)),
                Query::Keys => self.keys.notify_one(),
                Query::KubeletMetrics => self.metrics.notify_one(),
                Query::PodsAtAddress(address) => drop(self.addresses.try_send(address)),
                Query::Tokens(keys) => self.expected.set(&keys),
            }
        }
    }
}

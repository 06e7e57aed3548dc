//! Which servers are polled in a round, and when the next round is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokenwatch_core::base::time::{Delta, Monotonic};
use tokenwatch_core::world::clocks::{Exchange, ExchangeError, Round, ServerName};
use tokio::task::JoinSet;

use super::exchange::exchange;
use super::poll_policy::{MIN_INTERVAL, PollPolicy};
use super::resolve::{ResolveError, chosen, resolve};
use super::{BURST_SPACING, NtpConfig};
use crate::clocks;

/// Names polled, and votes of the core: a name beyond would be outvoted without being asked.
const MAX_NAMES: usize = 64;
/// Addresses polled in one round, over all names, beyond one of each. More would prove nothing
/// further.
const MAX_SERVERS: usize = 16;
/// How long addresses of a name are used, unless none of them responds. A pool name gives others
/// each time, and a server with known past responses is worth more than a new one.
const RESOLVED_FOR: Delta = Delta::from_secs(3_600);
/// Shortest interval for servers on this machine, as in tests and demos: still no busy loop.
const MIN_LOCAL_INTERVAL: Duration = Duration::from_millis(100);

/// The last successful lookup of a name.
struct Resolved {
    addresses: Vec<SocketAddr>,
    at: Monotonic,
    /// Whether any address responded in the last round.
    responds: bool,
}

/// Polls servers, each within its own [`PollPolicy`].
pub(super) struct Poller {
    config: NtpConfig,
    resolved: BTreeMap<ServerName, Resolved>,
    policies: BTreeMap<SocketAddr, PollPolicy>,
}

impl Poller {
    pub(super) fn new(mut config: NtpConfig) -> Self {
        config.servers = distinct(config.servers);
        config.servers.truncate(MAX_NAMES);
        Self { config, resolved: BTreeMap::new(), policies: BTreeMap::new() }
    }

    /// Polls all servers that are due, at the same time.
    pub(super) async fn round(&mut self) -> Round {
        let started = clocks::now();
        let mut exchanges = self.resolve(started.monotonic).await;
        let due = self.due(started.monotonic);
        let polled = self.poll(&due).await;
        self.record(&due, &polled);
        exchanges.extend(polled);
        Round { started, ended: clocks::now(), exchanges }
    }

    /// How long to wait before the next round. Jittered, so that a fleet that was started at once
    /// does not poll at once.
    pub(super) fn pause(&self, in_burst: bool) -> Duration {
        let interval = self.interval();
        let pause = if in_burst { interval.min(BURST_SPACING) } else { interval };
        pause.mul_f64(rand::random_range(0.9..1.1))
    }

    fn interval(&self) -> Duration {
        let mut addresses = self.resolved.values().flat_map(|known| &known.addresses);
        let is_local = addresses.all(|address| address.ip().is_loopback());
        self.config.interval.max(if is_local { MIN_LOCAL_INTERVAL } else { MIN_INTERVAL })
    }

    /// Looks up the names that are due. A name that never resolved gives a failed exchange; for
    /// others the last addresses may still be right.
    async fn resolve(&mut self, now: Monotonic) -> Vec<Exchange> {
        let mut lookups = JoinSet::new();
        for server in self.unresolved(now) {
            lookups.spawn(async move { (resolve(&server).await, server) });
        }
        let mut failed = Vec::new();
        for (result, server) in lookups.join_all().await {
            failed.extend(self.set_addresses(server, result, now));
        }
        failed.sort_by(|a, b| a.server.cmp(&b.server));
        failed
    }

    fn set_addresses(
        &mut self,
        server: ServerName,
        result: Result<Vec<SocketAddr>, ResolveError>,
        now: Monotonic,
    ) -> Option<Exchange> {
        match result {
            Ok(found) => {
                let former = self.resolved.get(&server).filter(|known| !known.responds);
                let silent = former.map_or(&[][..], |known| &known.addresses);
                let addresses = chosen(&server, found, silent);
                self.resolved.insert(server, Resolved { addresses, at: now, responds: true });
                None
            }
            Err(_) if self.resolved.contains_key(&server) => None,
            Err(error) => Some(failed_lookup(server, &error)),
        }
    }

    /// The names to look up.
    fn unresolved(&self, now: Monotonic) -> Vec<ServerName> {
        let is_current = |known: &Resolved| known.responds && now - known.at < RESOLVED_FOR;
        let servers = self.config.servers.iter();
        servers
            .filter(|server| !self.resolved.get(*server).is_some_and(is_current))
            .cloned()
            .collect()
    }

    /// The addresses to poll now: the first one of each name, then the second ones. A machine with
    /// two names is polled once, and has the vote of one.
    fn due(&mut self, now: Monotonic) -> Vec<(ServerName, SocketAddr)> {
        let mut due: Vec<(ServerName, SocketAddr)> = Vec::new();
        for (nth, server, address) in self.addresses() {
            let is_new = due.iter().all(|(_, known)| *known != address);
            let has_room = nth == 0 || due.len() < MAX_SERVERS;
            if self.policy(&server, address).allows(now) && has_room && is_new {
                due.push((server, address));
            }
        }
        self.policies.retain(|address, _| {
            self.resolved.values().any(|known| known.addresses.contains(address))
        });
        due
    }

    /// Every known address, with its place among those of its name, and the name.
    fn addresses(&self) -> Vec<(usize, ServerName, SocketAddr)> {
        let mut all = Vec::new();
        for server in &self.config.servers {
            let known = self.resolved.get(server).into_iter().flat_map(|known| &known.addresses);
            all.extend(known.enumerate().map(|(nth, at)| (nth, server.clone(), *at)));
        }
        all.sort_by_key(|(nth, ..)| *nth);
        all
    }

    fn policy(&mut self, server: &ServerName, address: SocketAddr) -> &PollPolicy {
        self.policies
            .entry(address)
            .or_insert_with(|| PollPolicy::new(address.ip().is_loopback(), server.is_public()))
    }

    async fn poll(&self, due: &[(ServerName, SocketAddr)]) -> Vec<Exchange> {
        let mut running = JoinSet::new();
        for (at, (server, address)) in due.iter().enumerate() {
            let (name, address) = (
                ServerName { address: Some(address.ip().to_string()), ..server.clone() },
                *address,
            );
            let (limit, attempts) = (self.config.timeout, self.config.attempts);
            running.spawn(async move { (at, exchange(name, address, limit, attempts).await) });
        }
        let mut polled = running.join_all().await;
        polled.sort_by_key(|(at, _)| *at);
        polled.into_iter().map(|(_, exchange)| exchange).collect()
    }

    /// Updates policies and lookups with the outcome of a round.
    fn record(&mut self, due: &[(ServerName, SocketAddr)], polled: &[Exchange]) {
        let interval = self.interval();
        for ((server, address), exchange) in due.iter().zip(polled) {
            if let Some(policy) = self.policies.get_mut(address) {
                policy.record(exchange.ended.monotonic, interval, exchange.result.as_ref().err());
            }
            if let Some(known) = self.resolved.get_mut(server) {
                let of_this = due.iter().zip(polled).filter(|((other, _), _)| other == server);
                known.responds = of_this.into_iter().any(|(_, exchange)| exchange.result.is_ok());
            }
        }
    }
}

/// Each machine once.
fn distinct(servers: Vec<ServerName>) -> Vec<ServerName> {
    let mut taken: Vec<ServerName> = Vec::new();
    for server in servers {
        if taken.iter().all(|known| known.machine() != server.machine()) {
            taken.push(server);
        }
    }
    taken
}

fn failed_lookup(server: ServerName, error: &ResolveError) -> Exchange {
    let now = clocks::now();
    let result = Err(ExchangeError::Resolve(error.to_string()));
    Exchange { server, started: now, ended: now, result }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_configured_once_whatever_its_spelling_and_port() {
        // (the configured servers, those that are queried)
        let table: [(&[&str], &[&str]); 4] = [
            (&["ntp.a", "NTP.A.", "ntp.b"], &["ntp.a:123", "ntp.b:123"]),
            (&["ntp.a", "ntp.a:1123", "ntp.b"], &["ntp.a:123", "ntp.b:123"]),
            (&["192.0.2.1", "::ffff:192.0.2.1", "ntp.b"], &["192.0.2.1:123", "ntp.b:123"]),
            (&["127.0.0.1:1", "127.0.0.1:2"], &["127.0.0.1:1", "127.0.0.1:2"]),
        ];
        for (configured, expected) in table {
            let servers = configured.iter().map(|text| text.parse().unwrap()).collect();
            let queried: Vec<_> = distinct(servers).iter().map(ToString::to_string).collect();
            assert_eq!(queried, expected, "{configured:?}");
        }
    }
}

//! Which servers are polled in a round, and when the next round is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use tokenwatch_core::base::time::{Delta, Monotonic};
use tokenwatch_core::world::clocks::{Exchange, ExchangeError, Round, ServerName};
use tokio::task::JoinSet;

use super::exchange::exchange;
use super::poll_policy::{MIN_INTERVAL, PollPolicy};
use super::resolve::{ResolveError, chosen, resolve};
use super::voters::{Voter, voters};
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
        let voters = self.voters();
        let due = self.due(&voters, started.monotonic);
        let polled = self.poll(&due).await;
        self.record(&due, &polled);
        exchanges.extend(due.iter().filter_map(|(name, at)| Some(of_name(name, polled.get(at)?))));
        let voters = voters.into_iter().map(|voter| voter.name).collect();
        Round { started, ended: clocks::now(), exchanges, voters }
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

    fn voters(&self) -> Vec<Voter> {
        let addresses = |server| self.resolved.get(server).map_or(&[][..], |it| &it.addresses);
        voters(self.config.servers.iter().map(|server| (server, addresses(server))))
    }

    /// The addresses to poll now, each with every name that it answers for: the first address of
    /// each name, then the second ones.
    fn due(&mut self, voters: &[Voter], now: Monotonic) -> Vec<(ServerName, SocketAddr)> {
        let (mut due, mut polled) = (Vec::new(), BTreeSet::new());
        for (nth, server, address) in addresses(voters) {
            let has_room = nth == 0 || polled.len() < MAX_SERVERS || polled.contains(&address);
            if self.policy(server, address).allows(now) && has_room {
                polled.insert(address);
                due.push((server.clone(), address));
            }
        }
        self.policies.retain(|address, _| {
            self.resolved.values().any(|known| known.addresses.contains(address))
        });
        due
    }

    fn policy(&mut self, server: &ServerName, address: SocketAddr) -> &PollPolicy {
        self.policies
            .entry(address)
            .or_insert_with(|| PollPolicy::new(address.ip().is_loopback(), server.is_public()))
    }

    /// Polls each of these addresses once.
    async fn poll(&self, due: &[(ServerName, SocketAddr)]) -> BTreeMap<SocketAddr, Exchange> {
        let (mut running, mut seen) = (JoinSet::new(), BTreeSet::new());
        for (server, address) in due.iter().filter(|(_, address)| seen.insert(*address)) {
            let (name, address) = (at_address(server, Some(address.ip().to_string())), *address);
            let (limit, attempts) = (self.config.timeout, self.config.attempts);
            running.spawn(async move { (address, exchange(name, address, limit, attempts).await) });
        }
        running.join_all().await.into_iter().collect()
    }

    /// Updates policies and lookups with the outcome of a round.
    fn record(
        &mut self,
        due: &[(ServerName, SocketAddr)],
        polled: &BTreeMap<SocketAddr, Exchange>,
    ) {
        let interval = self.interval();
        for (address, exchange) in polled {
            if let Some(policy) = self.policies.get_mut(address) {
                policy.record(exchange.ended.monotonic, interval, exchange.result.as_ref().err());
            }
        }
        for (name, known) in &mut self.resolved {
            let of_this = due.iter().filter(|(server, _)| server == name);
            let mut answers = of_this.filter_map(|(_, at)| polled.get(at)).peekable();
            if answers.peek().is_some() {
                known.responds = answers.any(|exchange| exchange.result.is_ok());
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

/// Every address of these voters, with its place among those of its name, and the name.
fn addresses(voters: &[Voter]) -> Vec<(usize, &ServerName, SocketAddr)> {
    let mut all = Vec::new();
    for Voter { name, addresses } in voters {
        all.extend(addresses.iter().enumerate().map(|(nth, address)| (nth, name, *address)));
    }
    all.sort_by_key(|(nth, ..)| *nth);
    all
}

fn at_address(server: &ServerName, address: Option<String>) -> ServerName {
    ServerName { address, ..server.clone() }
}

/// The answer of an address to one of its names.
fn of_name(name: &ServerName, exchange: &Exchange) -> Exchange {
    let server = at_address(name, exchange.server.address.clone());
    Exchange { server, ..exchange.clone() }
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

    /// The addresses are of this machine, and nothing answers there.
    #[tokio::test]
    async fn an_address_is_polled_once_and_answers_for_each_of_its_names() {
        let names = ["e:1", "b:1"].map(|name| name.parse().unwrap());
        let config = NtpConfig { servers: names.to_vec(), attempts: 1, ..NtpConfig::default() };
        let mut poller = Poller::new(config);
        let [e, b] = names;
        for (name, last) in [(&e, &[2, 9][..]), (&b, &[2])] {
            let addresses = last.iter().map(|last| ([127, 0, 0, *last], 1).into()).collect();
            let known = Resolved { addresses, at: clocks::now().monotonic, responds: true };
            poller.resolved.insert(name.clone(), known);
        }
        let round = poller.round().await;
        let of = |exchange: &Exchange| exchange.server.to_string();
        let answered: Vec<_> = round.exchanges.iter().map(of).collect();
        assert_eq!(answered, ["e:1 (127.0.0.2)", "b:1 (127.0.0.2)", "e:1 (127.0.0.9)"]);
        assert_eq!(round.exchanges[0].started, round.exchanges[1].started, "one request");
        assert_eq!(round.voters, [e, b]);
        assert!(poller.resolved.values().all(|known| !known.responds), "both are looked up again");
    }
}

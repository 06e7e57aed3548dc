//! Who is asked in a round, and when the next one is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokenwatch_core::base::time::{Delta, Monotonic};
use tokenwatch_core::world::clocks::{Exchange, ExchangeError, Round, ServerName};
use tokio::task::JoinSet;

use super::courtesy::{Courtesy, FASTEST};
use super::exchange::exchange;
use super::server::{is_public_pool, resolve};
use super::{BURST_SPACING, NtpConfig};
use crate::clocks;

/// Addresses asked in all. More prove nothing that these do not.
const SERVERS: usize = 16;
/// Names are looked up again after this long, and when none of their addresses answers: a pool name
/// gives others every time, and a server whose past answers are known is worth more than a new one.
const RESOLVED_FOR: Delta = Delta::from_secs(3_600);
/// For tests and demos, whose servers are on this machine: still no busy loop.
const FASTEST_LOCAL: Duration = Duration::from_millis(100);

/// What a name was last resolved to.
struct Resolved {
    addresses: Vec<SocketAddr>,
    at: Monotonic,
    /// Whether any address answered in the last round.
    answers: bool,
}

/// Asks servers, and remembers what they asked for.
pub(super) struct Poller {
    config: NtpConfig,
    resolved: BTreeMap<ServerName, Resolved>,
    courtesy: BTreeMap<SocketAddr, Courtesy>,
}

impl Poller {
    pub(super) fn new(config: NtpConfig) -> Self {
        Self { config, resolved: BTreeMap::new(), courtesy: BTreeMap::new() }
    }

    /// Asks all that may be asked now, at the same time.
    pub(super) async fn round(&mut self) -> Round {
        let started = clocks::now();
        let mut exchanges = self.resolve(started.monotonic).await;
        let asked = self.due(started.monotonic);
        let answers = self.ask(&asked).await;
        self.learn(&asked, &answers);
        exchanges.extend(answers);
        Round { started, ended: clocks::now(), exchanges }
    }

    /// How long to wait for the next round.
    pub(super) fn pause(&self, in_burst: bool) -> Duration {
        let interval = self.interval();
        let pause = if in_burst { interval.min(BURST_SPACING) } else { interval };
        pause.mul_f64(rand::random_range(0.9..1.1)) // a fleet that was started at once must not ask at once for ever
    }

    fn interval(&self) -> Duration {
        let local = self
            .resolved
            .values()
            .flat_map(|known| &known.addresses)
            .all(|address| address.ip().is_loopback());
        self.config.interval.max(if local { FASTEST_LOCAL } else { FASTEST })
    }

    /// Looks up what has to be; what cannot be, and never could, is an exchange that failed.
    async fn resolve(&mut self, now: Monotonic) -> Vec<Exchange> {
        let is_due = |server: &&ServerName| {
            self.resolved
                .get(*server)
                .is_none_or(|known| !known.answers || now - known.at >= RESOLVED_FOR)
        };
        let due: Vec<_> = self.config.servers.iter().filter(is_due).cloned().collect();
        let mut lookups = JoinSet::new();
        for server in due {
            lookups.spawn(async move { (resolve(&server).await, server) });
        }
        let mut failed = Vec::new();
        for (result, server) in lookups.join_all().await {
            match result {
                Ok(addresses) => {
                    _ = self.resolved.insert(server, Resolved { addresses, at: now, answers: true })
                }
                Err(reason) if !self.resolved.contains_key(&server) => {
                    failed.push(unresolved(&server, reason))
                }
                Err(_) => {} // its last addresses may still be right
            }
        }
        failed.sort_by(|a, b| a.server.cmp(&b.server));
        failed
    }

    /// Who may be asked now, in the order of the configuration; the same machine under two names
    /// has one voice.
    fn due(&mut self, now: Monotonic) -> Vec<(ServerName, SocketAddr)> {
        let mut asked: Vec<(ServerName, SocketAddr)> = Vec::new();
        for server in &self.config.servers {
            for address in self.resolved.get(server).into_iter().flat_map(|known| &known.addresses)
            {
                let courtesy = self.courtesy.entry(*address).or_insert_with(|| {
                    Courtesy::new(address.ip().is_loopback(), is_public_pool(server))
                });
                if asked.len() < SERVERS
                    && courtesy.allows(now)
                    && asked.iter().all(|(_, known)| known != address)
                {
                    asked.push((server.clone(), *address));
                }
            }
        }
        self.courtesy.retain(|address, _| {
            self.resolved.values().any(|known| known.addresses.contains(address))
        });
        asked
    }

    async fn ask(&self, asked: &[(ServerName, SocketAddr)]) -> Vec<Exchange> {
        let mut running = JoinSet::new();
        for (at, (server, address)) in asked.iter().enumerate() {
            let (name, address) = (
                ServerName { address: Some(address.ip().to_string()), ..server.clone() },
                *address,
            );
            let (timeout, attempts) = (self.config.timeout, self.config.attempts);
            running.spawn(async move { (at, exchange(name, address, timeout, attempts).await) });
        }
        let mut answers = running.join_all().await;
        answers.sort_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, exchange)| exchange).collect()
    }

    fn learn(&mut self, asked: &[(ServerName, SocketAddr)], answers: &[Exchange]) {
        let interval = self.interval();
        for ((server, address), exchange) in asked.iter().zip(answers) {
            if let Some(courtesy) = self.courtesy.get_mut(address) {
                courtesy.asked(exchange.ended.monotonic, interval, exchange.result.as_ref().err());
            }
            if let Some(known) = self.resolved.get_mut(server) {
                let of_this = asked.iter().zip(answers).filter(|((other, _), _)| other == server);
                known.answers = of_this.into_iter().any(|(_, exchange)| exchange.result.is_ok());
            }
        }
    }
}

fn unresolved(server: &ServerName, reason: String) -> Exchange {
    let now = clocks::now();
    Exchange {
        server: server.clone(),
        started: now,
        ended: now,
        result: Err(ExchangeError::Resolve(reason)),
    }
}

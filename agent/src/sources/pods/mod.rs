//! The pods of this node, from the API server: one list, then watches that continue where the last
//! one ended.
//!
//! In a quiet cluster that is one request every five minutes. Pods are reduced to what findings
//! need while they are parsed ([`slim`]); this source stores none.

mod bounds;
mod conventions;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod mounts;
mod slim;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::world::cluster::ClusterSeen;
use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::{Sender, channel};

use super::health::{Health, Meaning, Source};
use crate::clocks;
use crate::kubernetes::{ApiClient, Backoff, Error};
use watch::{End, Watch};

/// Timeouts and intervals.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Timeout of a response's head. The API server waits up to 3 s for its cache, and flow control
    /// queues a request for up to 15 s (its default limit of a queue).
    pub head: Duration,
    /// Timeout of the body of a list: 250 pods are some 3 MB.
    pub list: Duration,
    /// A watch that sends nothing for this long is dead. Bookmarks come every minute (the API
    /// server's `bookmarkFrequency`), and one may be missed.
    pub silence: Duration,
    /// Requested duration of a watch. The API server's own limit is at least 30 min
    /// (`--min-request-timeout`); proxies cut connections after 5 min.
    pub watch: Duration,
    /// A watch that ended sooner than this is repeated with backoff instead of at once.
    pub short: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            head: secs(30),
            list: secs(60),
            silence: secs(150),
            watch: secs(290),
            short: secs(30),
        }
    }
}

/// Watches this node's pods until the receiver is dropped.
pub async fn run(client: Arc<ApiClient>, node: String, observations: Sender<Observation>) {
    run_at(client, node, observations, Pace::default()).await;
}

/// The pods as they are now, or why they cannot be listed; none if neither is known within `limit`.
pub async fn first(client: Arc<ApiClient>, node: String, limit: Duration) -> Option<Observation> {
    let (sender, mut receiver) = channel(1);
    tokio::select! {
        first = tokio::time::timeout(limit, receiver.recv()) => first.ok().flatten(),
        () = run(client, node, sender) => None,
    }
}

async fn run_at(
    client: Arc<ApiClient>,
    node: String,
    observations: Sender<Observation>,
    pace: Pace,
) {
    let mut reporter = Reporter::new(observations, &node);
    let mut watch = Watch::new(client, node, pace);
    let mut backoff = Backoff::default();
    while let Some(wait) = follow(&mut watch, &mut reporter, &mut backoff, pace).await {
        tokio::time::sleep(wait).await;
    }
}

/// Follows the pods until that ends. Returns how long to wait; none if the receiver was dropped.
async fn follow(
    watch: &mut Watch,
    reporter: &mut Reporter,
    backoff: &mut Backoff,
    pace: Pace,
) -> Option<Duration> {
    let started = clocks::timer();
    let end = watch.follow(reporter).await;
    let is_short = clocks::timer() - started < pace.short;
    if let End::Failed(error) = &end {
        reporter.failed(error, &watch.server()).await.ok()?;
    }
    wait(&end, is_short, backoff, pace)
}

fn wait(end: &End, is_short: bool, backoff: &mut Backoff, pace: Pace) -> Option<Duration> {
    if !is_short {
        backoff.reset();
    }
    match end {
        End::ReceiverDropped => None,
        End::Ended if is_short => Some(backoff.next()),
        End::Ended => Some(stagger(pace)),
        End::Failed(error) => Some(backoff.after(error)),
    }
}

/// A wait of up to a hundredth of a watch's duration: watches that an API server ended together do
/// not start together.
fn stagger(pace: Pace) -> Duration {
    use rand::Rng as _;
    pace.watch.mul_f64(rand::rng().random_range(0.0..=0.01))
}

/// The engine dropped its end of the channel.
#[derive(Debug)]
struct ReceiverDropped;

/// Sends observations, and the source's health whenever it changes.
struct Reporter {
    observations: Sender<Observation>,
    health: Health,
    /// The last list was empty, and no pod has come since.
    is_empty: bool,
    /// Why the source counts as degraded then.
    no_pods: String,
}

impl Reporter {
    fn new(observations: Sender<Observation>, node: &str) -> Self {
        let health = Health::new(Source::Pods);
        Self { observations, health, is_empty: false, no_pods: no_pods(node) }
    }

    /// Sends what came from the API server.
    async fn observed(&mut self, seen: ClusterSeen) -> Result<(), ReceiverDropped> {
        match &seen {
            ClusterSeen::Listed(pods) => self.is_empty = pods.is_empty(),
            ClusterSeen::Pod(_) => self.is_empty = false,
            ClusterSeen::PodGone(_) | ClusterSeen::Unchanged | ClusterSeen::Unreachable { .. } => {}
        }
        self.send(Observation::Cluster(seen)).await?;
        let degraded = self.is_empty.then(|| self.no_pods.clone());
        self.report(degraded).await
    }

    /// Reports a failed request. The same failure is reported once.
    async fn failed(&mut self, error: &Error, server: &str) -> Result<(), ReceiverDropped> {
        let reason = format!("{server}: {error}");
        let degraded = format!(
            "{reason}; until a retry succeeds, within minutes, findings use the last known pods"
        );
        let meaning = Meaning::Api(error.kind());
        let Some(health) = self.health.degraded(meaning, degraded) else { return Ok(()) };
        self.send(Observation::Cluster(ClusterSeen::Unreachable { reason })).await?;
        self.send(health).await
    }

    async fn report(&mut self, degraded: Option<String>) -> Result<(), ReceiverDropped> {
        match self.health.update(degraded) {
            Some(health) => self.send(health).await,
            None => Ok(()),
        }
    }

    async fn send(&self, observation: Observation) -> Result<(), ReceiverDropped> {
        self.observations.send(observation).await.map_err(|_| ReceiverDropped)
    }
}

/// The API server lists no pod on this node. To it, a node name that does not exist is no error: no
/// pod runs there.
pub fn no_pods(node: &str) -> String {
    let node = shown(node);
    format!(
        "the API server lists no pod on node \"{node}\"; check that this is the node's name in the \
         cluster (setting node, variable NODE_NAME; `kubectl get nodes` lists the names); until \
         then findings name no owners and containers, and the agent recognises neither terminating \
         pods nor deleted service accounts"
    )
}

#[cfg(test)]
mod tests;

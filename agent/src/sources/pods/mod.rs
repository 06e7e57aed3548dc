//! The pods of this node, from the API server: one list, then one watch that is taken up again
//! where it ended.
//!
//! In a quiet cluster that is a request every five minutes. Pods are slimmed while they are parsed,
//! and kept by nobody here.

mod lines;
mod slim;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::world::cluster::ClusterSeen;
use tokenwatch_core::world::observation::{Observation, SourceState};
use tokio::sync::mpsc::{Sender, channel};

use crate::clocks;
use crate::kubernetes::{ApiServer, Backoff, Trouble};
use watch::{End, Watch};

/// What observations call this source.
const SOURCE: &str = "apiserver";

/// How long things take when all is well.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The head of an answer. The API server waits up to 3 s for its cache, and flow control
    /// queues for up to 15 s (its default limit of a queue).
    pub patience: Duration,
    /// A whole list: 250 pods are some 3 MB.
    pub list: Duration,
    /// A watch that was silent for so long is dead: bookmarks come every minute (the API server's
    /// `bookmarkFrequency`), and one may be missed.
    pub silence: Duration,
    /// A watch is asked to last up to so long. The API server's own limit is at least 30 min
    /// (`--min-request-timeout`); proxies cut after 5 min.
    pub watch: Duration,
    /// A watch that ended sooner is not begun anew at once.
    pub soon: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            patience: secs(30),
            list: secs(60),
            silence: secs(150),
            watch: secs(290),
            soon: secs(30),
        }
    }
}

/// Watches this node's pods until nobody listens.
pub async fn run(server: Arc<ApiServer>, node: String, tell: Sender<Observation>) {
    at_pace(server, node, tell, Pace::default()).await;
}

/// The pods as they are now, or why they cannot be told; nothing if neither came within `patience`.
pub async fn first(
    server: Arc<ApiServer>,
    node: String,
    patience: Duration,
) -> Option<Observation> {
    let (tell, mut heard) = channel(1);
    tokio::select! {
        seen = tokio::time::timeout(patience, heard.recv()) => seen.ok().flatten(),
        () = run(server, node, tell) => None,
    }
}

async fn at_pace(server: Arc<ApiServer>, node: String, tell: Sender<Observation>, pace: Pace) {
    let mut voice = Voice { tell, said: Said::Nothing, empty: false, nobody: nobody_on(&node) };
    let mut watch = Watch::new(server, node, pace);
    let mut backoff = Backoff::default();
    while let Some(wait) = once(&mut watch, &mut voice, &mut backoff, pace).await {
        tokio::time::sleep(wait).await;
    }
}

/// Follows the pods until that ends, and says how long to wait; nothing if nobody listens.
async fn once(
    watch: &mut Watch,
    voice: &mut Voice,
    backoff: &mut Backoff,
    pace: Pace,
) -> Option<Duration> {
    let began = clocks::timer();
    let end = watch.follow(voice).await;
    let lasted = clocks::timer() - began;
    if lasted >= pace.soon {
        backoff.reset();
    }
    match end {
        End::Unheard => None,
        End::Over if lasted >= pace.soon => Some(spread(pace)),
        End::Over => Some(backoff.next()),
        End::Trouble(trouble) => {
            voice.trouble(&trouble, watch.place()).await?;
            Some(backoff.after(&trouble))
        }
    }
}

/// Watches that an API server ended together do not begin together: over the hundredth part of what
/// they last.
fn spread(pace: Pace) -> Duration {
    use rand::Rng as _;
    pace.watch.mul_f64(rand::rng().random_range(0.0..=0.01))
}

/// A name that is no node's is no error to the API server: nothing runs there.
fn nobody_on(node: &str) -> String {
    let node = shown(node);
    format!(
        "the API server knows of no pod on node \"{node}\": is that this node's name (setting \
         node, variable NODE_NAME)? `kubectl get nodes` lists them. Owners and containers are not \
         named meanwhile"
    )
}

/// What is told, each state of the source once.
struct Voice {
    tell: Sender<Observation>,
    said: Said,
    /// The last list was empty, and nothing has come since.
    empty: bool,
    /// What to say then.
    nobody: String,
}

/// The last word on how the source works.
#[derive(PartialEq, Eq)]
enum Said {
    Nothing,
    Works,
    Nobody,
    Trouble(String),
}

impl Voice {
    /// Something came from the API server. Nothing if nobody listens.
    async fn heard(&mut self, seen: ClusterSeen) -> Option<()> {
        let said = self.after(&seen);
        self.tell.send(Observation::Cluster(seen)).await.ok()?;
        if self.said == said {
            return Some(());
        }
        let degraded = (said == Said::Nobody).then(|| self.nobody.clone());
        self.said = said;
        self.state(degraded).await
    }

    fn after(&mut self, seen: &ClusterSeen) -> Said {
        match seen {
            ClusterSeen::Listed(pods) => self.empty = pods.is_empty(),
            ClusterSeen::Pod(_) => self.empty = false,
            _ => {}
        }
        if self.empty { Said::Nobody } else { Said::Works }
    }

    async fn trouble(&mut self, trouble: &Trouble, place: String) -> Option<()> {
        let reason = format!("{place}: {trouble}");
        if self.said == Said::Trouble(reason.clone()) {
            return Some(());
        }
        self.said = Said::Trouble(reason.clone());
        self.tell
            .send(Observation::Cluster(ClusterSeen::Unreachable { reason: reason.clone() }))
            .await
            .ok()?;
        self.state(Some(format!(
            "{reason}. What was known of pods is used as it was; it is tried again within minutes"
        )))
        .await
    }

    async fn state(&self, degraded: Option<String>) -> Option<()> {
        self.tell
            .send(Observation::Source(SourceState { source: SOURCE.to_owned(), degraded }))
            .await
            .ok()
    }
}

#[cfg(test)]
mod tests;

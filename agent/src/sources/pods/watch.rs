//! One list, then a watch from where it was.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt as _;
use kube::client::Body;
use rand::Rng as _;
use tokenwatch_core::world::cluster::{ClusterSeen, Pod};
use tokio::time::timeout;

use super::lines::Lines;
use super::slim::{Event, Object, Page};
use super::{Pace, Voice};
use crate::kubernetes::{ApiServer, Ask, Trouble, quoted, whole};

/// Pods in a page, where lists come in pages. What the API server answers from its cache, as it
/// does the first list, it gives in one.
const PAGE: usize = 100;
/// Pages of a list: ten times the pods that a node can have.
const MOST_PAGES: usize = 25;
/// The largest list, all its pages together: a full node's is 3 MB, and twice the largest has to
/// fit into what the agent is given (48 MiB).
const LARGEST_LIST: usize = 12 << 20;
/// Resource versions are numbers of up to 20 digits; what is longer is none.
const LONGEST_POSITION: usize = 64;

/// How following ended.
#[derive(Debug)]
pub(super) enum End {
    /// The watch did, as watches do, or its connection.
    Over,
    /// It could not be begun, or the API server ended it with an error.
    Trouble(Trouble),
    /// Nobody listens.
    Unheard,
}

impl From<Trouble> for End {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Where from to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Position {
    /// Anywhere: what the API server has in its cache is new enough to begin with.
    Start,
    /// The newest: what was known is too old to be gone on from, and so may a cache be.
    Newest,
    /// After this resource version.
    After(String),
}

/// Follows the pods of one node.
pub(super) struct Watch {
    server: Arc<ApiServer>,
    node: String,
    pace: Pace,
    position: Position,
}

impl Watch {
    pub(super) fn new(server: Arc<ApiServer>, node: String, pace: Pace) -> Self {
        Self { server, node, pace, position: Position::Start }
    }

    pub(super) fn place(&self) -> String {
        format!("API server ({})", self.server.place())
    }

    /// Lists if it has to, then watches until that ends.
    pub(super) async fn follow(&mut self, voice: &mut Voice) -> End {
        let end = match self.listed_and_watched(voice).await {
            Ok(()) => End::Over,
            Err(end) => end,
        };
        match end {
            // Not what anybody did wrong: history is kept for five minutes, and an API server that
            // restarts has none.
            End::Trouble(trouble) if trouble.is_expired() && self.position != Position::Newest => {
                tracing::debug!("the watch of pods is too old to go on: listing them anew");
                self.position = Position::Newest;
                End::Over
            }
            end => end,
        }
    }

    async fn listed_and_watched(&mut self, voice: &mut Voice) -> Result<(), End> {
        let position = match &self.position {
            Position::After(position) => position.clone(),
            _ => self.list(voice).await?,
        };
        let watch =
            self.server.ask(Ask::get(self.watch_path(&position)), self.pace.patience).await?;
        heard(voice, ClusterSeen::Unchanged).await?;
        self.read(watch, voice).await
    }

    /// All pods, and the resource version at which they were so.
    async fn list(&mut self, voice: &mut Voice) -> Result<String, End> {
        let (mut pods, mut next, mut room) = (Vec::new(), None, LARGEST_LIST);
        for _ in 0..MOST_PAGES {
            let mut page = self.page(next.as_deref(), &mut room).await?;
            pods.append(&mut page.items);
            next = page.metadata.next.filter(|next| !next.is_empty());
            if next.is_none() {
                let position =
                    page.metadata.resource_version.filter(|version| is_position(version));
                let position = position.ok_or_else(|| {
                    Trouble::Garbage("a list without a resourceVersion".to_owned())
                })?;
                self.position = Position::After(position.clone());
                heard(voice, ClusterSeen::Listed(pods)).await?;
                return Ok(position);
            }
        }
        Err(Trouble::Garbage(format!("a list of more than {MOST_PAGES} pages")).into())
    }

    async fn page(&self, next: Option<&str>, room: &mut usize) -> Result<Page, Trouble> {
        let answer = self.server.ask(Ask::get(self.list_path(next)), self.pace.patience).await?;
        let body = whole(answer, *room, self.pace.list).await?;
        *room -= body.len();
        serde_json::from_slice(&body)
            .map_err(|why| Trouble::Garbage(format!("its list of pods is none: {why}")))
    }

    /// A first list is taken from the API server's cache, which knows pods by node; without
    /// `resourceVersion=0` each node's list would have all of the cluster's pods read from
    /// etcd.
    fn list_path(&self, next: Option<&str>) -> String {
        let from = match (&self.position, next) {
            (_, Some(next)) => format!("&continue={}", quoted(next)),
            (Position::Newest, None) => String::new(),
            _ => "&resourceVersion=0".to_owned(),
        };
        format!("{}&limit={PAGE}{from}", self.pods())
    }

    fn watch_path(&self, position: &str) -> String {
        // Watches of a fleet that began together do not end together.
        let lasting = self.pace.watch.mul_f64(rand::rng().random_range(0.9..=1.0)).as_secs().max(1);
        let from = quoted(position);
        format!(
            "{}&watch=true&allowWatchBookmarks=true&resourceVersion={from}&\
             timeoutSeconds={lasting}",
            self.pods()
        )
    }

    fn pods(&self) -> String {
        format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", quoted(&self.node))
    }

    async fn read(&mut self, watch: Response<Body>, voice: &mut Voice) -> Result<(), End> {
        let (mut body, mut lines) = (watch.into_body(), Lines::default());
        while let Some(chunk) = next(&mut body, self.pace.silence).await {
            let ended = lines.take(&chunk).map_err(Trouble::Garbage)?;
            for line in ended {
                let seen = self.event(&line)?;
                heard(voice, seen).await?;
            }
        }
        Ok(())
    }

    fn event(&mut self, line: &[u8]) -> Result<ClusterSeen, Trouble> {
        let garbage = |why: &dyn std::fmt::Display| {
            Trouble::Garbage(format!("an event of the watch is none: {why}"))
        };
        let event: Event<'_> = serde_json::from_slice(line).map_err(|why| garbage(&why))?;
        if event.kind == "ERROR" {
            return Err(Trouble::in_a_watch(event.object.get().as_bytes()));
        }
        let object: Object =
            serde_json::from_str(event.object.get()).map_err(|why| garbage(&why))?;
        let position =
            object.resource_version().filter(|version| is_position(version)).map(ToOwned::to_owned);
        let position = position.ok_or_else(|| garbage(&"it has no resourceVersion"))?;
        let seen =
            seen(event.kind, object).ok_or_else(|| garbage(&"it is of no kind that there is"))?;
        self.position = Position::After(position);
        Ok(seen)
    }
}

fn seen(kind: &str, object: Object) -> Option<ClusterSeen> {
    let pod =
        |then: fn(Pod) -> ClusterSeen| Some(object.pod().map_or(ClusterSeen::Unchanged, then));
    match kind {
        "ADDED" | "MODIFIED" => pod(|pod| ClusterSeen::Pod(Box::new(pod))),
        "DELETED" => pod(|pod| ClusterSeen::PodGone(pod.uid)),
        "BOOKMARK" => Some(ClusterSeen::Unchanged),
        _ => None,
    }
}

/// What comes next; nothing at the end, which a connection that is cut or dead is as well: only if
/// it cannot be made anew is that trouble.
async fn next(body: &mut Body, silence: Duration) -> Option<Bytes> {
    loop {
        let frame = timeout(silence, body.frame()).await.ok()??.ok()?;
        if let Ok(data) = frame.into_data() {
            return Some(data);
        }
    }
}

async fn heard(voice: &mut Voice, seen: ClusterSeen) -> Result<(), End> {
    voice.heard(seen).await.ok_or(End::Unheard)
}

fn is_position(version: &str) -> bool {
    !version.is_empty() && version.len() <= LONGEST_POSITION
}

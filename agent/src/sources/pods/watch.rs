//! One list, then a watch from its resource version (Kubernetes documentation, "Efficient detection
//! of changes").

use std::sync::Arc;

use http::Response;
use kube::client::Body;
use rand::Rng as _;
use tokenwatch_core::world::cluster::{ClusterSeen, Pod};

use super::slim::{Event, Object, Page};
use super::{Pace, ReceiverDropped, Reporter};
use crate::kubernetes::{
    ApiClient, ApiRequest, Error, Lines, next_chunk, percent_encoded, read_body,
};

/// Pods per page, where a list has pages. A list from the API server's cache, as the first one is,
/// comes in one piece.
const PAGE: usize = 100;
/// Pages of a list: ten times as many pods as a node can have.
const MAX_PAGES: usize = 25;
/// Bytes of a list, over all its pages. A full node's list has 3 MB, and twice the largest one must
/// fit into the agent's memory limit (48 MiB).
const MAX_LIST: usize = 12 << 20;
/// Characters of a resource version; real ones are numbers of up to 20 digits.
const MAX_VERSION: usize = 64;

/// How following the pods ended.
#[derive(Debug)]
pub(super) enum End {
    /// The watch or its connection ended, as watches do.
    Ended,
    /// A request failed, or the API server ended the watch with an error.
    Failed(Error),
    /// The receiver was dropped.
    ReceiverDropped,
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ReceiverDropped> for End {
    fn from(ReceiverDropped: ReceiverDropped) -> Self {
        Self::ReceiverDropped
    }
}

/// Where the next list or watch starts.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Position {
    /// A list of whatever age: the API server's cache is recent enough to start with.
    Any,
    /// The most recent list: the last resource version had expired, and a cache may be as old.
    MostRecent,
    /// A watch from this resource version.
    After(String),
}

/// Follows the pods of one node.
pub(super) struct Watch {
    client: Arc<ApiClient>,
    node: String,
    pace: Pace,
    position: Position,
}

impl Watch {
    pub(super) fn new(client: Arc<ApiClient>, node: String, pace: Pace) -> Self {
        Self { client, node, pace, position: Position::Any }
    }

    /// The API server, for messages.
    pub(super) fn server(&self) -> String {
        format!("API server ({})", self.client.address())
    }

    /// Lists if that is needed, then watches until that ends. An expired resource version is
    /// expected: the API server keeps history for five minutes, and none over a restart.
    pub(super) async fn follow(&mut self, reporter: &mut Reporter) -> End {
        match self.list_and_watch(reporter).await {
            Ok(()) | Err(End::Ended) => End::Ended,
            Err(End::Failed(error)) if self.must_list_again(&error) => {
                tracing::debug!("the watch's resource version has expired: listing pods again");
                self.position = Position::MostRecent;
                End::Ended
            }
            Err(End::Failed(error)) => End::Failed(error),
            Err(End::ReceiverDropped) => End::ReceiverDropped,
        }
    }

    fn must_list_again(&self, error: &Error) -> bool {
        error.is_expired() && self.position != Position::MostRecent
    }

    async fn list_and_watch(&mut self, reporter: &mut Reporter) -> Result<(), End> {
        let version = match &self.position {
            Position::After(version) => version.clone(),
            Position::Any | Position::MostRecent => self.list(reporter).await?,
        };
        let request = ApiRequest::get(self.watch_path(&version));
        let watch = self.client.send(request, self.pace.head).await?;
        reporter.observed(ClusterSeen::Unchanged).await?;
        self.read(watch, reporter).await
    }

    /// Lists all pods. Returns the resource version of the list.
    async fn list(&mut self, reporter: &mut Reporter) -> Result<String, End> {
        let (mut pods, mut next, mut budget) = (Vec::new(), None, MAX_LIST);
        for _ in 0..MAX_PAGES {
            let mut page = self.page(next.as_deref(), &mut budget).await?;
            pods.append(&mut page.items);
            next = page.metadata.next.filter(|next| !next.is_empty());
            if next.is_none() {
                return self.listed(page.metadata.resource_version, pods, reporter).await;
            }
        }
        Err(Error::invalid(format_args!("a list of more than {MAX_PAGES} pages")).into())
    }

    async fn listed(
        &mut self,
        version: Option<String>,
        pods: Vec<Pod>,
        reporter: &mut Reporter,
    ) -> Result<String, End> {
        let version = version.filter(|version| is_version(version));
        let version = version.ok_or_else(|| Error::invalid("a list without resourceVersion"))?;
        self.position = Position::After(version.clone());
        reporter.observed(ClusterSeen::Listed(pods)).await?;
        Ok(version)
    }

    async fn page(&self, next: Option<&str>, budget: &mut usize) -> Result<Page, Error> {
        let request = ApiRequest::get(self.list_path(next));
        let response = self.client.send(request, self.pace.head).await?;
        let body = read_body(response, *budget, self.pace.list).await?;
        *budget -= body.len();
        page(&body)
    }

    /// The first list comes from the API server's cache, which indexes pods by node. Without
    /// `resourceVersion=0`, the list of each node would read all pods of the cluster from etcd.
    fn list_path(&self, next: Option<&str>) -> String {
        let from = match (next, &self.position) {
            (Some(next), _) => format!("&continue={}", percent_encoded(next)),
            (None, Position::MostRecent) => String::new(),
            (None, Position::Any | Position::After(_)) => "&resourceVersion=0".to_owned(),
        };
        format!("{}&limit={PAGE}{from}", self.pods_path())
    }

    /// The duration is jittered: watches of a fleet that start together do not end together.
    fn watch_path(&self, version: &str) -> String {
        let seconds = self.pace.watch.mul_f64(rand::rng().random_range(0.9..=1.0)).as_secs().max(1);
        let from = percent_encoded(version);
        format!(
            "{}&watch=true&allowWatchBookmarks=true&resourceVersion={from}&\
             timeoutSeconds={seconds}",
            self.pods_path()
        )
    }

    fn pods_path(&self) -> String {
        format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", percent_encoded(&self.node))
    }

    async fn read(&mut self, watch: Response<Body>, reporter: &mut Reporter) -> Result<(), End> {
        let (mut body, mut lines) = (watch.into_body(), Lines::default());
        while let Some(chunk) = next_chunk(&mut body, self.pace.silence).await {
            let complete = lines.push(&chunk).map_err(Error::invalid)?;
            for line in complete {
                let seen = self.event(&line)?;
                reporter.observed(seen).await?;
            }
        }
        Ok(())
    }

    fn event(&mut self, line: &[u8]) -> Result<ClusterSeen, Error> {
        let (version, seen) = event(line)?;
        self.position = Position::After(version);
        Ok(seen)
    }
}

/// The version of an event, and what it shows.
pub(super) fn event(line: &[u8]) -> Result<(String, ClusterSeen), Error> {
    let event: Event<'_> = serde_json::from_slice(line).map_err(|error| bad_event(&error))?;
    if event.kind == "ERROR" {
        return Err(Error::in_watch(event.object.get().as_bytes()));
    }
    let object: Object =
        serde_json::from_str(event.object.get()).map_err(|error| bad_event(&error))?;
    let version = object.resource_version().filter(|version| is_version(version));
    let version = version.map(ToOwned::to_owned);
    let version = version.ok_or_else(|| bad_event(&"it has no resourceVersion"))?;
    let seen = seen(event.kind, object).ok_or_else(|| bad_event(&"its type is unknown"))?;
    Ok((version, seen))
}

/// A page of the list.
pub(super) fn page(body: &[u8]) -> Result<Page, Error> {
    serde_json::from_slice(body)
        .map_err(|error| Error::invalid(format_args!("not a list of pods: {error}")))
}

fn bad_event(reason: &dyn std::fmt::Display) -> Error {
    Error::invalid(format_args!("not an event of a watch: {reason}"))
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

fn is_version(version: &str) -> bool {
    !version.is_empty() && version.len() <= MAX_VERSION
}

//! Events `FailedMount` of the pods of this node, from the API server. Optional, because it takes a
//! right of its own, and because a watch cannot select Events by node: each agent receives those of
//! the whole cluster, and drops the others while it reads them.
//!
//! Nothing is listed but one object, whose list gives the version to start from: kubelet repeats
//! the Event of what still fails.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use http::Response;
use kube::client::Body;
use rand::Rng as _;
use serde::Deserialize;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::kubelet::errors::{ErrorPod, ErrorScope, ErrorSource, KubeletError};
use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

use super::found::{Found, NOT_MOUNTED};
use crate::kubernetes::{
    ApiClient, ApiRequest, Backoff, Error, Lines, next_chunk, percent_encoded, read_body,
};
use crate::sources::health::{Health, Meaning, Source};
use crate::sources::logs::name::{name, uid};
use crate::sources::send::send_all;

const EVENTS: &str =
    "/api/v1/events?fieldSelector=involvedObject.kind%3DPod%2Creason%3DFailedMount";
/// Bytes of the list with one object.
const MAX_LIST: usize = 2 << 20;
/// Characters of a resource version; real ones are numbers of up to 20 digits.
const MAX_VERSION: usize = 64;

/// Timeouts and intervals, as for pods.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Timeout of a response's head, and of the body of the list.
    pub(super) head: Duration,
    /// A watch that sends nothing for this long is dead. Bookmarks come every minute.
    pub(super) silence: Duration,
    /// Duration of a watch.
    pub(super) watch: Duration,
    /// Longest pause between two watches.
    pub(super) pause: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self { head: secs(30), silence: secs(150), watch: secs(290), pause: secs(3) }
    }
}

#[derive(Debug, Deserialize)]
struct List {
    metadata: Meta,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    resource_version: String,
}

/// An event of a watch.
#[derive(Debug, Deserialize)]
struct Change<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a serde_json::value::RawValue,
}

/// An Event (core/v1), or the object of a bookmark.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    metadata: Meta,
    #[serde(default)]
    involved_object: Involved,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    source: Origin,
    #[serde(default)]
    last_timestamp: Option<String>,
    #[serde(default, rename = "eventTime")]
    at: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Involved {
    uid: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Origin {
    host: String,
}

/// How a watch ended.
enum End {
    /// As watches do.
    Ended,
    Failed(Error),
    ReceiverDropped,
}

/// Watches until the receiver is dropped.
pub async fn run(client: Arc<ApiClient>, node: String, observations: Sender<Observation>) {
    run_at(client, node, observations, Pace::default()).await;
}

pub(super) async fn run_at(
    client: Arc<ApiClient>,
    node: String,
    observations: Sender<Observation>,
    pace: Pace,
) {
    let mut watch = Watch { client, node, observations, pace, version: None };
    let (mut health, mut backoff) = (Health::new(Source::PodEvents), Backoff::default());
    loop {
        let wait = match watch.follow(&mut health).await {
            End::ReceiverDropped => return,
            End::Ended => {
                backoff.reset();
                pace.pause.mul_f64(rand::rng().random_range(0.3..=1.0))
            }
            End::Failed(error) => {
                if !send_all(&watch.observations, failed(&watch.client, &error, &mut health)).await
                {
                    return;
                }
                backoff.after(&error)
            }
        };
        tokio::time::sleep(wait).await;
    }
}

fn failed(client: &ApiClient, error: &Error, health: &mut Health) -> Option<Observation> {
    health.degraded(Meaning::Api(error.kind()), degraded(client, error))
}

fn degraded(client: &ApiClient, error: &Error) -> String {
    format!(
        "API server ({}): {error}; kubernetes.pod_events needs list and watch on events; until a \
         retry succeeds, the agent does not see in Events why kubelet does not replace a token",
        client.address()
    )
}

struct Watch {
    client: Arc<ApiClient>,
    node: String,
    observations: Sender<Observation>,
    pace: Pace,
    /// Where the next watch starts.
    version: Option<String>,
}

impl Watch {
    /// Follows the Events until that ends. An expired version is expected: the API server keeps
    /// history for five minutes, and none over a restart.
    async fn follow(&mut self, health: &mut Health) -> End {
        match self.watch(health).await {
            Ok(end) => end,
            Err(error) if error.is_expired() && self.version.is_some() => {
                self.version = None;
                End::Ended
            }
            Err(error) => End::Failed(error),
        }
    }

    async fn watch(&mut self, health: &mut Health) -> Result<End, Error> {
        let version = match &self.version {
            Some(version) => version.clone(),
            None => self.latest().await?,
        };
        let request = ApiRequest::get(self.path(&version));
        let response = self.client.send(request, self.pace.head).await?;
        self.version = Some(version);
        if !send_all(&self.observations, health.update(None)).await {
            return Ok(End::ReceiverDropped);
        }
        self.read(response).await
    }

    async fn read(&mut self, response: Response<Body>) -> Result<End, Error> {
        let (mut body, mut lines) = (response.into_body(), Lines::default());
        while let Some(chunk) = next_chunk(&mut body, self.pace.silence).await {
            let complete = lines.push(&chunk).map_err(|error| invalid(&error))?;
            let errors = complete.iter().map(|line| self.error(line));
            let errors = errors.collect::<Result<Vec<_>, _>>()?;
            let errors: Vec<KubeletError> = errors.into_iter().flatten().collect();
            let seen = (!errors.is_empty()).then_some(Observation::KubeletErrors(errors));
            if !send_all(&self.observations, seen).await {
                return Ok(End::ReceiverDropped);
            }
        }
        Ok(End::Ended)
    }

    /// The version of the cluster's Events now, from a list with one of them.
    async fn latest(&self) -> Result<String, Error> {
        let request = ApiRequest::get(format!("{EVENTS}&limit=1"));
        let response = self.client.send(request, self.pace.head).await?;
        let body = read_body(response, MAX_LIST, self.pace.head).await?;
        let list: List = serde_json::from_slice(&body).map_err(|error| invalid(&error))?;
        checked(list.metadata.resource_version)
    }

    /// The duration is jittered: watches of a fleet that start together do not end together.
    fn path(&self, version: &str) -> String {
        let seconds = self.pace.watch.mul_f64(rand::rng().random_range(0.9..=1.0)).as_secs().max(1);
        format!(
            "{EVENTS}&watch=true&allowWatchBookmarks=true&resourceVersion={}&\
             timeoutSeconds={seconds}",
            percent_encoded(version)
        )
    }

    /// What a change shows of a pod of this node.
    fn error(&mut self, line: &[u8]) -> Result<Option<KubeletError>, Error> {
        let change: Change<'_> = serde_json::from_slice(line).map_err(|error| invalid(&error))?;
        if change.kind == "ERROR" {
            return Err(Error::in_watch(change.object.get().as_bytes()));
        }
        let event: Event =
            serde_json::from_str(change.object.get()).map_err(|error| invalid(&error))?;
        self.version = Some(checked(event.metadata.resource_version.clone())?);
        let is_new = matches!(change.kind, "ADDED" | "MODIFIED");
        let is_here = event.source.host == self.node;
        Ok((is_new && is_here).then(|| event.error()).flatten())
    }
}

impl Event {
    /// `MountVolume.SetUp failed for volume "V" : …`
    fn error(&self) -> Option<KubeletError> {
        let rest = self.message.as_deref()?.strip_prefix(NOT_MOUNTED)?;
        let (volume, error) = rest.split_once('"')?;
        let pod = ErrorPod::Uid(uid(&self.involved_object.uid)?);
        let of = ErrorScope::Volume(name(volume)?);
        let Found { pod, of, cause, text } =
            Found::new(pod, of, error.trim_start_matches([' ', ':']));
        Some(KubeletError { pod, of, cause, text, at: self.at()?, by: ErrorSource::Event })
    }

    /// When it happened last, by the clock of kubelet.
    fn at(&self) -> Option<Wall> {
        let times = [&self.last_timestamp, &self.at].into_iter().flatten();
        let time = times.filter_map(|time| DateTime::parse_from_rfc3339(time).ok()).max()?;
        time.timestamp_nanos_opt().map(Wall::from_nanos)
    }
}

fn invalid(reason: &dyn std::fmt::Display) -> Error {
    Error::Invalid(format!("not a watch of Events: {reason}"))
}

fn checked(version: String) -> Result<String, Error> {
    let fits = !version.is_empty() && version.len() <= MAX_VERSION;
    if fits { Ok(version) } else { Err(invalid(&"it has no resourceVersion")) }
}

//! A watch of all objects of one kind, from now on.
//!
//! Nothing is listed but one object, whose list gives the version to start from. So a node reads
//! each change once, and holds no object. A watch that ends is continued where it ended; one whose
//! version has expired starts again from now.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use kube::client::Body;
use rand::Rng as _;
use serde::Deserialize;
use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

use super::health::{Health, Meaning, Source};
use super::send::send_all;
use crate::kubernetes::{
    ApiClient, ApiRequest, Backoff, Error, Lines, next_chunk, percent_encoded, read_body,
};

/// Bytes of the list with one object.
const MAX_LIST: usize = 2 << 20;
/// Characters of a resource version; real ones are numbers of up to 20 digits.
pub(super) const MAX_VERSION: usize = 64;

/// Timeouts and intervals, as for pods.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Timeout of a response's head, and of the body of the list.
    pub(super) head: Duration,
    /// A watch that sends nothing for this long is dead. Bookmarks come every minute.
    pub(super) silence: Duration,
    /// Requested duration of a watch. Proxies cut connections after 5 min.
    pub(super) watch: Duration,
    /// Wait before a watch that ended is started again. A random part of it keeps nodes apart.
    pub(super) pause: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self { head: secs(30), silence: secs(150), watch: secs(290), pause: secs(3) }
    }
}

/// Objects that are watched, and what their changes show.
pub(super) trait Watched: Send {
    /// What the agent calls them, and how it requests them.
    const ABOUT: About;

    /// Takes a change of an object, and returns the object's version.
    fn take(&mut self, change: Change, object: &str) -> serde_json::Result<String>;

    /// What the changes since the last call showed.
    fn report(&mut self) -> Vec<Observation>;
}

/// What the agent calls a kind of objects, and how it requests them.
pub(super) struct About {
    pub(super) source: Source,
    /// `service accounts`
    pub(super) name: &'static str,
    /// The path of their list, with a selector as its query where there is one.
    pub(super) path: &'static str,
    /// Whether their metadata is enough.
    pub(super) is_metadata: bool,
    /// What a failed request means: the setting, its rights, and what the agent does not see.
    pub(super) failed: &'static str,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It was created, or it differs.
    Present,
    Deleted,
    /// Nothing: it has a version alone (a bookmark).
    None,
}

/// An event of a watch.
#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a serde_json::value::RawValue,
}

/// A list, of which only the version matters.
#[derive(Debug, Deserialize)]
struct List {
    metadata: ListMeta,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
}

/// How a watch ended.
enum End {
    /// As watches do.
    Ended,
    Failed(Error),
    ReceiverDropped,
}

/// Watches until the receiver is dropped.
pub(super) async fn run<W: Watched>(
    client: Arc<ApiClient>,
    watched: W,
    observations: Sender<Observation>,
    pace: Pace,
) {
    let mut watch = Watch { client, watched, observations, pace, version: None };
    let (mut health, mut backoff) = (Health::new(W::ABOUT.source), Backoff::default());
    loop {
        let wait = match watch.follow(&mut health).await {
            End::ReceiverDropped => return,
            End::Ended => {
                backoff.reset();
                pace.pause.mul_f64(rand::rng().random_range(0.3..=1.0))
            }
            End::Failed(error) => {
                let text = degraded::<W>(&watch.client, &error);
                let degraded = health.degraded(Meaning::Api(error.kind()), text);
                if !send_all(&watch.observations, degraded).await {
                    return;
                }
                backoff.after(&error)
            }
        };
        tokio::time::sleep(wait).await;
    }
}

fn degraded<W: Watched>(client: &ApiClient, error: &Error) -> String {
    format!("API server ({}): {error}; {}", client.address(), W::ABOUT.failed)
}

struct Watch<W> {
    client: Arc<ApiClient>,
    watched: W,
    observations: Sender<Observation>,
    pace: Pace,
    /// Where the next watch starts.
    version: Option<String>,
}

impl<W: Watched> Watch<W> {
    /// Follows the objects until that ends. An expired version is expected: the API server keeps
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
        let request = if W::ABOUT.is_metadata { ApiRequest::get_metadata } else { ApiRequest::get };
        let response = self.client.send(request(self.path(&version)), self.pace.head).await?;
        self.version = Some(version);
        if !send_all(&self.observations, health.update(None)).await {
            return Ok(End::ReceiverDropped);
        }
        self.read(response).await
    }

    async fn read(&mut self, response: Response<Body>) -> Result<End, Error> {
        let (mut body, mut lines) = (response.into_body(), Lines::default());
        while let Some(chunk) = next_chunk(&mut body, self.pace.silence).await {
            let complete = lines.push(&chunk).map_err(|error| invalid::<W>(&error))?;
            let taken = complete.iter().try_for_each(|line| self.event(line));
            // What came before an event that cannot be read counts.
            if !send_all(&self.observations, self.watched.report()).await {
                return Ok(End::ReceiverDropped);
            }
            taken?;
        }
        Ok(End::Ended)
    }

    /// The version of the objects now, from a list with one of them.
    async fn latest(&self) -> Result<String, Error> {
        let is_metadata = W::ABOUT.is_metadata;
        let request = if is_metadata { ApiRequest::list_metadata } else { ApiRequest::get };
        let response = self.client.send(request(query::<W>("limit=1")), self.pace.head).await?;
        let body = read_body(response, MAX_LIST, self.pace.head).await?;
        version::<W>(&body)
    }

    /// The duration is jittered: watches of a fleet that start together do not end together.
    fn path(&self, version: &str) -> String {
        let seconds = self.pace.watch.mul_f64(rand::rng().random_range(0.9..=1.0)).as_secs().max(1);
        query::<W>(&format!(
            "watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={seconds}",
            percent_encoded(version)
        ))
    }

    fn event(&mut self, line: &[u8]) -> Result<(), Error> {
        self.version = Some(event(&mut self.watched, line)?);
        Ok(())
    }
}

/// The version of a list.
pub(super) fn version<W: Watched>(body: &[u8]) -> Result<String, Error> {
    let list: List = serde_json::from_slice(body).map_err(|error| invalid::<W>(&error))?;
    checked::<W>(list.metadata.resource_version)
}

/// Takes an event; its version.
pub(super) fn event<W: Watched>(watched: &mut W, line: &[u8]) -> Result<String, Error> {
    let event: Event<'_> = serde_json::from_slice(line).map_err(|error| invalid::<W>(&error))?;
    let change = match event.kind {
        "ERROR" => return Err(Error::in_watch(event.object.get().as_bytes())),
        "ADDED" | "MODIFIED" => Change::Present,
        "DELETED" => Change::Deleted,
        _ => Change::None, // a bookmark
    };
    let version = watched.take(change, event.object.get());
    checked::<W>(version.map_err(|error| invalid::<W>(&error))?)
}

/// The path of the list, with this in its query.
fn query<W: Watched>(text: &str) -> String {
    let path = W::ABOUT.path;
    let sign = if path.contains('?') { '&' } else { '?' };
    format!("{path}{sign}{text}")
}

fn invalid<W: Watched>(reason: &dyn std::fmt::Display) -> Error {
    Error::invalid(format_args!("not a watch of {}: {reason}", W::ABOUT.name))
}

fn checked<W: Watched>(version: String) -> Result<String, Error> {
    let fits = !version.is_empty() && version.len() <= MAX_VERSION;
    if fits { Ok(version) } else { Err(invalid::<W>(&"it has no resourceVersion")) }
}

#[cfg(test)]
mod tests;

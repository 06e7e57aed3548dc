//! Events `FailedMount` of the pods of this node, from the API server. Optional, because it takes a
//! right of its own, and because a watch cannot select Events by node: each agent receives those of
//! the whole cluster, and drops the others while it reads them. None is listed: kubelet repeats the
//! Event of what still fails.

use std::sync::Arc;

use chrono::DateTime;
use serde::Deserialize;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::kubelet::errors::{ErrorPod, ErrorScope, ErrorSource, KubeletError};
use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

use super::found::{Found, NOT_MOUNTED};
use crate::kubernetes::ApiClient;
use crate::sources::health::Source;
use crate::sources::logs::name::{name, uid};
use crate::sources::object_watch::{self, About, Change, Pace, Watched};

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

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    resource_version: String,
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
    object_watch::run(client, Events { node, errors: Vec::new() }, observations, pace).await;
}

/// What the Events of the pods of this node showed.
pub(super) struct Events {
    pub(super) node: String,
    pub(super) errors: Vec<KubeletError>,
}

impl Watched for Events {
    const ABOUT: About = About {
        source: Source::PodEvents,
        name: "Events",
        path: "/api/v1/events?fieldSelector=involvedObject.kind%3DPod%2Creason%3DFailedMount",
        is_metadata: false,
        failed: "kubernetes.pod_events needs list and watch on events; until a retry succeeds, \
                 the agent does not see in Events why kubelet does not replace a token",
    };

    fn take(&mut self, change: Change, object: &str) -> serde_json::Result<String> {
        let event: Event = serde_json::from_str(object)?;
        let is_here = event.source.host == self.node;
        if change == Change::Present && is_here {
            self.errors.extend(event.error());
        }
        Ok(event.metadata.resource_version)
    }

    fn report(&mut self) -> Vec<Observation> {
        let errors = std::mem::take(&mut self.errors);
        if errors.is_empty() { Vec::new() } else { vec![Observation::KubeletErrors(errors)] }
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

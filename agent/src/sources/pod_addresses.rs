//! The pods with an address, from the API server, when the engine asks for one: it knows requests
//! from there that were refused, and no user of it.
//!
//! The list comes from the API server's cache (`resourceVersion=0`). Without that, the API server
//! would read every pod of the cluster from etcd: it has no index of addresses.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use serde::Deserialize;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::refusals::{PodAtAddress, PodsAtAddress};
use tokio::sync::mpsc::{Receiver, Sender};

use super::health::{Health, Meaning, Source};
use super::logs::name::{name, uid};
use super::send::send_all;
use crate::kubernetes::{ApiClient, ApiRequest, Error, percent_encoded, read_body};

/// Queries that may wait: the engine asks for a few in 20 minutes.
pub const QUEUE: usize = 4;
/// Timeout of a response, as for service accounts.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a response. A cache gives all pods of an address, and a node's address is that of each
/// pod on its network: some 20, of 15 kB each.
const MAX_LIST: usize = 2 << 20;
/// Pods that are asked for: whether there is one, or more than one.
const LIMIT: usize = 2;

/// A list of pods (core/v1).
#[derive(Debug, Deserialize)]
struct List {
    #[serde(default)]
    metadata: ListMeta,
    items: Vec<Pod>,
}

#[derive(Debug, Default, Deserialize)]
struct ListMeta {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Pod {
    metadata: Meta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize)]
struct Meta {
    namespace: String,
    name: String,
    uid: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
    host_network: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    start_time: Option<String>,
}

/// Answers each query until the engine drops either channel.
pub async fn run(
    client: Arc<ApiClient>,
    mut queries: Receiver<IpAddr>,
    observations: Sender<Observation>,
) {
    let mut health = Health::new(Source::PodAddresses);
    while let Some(address) = queries.recv().await {
        let answer = pods_at(&client, address).await;
        if !send_all(&observations, reported(&client, &mut health, answer)).await {
            return;
        }
    }
    observations.closed().await; // the runtime is shutting down
}

/// What there is to report after a query.
fn reported(
    client: &ApiClient,
    health: &mut Health,
    answer: Result<PodsAtAddress, Error>,
) -> impl Iterator<Item = Observation> {
    let (seen, health) = match answer {
        Ok(seen) => (Some(Observation::PodsAtAddress(seen)), health.update(None)),
        Err(error) => (None, health.degraded(Meaning::Api(error.kind()), degraded(client, &error))),
    };
    seen.into_iter().chain(health)
}

fn degraded(client: &ApiClient, error: &Error) -> String {
    format!(
        "API server ({}): {error}; the agent does not see which pod of another node has the \
         address of refused requests, and asks again when there are more",
        client.address()
    )
}

async fn pods_at(client: &ApiClient, address: IpAddr) -> Result<PodsAtAddress, Error> {
    let of = percent_encoded(&address.to_string());
    let path = format!("/api/v1/pods?fieldSelector=status.podIP%3D{of}");
    let request = ApiRequest::get(format!("{path}&limit={LIMIT}&resourceVersion=0"));
    let response = client.send(request, TIMEOUT).await?;
    let body = read_body(response, MAX_LIST, TIMEOUT).await?;
    parsed(&body, address)
}

/// What a response shows.
pub(super) fn parsed(body: &[u8], address: IpAddr) -> Result<PodsAtAddress, Error> {
    let list: List = serde_json::from_slice(body)
        .map_err(|error| Error::invalid(format_args!("not a list of pods: {error}")))?;
    Ok(list.reduced(address))
}

impl List {
    fn reduced(self, address: IpAddr) -> PodsAtAddress {
        let (count, next) = (self.items.len(), self.metadata.next);
        let pods = self.items.into_iter().take(LIMIT).filter_map(Pod::reduced);
        let pods: Vec<PodAtAddress> = pods.collect();
        // A pod without names is another one all the same.
        let has_more = count > pods.len() || next.is_some_and(|next| !next.is_empty());
        PodsAtAddress { address, pods, has_more }
    }
}

impl Pod {
    /// None: its names are none.
    fn reduced(self) -> Option<PodAtAddress> {
        let Self { metadata, spec, status } = self;
        Some(PodAtAddress {
            namespace: name(&metadata.namespace)?,
            name: name(&metadata.name)?,
            uid: uid(&metadata.uid)?,
            node: spec.node_name.as_deref().and_then(name),
            on_host_network: spec.host_network,
            started: status.start_time.as_deref().and_then(wall),
            has_ended: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
        })
    }
}

fn wall(time: &str) -> Option<Wall> {
    let time = DateTime::parse_from_rfc3339(time).ok()?;
    time.timestamp_nanos_opt().map(Wall::from_nanos)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;
    use crate::kubernetes::fake_server::{FakeServer, Reply, status};

    fn pod(uid: &str, more: &str) -> String {
        format!(
            r#"{{"metadata":{{"namespace":"shop","name":"cart-0","uid":"{uid}"}},{more}
                "spec":{{"nodeName":"n2","hostNetwork":false,"containers":[]}}}}"#
        )
    }

    /// What is observed with this answer, and the path of the request.
    async fn observed(code: u16, body: String) -> (Vec<Observation>, String) {
        let fake = FakeServer::start(vec![Reply::Whole(code, None, body)]).await;
        let (queries, receiver) = channel(QUEUE);
        let (sender, mut observations) = channel(16);
        queries.send([10, 0, 0, 7].into()).await.unwrap();
        drop(queries);
        let source = tokio::spawn(run(fake.client(), receiver, sender));
        let count = if code == 200 { 2 } else { 1 };
        let mut all = Vec::new();
        while all.len() < count {
            all.push(observations.recv().await.unwrap());
        }
        source.abort();
        (all, fake.requests()[0].path.clone())
    }

    fn list(items: &[String], next: &str) -> String {
        format!(r#"{{"metadata":{{"continue":"{next}"}},"items":[{}]}}"#, items.join(","))
    }

    async fn answer(body: String) -> PodsAtAddress {
        match observed(200, body).await.0.swap_remove(0) {
            Observation::PodsAtAddress(seen) => seen,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_pods_of_an_address_are_requested_once_from_the_cache() {
        let running = r#""status":{"phase":"Running","startTime":"2026-11-28T04:00:00Z"},"#;
        let (all, path) = observed(200, list(&[pod("0f-1", running)], "")).await;
        let expected = "/api/v1/pods?fieldSelector=status.podIP%3D10.0.0.7&limit=2";
        assert_eq!(path, format!("{expected}&resourceVersion=0"));
        let Observation::PodsAtAddress(seen) = &all[0] else { panic!("{all:?}") };
        assert_eq!(seen.address, IpAddr::from([10, 0, 0, 7]));
        let [pod] = &seen.pods[..] else { panic!("{seen:?}") };
        assert_eq!((pod.name.as_str(), pod.node.as_deref()), ("cart-0", Some("n2")));
        assert_eq!(pod.started.unwrap().rfc3339(), "2026-11-28T04:00:00Z");
        assert!(!pod.has_ended && !pod.on_host_network && !seen.has_more);
    }

    #[tokio::test]
    async fn what_is_not_certain_is_not_left_out() {
        let two = list(&[pod("0f-1", ""), pod("0f-2", "")], "x");
        let seen = answer(two).await;
        assert_eq!((seen.pods.len(), seen.has_more), (2, true));
        let three = list(&[pod("0f-1", ""), pod("0f-2", ""), pod("0f-3", "")], "");
        assert!(answer(three).await.has_more, "a cache knows no limit");
        let unnamed = answer(list(&[pod("0f-1", ""), pod("not a uid", "")], "")).await;
        assert!(unnamed.has_more, "there is another pod, whatever its name");
        let ended = answer(list(&[pod("0f-1", r#""status":{"phase":"Failed"},"#)], "")).await;
        assert!(ended.pods[0].has_ended && ended.pods[0].started.is_none());
        assert!(answer(list(&[], "")).await.pods.is_empty());
    }

    #[tokio::test]
    async fn a_request_that_fails_is_reported() {
        for (code, body) in [(403, status(403, "forbidden")), (503, String::new())] {
            let (all, _) = observed(code, body).await;
            let Observation::Source(state) = &all[0] else { panic!("{all:?}") };
            assert_eq!(state.source, "podaddresses");
            assert!(state.degraded.as_ref().unwrap().contains("does not see which pod of another"));
        }
    }
}

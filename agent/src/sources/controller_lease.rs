//! The lease of kube-controller-manager: whether anybody renews it. Optional, because it takes a
//! right of its own.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use http::StatusCode;
use rand::Rng as _;
use serde::Deserialize;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::world::cluster::LeaseSeen;
use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

use super::health::{Health, Meaning, Source};
use super::send::send_all;
use crate::kubernetes::{ApiClient, ApiRequest, Error, read_body};

/// Bytes of a response. A lease has some 400.
const MAX_RESPONSE: usize = 64 << 10;
/// Bytes kept of the holder's name: a host's name and a UUID.
pub(super) const MAX_HOLDER: usize = 253;
const PATH: &str =
    "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager";

/// How often to ask.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// While the lease is renewed: the controller manager may be down for as long without harm to
    /// pods that run.
    usual: Duration,
    /// While nobody renews it, after the first answer, which alone shows nothing, and after an
    /// error.
    unchanged: Duration,
    /// Of a response.
    timeout: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            usual: Duration::from_mins(5),
            unchanged: Duration::from_mins(1),
            timeout: Duration::from_secs(30),
        }
    }
}

impl Pace {
    /// How long to wait after this answer, given the lease before; none: it failed. Jittered, so
    /// that the agents of a cluster do not ask at the same time.
    fn after(&self, answer: Option<&Option<LeaseSeen>>, before: Option<&LeaseSeen>) -> Duration {
        let is_renewed = |lease: &LeaseSeen| before.is_some_and(|before| before != lease);
        let is_settled = answer.is_some_and(|lease| lease.as_ref().is_none_or(is_renewed));
        let wait = if is_settled { self.usual } else { self.unchanged };
        wait.mul_f64(rand::rng().random_range(0.9..1.1))
    }
}

/// A lease (coordination.k8s.io/v1).
#[derive(Debug, Deserialize)]
struct Lease {
    #[serde(default)]
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    holder_identity: Option<String>,
    renew_time: Option<String>,
    lease_duration_seconds: Option<u32>,
}

/// Requests the lease until the engine drops the channel.
pub async fn run(client: Arc<ApiClient>, observations: Sender<Observation>) {
    run_at(client, observations, Pace::default()).await;
}

async fn run_at(client: Arc<ApiClient>, observations: Sender<Observation>, pace: Pace) {
    let (mut health, mut last) = (Health::new(Source::ControllerLease), None);
    loop {
        let asked = lease(&client, pace.timeout).await;
        let wait = pace.after(asked.as_ref().ok(), last.as_ref());
        last = asked.as_ref().map_or(last, Clone::clone);
        if !send_all(&observations, reported(&client, &mut health, asked)).await {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

/// What there is to report.
fn reported(
    client: &ApiClient,
    health: &mut Health,
    asked: Result<Option<LeaseSeen>, Error>,
) -> Vec<Observation> {
    let (seen, health) = match asked {
        Ok(lease) => (Some(Observation::ControllerLease(lease)), health.update(None)),
        Err(error) => {
            let text = degraded(client, &error);
            (None, health.degraded(Meaning::Api(error.kind()), text))
        }
    };
    seen.into_iter().chain(health).collect()
}

/// The lease; none if there is none.
async fn lease(client: &ApiClient, limit: Duration) -> Result<Option<LeaseSeen>, Error> {
    let response = match client.send(ApiRequest::get(PATH.to_owned()), limit).await {
        Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => return Ok(None),
        answered => answered?,
    };
    let body = read_body(response, MAX_RESPONSE, limit).await?;
    parsed(&body).map(Some)
}

/// What a response shows.
pub(super) fn parsed(body: &[u8]) -> Result<LeaseSeen, Error> {
    let Lease { spec } = serde_json::from_slice(body)
        .map_err(|error| Error::invalid(format_args!("not a lease: {error}")))?;
    let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
    Ok(LeaseSeen {
        holder: holder.map(|holder| cut(&holder)),
        renewed: spec.renew_time.as_deref().and_then(wall),
        duration: spec.lease_duration_seconds.map(|secs| Delta::from_secs(i64::from(secs))),
    })
}

fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_HOLDER)).unwrap_or_default().to_owned()
}

fn wall(rfc3339: &str) -> Option<Wall> {
    let time = DateTime::parse_from_rfc3339(rfc3339).ok()?;
    time.timestamp_nanos_opt().map(Wall::from_nanos)
}

fn degraded(client: &ApiClient, error: &Error) -> String {
    format!(
        "API server ({}): {error}; kubernetes.controller_lease needs get on the lease \
         kube-controller-manager in kube-system; until then the agent does not see whether the \
         controller manager runs",
        client.address()
    )
}

#[cfg(test)]
mod tests {
    use tokenwatch_core::world::observation::SourceState;
    use tokio::sync::mpsc::channel;

    use super::*;
    use crate::kubernetes::fake_server::{FakeServer, Reply, status};

    const FAST: Pace = Pace {
        usual: Duration::from_millis(1),
        unchanged: Duration::from_millis(1),
        timeout: Duration::from_secs(5),
    };

    fn of(holder: &str, renewed: &str) -> Reply {
        let spec = format!(
            r#"{{"holderIdentity": "{holder}", "renewTime": "{renewed}",
                "leaseDurationSeconds": 15}}"#
        );
        Reply::Whole(200, None, format!(r#"{{"kind": "Lease", "spec": {spec}}}"#))
    }

    #[tokio::test]
    async fn each_answer_is_reported_and_no_lease_is_one() {
        let replies = vec![
            of("cp-1_x", "2027-01-15T08:00:00.123456Z"),
            of("", "nonsense"),
            Reply::Whole(404, None, status(404, "leases \"kube-controller-manager\" not found")),
            Reply::Whole(403, None, status(403, "forbidden")),
            Reply::Whole(200, None, "[]".into()),
        ];
        let server = FakeServer::start(replies).await;
        let (sender, mut seen) = channel(16);
        tokio::spawn(run_at(server.client(), sender, FAST));
        let renewed = wall("2027-01-15T08:00:00.123456Z");
        let duration = Some(Delta::from_secs(15));
        let expected = [
            Some(LeaseSeen { holder: Some("cp-1_x".into()), renewed, duration }),
            Some(LeaseSeen { holder: None, renewed: None, duration }),
            None,
        ];
        let mut leases = Vec::new();
        while leases.len() < expected.len() {
            match seen.recv().await.unwrap() {
                Observation::ControllerLease(lease) => leases.push(lease),
                Observation::Source(SourceState { degraded: None, .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(leases, expected);
        let why = match seen.recv().await.unwrap() {
            Observation::Source(SourceState { degraded, .. }) => degraded.unwrap(),
            other => panic!("{other:?}"),
        };
        assert!(why.contains("kubernetes.controller_lease needs get on the lease"), "{why}");
        assert!(server.requests().iter().all(|request| request.path == PATH));
    }
}

//! Service accounts, one at a time, and only those that the engine queries. Nothing is listed or
//! watched.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use rand::Rng as _;
use serde::Deserialize;
use tokenwatch_core::world::cluster::{AccountName, AccountSeen};
use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::timeout;

use super::health::{Health, Meaning, Source};
use super::send::send_all;
use crate::kubernetes::{ApiClient, ApiRequest, Error, percent_encoded, read_body};

/// Queries that may wait: as many accounts as the core keeps. The engine repeats a query that does
/// not fit.
pub const QUEUE: usize = 256;
/// Timeout of a response, as for pods: the API server waits up to 3 s for its cache, and flow
/// control queues a request for up to 15 s.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a response. The largest object in etcd has 1.5 MB.
const MAX_RESPONSE: usize = 2 << 20;
/// Time between two requests, on average. When rotation stops everywhere at once, 5,000 nodes send
/// 1,000 requests a second and no more.
const SPACING: Duration = Duration::from_secs(5);
/// A failed query is repeated after this, even if the engine has not repeated it: the source must
/// notice when it works again.
const RETRY: Duration = Duration::from_mins(5);

/// A service account, reduced to its UID.
#[derive(Debug, Deserialize)]
struct Object {
    metadata: Meta,
}

#[derive(Debug, Deserialize)]
struct Meta {
    uid: String,
}

/// Answers queries until the engine drops either channel.
pub async fn run(
    client: Arc<ApiClient>,
    queries: Receiver<AccountName>,
    observations: Sender<Observation>,
) {
    run_at(client, queries, observations, Pace { spacing: SPACING, retry: RETRY }).await;
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    spacing: Duration,
    retry: Duration,
}

async fn run_at(
    client: Arc<ApiClient>,
    queries: Receiver<AccountName>,
    observations: Sender<Observation>,
    pace: Pace,
) {
    let mut queue = QueryQueue::new(queries, pace.retry);
    let mut health = Health::new(Source::ServiceAccounts);
    while let Some(account) = queue.next().await
        && send_all(&observations, answer(&client, account, &mut queue, &mut health).await).await
    {
        tokio::time::sleep(jittered(pace.spacing)).await;
    }
}

/// What there is to report after a query. A failed query is kept, to be repeated.
async fn answer(
    client: &ApiClient,
    account: AccountName,
    queue: &mut QueryQueue,
    health: &mut Health,
) -> Vec<Observation> {
    let (seen, health) = match look_up(client, account.clone()).await {
        Ok(seen) => (Some(Observation::ServiceAccount(seen)), health.update(None)),
        Err(error) => {
            let text = degraded(client, &error);
            (None, health.degraded(Meaning::Api(error.kind()), text))
        }
    };
    queue.failed = seen.is_none().then_some(account);
    seen.into_iter().chain(health).collect()
}

/// The same text for every account, so that it is reported once.
fn degraded(client: &ApiClient, error: &Error) -> String {
    format!(
        "API server ({}): {error}; findings may not name the cause of a late token, and the agent \
         retries within five minutes",
        client.address()
    )
}

/// Queries in the order in which they came, each account once.
struct QueryQueue {
    queries: Receiver<AccountName>,
    waiting: VecDeque<AccountName>,
    /// The last query, if it failed.
    failed: Option<AccountName>,
    retry: Duration,
}

impl QueryQueue {
    fn new(queries: Receiver<AccountName>, retry: Duration) -> Self {
        Self { queries, waiting: VecDeque::new(), failed: None, retry }
    }

    /// The next query; none once the engine has dropped the channel.
    async fn next(&mut self) -> Option<AccountName> {
        if self.waiting.is_empty() {
            let first = self.wait().await?;
            self.push(first);
        }
        while let Ok(account) = self.queries.try_recv() {
            self.push(account);
        }
        self.waiting.pop_front()
    }

    async fn wait(&mut self) -> Option<AccountName> {
        let Some(failed) = self.failed.take() else { return self.queries.recv().await };
        timeout(self.retry, self.queries.recv()).await.unwrap_or(Some(failed))
    }

    fn push(&mut self, account: AccountName) {
        if !self.waiting.contains(&account) {
            self.waiting.push_back(account);
        }
    }
}

/// Nodes that send a request at the same time do not send the next one at the same time.
fn jittered(spacing: Duration) -> Duration {
    spacing.mul_f64(rand::rng().random_range(0.5..=1.5))
}

async fn look_up(client: &ApiClient, account: AccountName) -> Result<AccountSeen, Error> {
    match get(client, &account).await {
        Ok(uid) => Ok(AccountSeen { account, uid: Some(uid) }),
        Err(error) if is_not_found(&error, &account) => Ok(AccountSeen { account, uid: None }),
        Err(error) => Err(error),
    }
}

/// The account's UID.
async fn get(client: &ApiClient, account: &AccountName) -> Result<String, Error> {
    let path = format!(
        "/api/v1/namespaces/{}/serviceaccounts/{}",
        percent_encoded(&account.namespace),
        percent_encoded(&account.name)
    );
    let response = client.send(ApiRequest::get(path), TIMEOUT).await?;
    let body = read_body(response, MAX_RESPONSE, TIMEOUT).await?;
    let object: Object = serde_json::from_slice(&body)
        .map_err(|error| Error::Invalid(format!("not a service account: {error}")))?;
    Ok(object.metadata.uid)
}

/// A proxy can respond 404 as well. The account counts as missing only with the API server's own
/// message (apimachinery, NewNotFound).
fn is_not_found(error: &Error, account: &AccountName) -> bool {
    match error {
        Error::Refused { status, message, .. } => {
            *status == StatusCode::NOT_FOUND
                && *message == format!("serviceaccounts \"{}\" not found", account.name)
        }
        Error::Configuration(_) | Error::Connection(_) | Error::Invalid(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use tokenwatch_core::world::observation::SourceState;
    use tokio::sync::mpsc::channel;

    use super::*;
    use crate::kubernetes::fake_server::{FakeServer, Reply, status};

    const AT_ONCE: Pace = Pace { spacing: Duration::ZERO, retry: Duration::ZERO };

    fn named(name: &str) -> AccountName {
        AccountName { namespace: "shop".into(), name: name.into() }
    }

    /// All observations when these are the responses to as many queries, for shop/a, shop/b and so
    /// on.
    async fn observed(replies: Vec<Reply>) -> (Vec<Observation>, FakeServer) {
        let names: Vec<String> = ('a'..).take(replies.len()).map(String::from).collect();
        let fake = FakeServer::start(replies).await;
        let (queries, receiver) = channel(QUEUE);
        let (sender, mut observations) = channel(QUEUE);
        for name in names.iter().chain(&names) {
            queries.send(named(name)).await.unwrap();
        }
        drop(queries);
        run_at(fake.client(), receiver, sender, AT_ONCE).await;
        let mut all = Vec::new();
        while let Some(observation) = observations.recv().await {
            all.push(observation);
        }
        (all, fake)
    }

    fn seen(name: &str, uid: Option<&str>) -> Observation {
        Observation::ServiceAccount(AccountSeen { account: named(name), uid: uid.map(Into::into) })
    }

    fn degraded(observation: &Observation) -> Option<&Option<String>> {
        if let Observation::Source(SourceState { source, degraded }) = observation {
            (source == "serviceaccounts").then_some(degraded)
        } else {
            None
        }
    }

    fn whole(code: u16, body: &str) -> Reply {
        Reply::Whole(code, None, body.to_owned())
    }

    #[tokio::test]
    async fn uid_and_absence_are_observed_with_one_request_per_account() {
        let object = r#"{"kind": "ServiceAccount", "metadata": {"name": "a", "uid": "u-1"},
            "secrets": [{"name": "x"}]}"#;
        let none = whole(404, &status(404, r#"serviceaccounts \"b\" not found"#));
        let (all, fake) = observed(vec![whole(200, object), none]).await;
        assert_eq!((&all[0], &all[2], all.len()), (&seen("a", Some("u-1")), &seen("b", None), 3));
        assert_eq!(degraded(&all[1]), Some(&None), "that it works is reported once");
        let requests: Vec<String> = fake
            .requests()
            .into_iter()
            .map(|request| format!("{} {}", request.method, request.path))
            .collect();
        assert_eq!(
            requests,
            [
                "GET /api/v1/namespaces/shop/serviceaccounts/a",
                "GET /api/v1/namespaces/shop/serviceaccounts/b"
            ]
        );
    }

    #[tokio::test]
    async fn only_the_api_servers_own_message_means_absence() {
        let replies = [
            whole(404, "<html>not found</html>"),
            whole(404, &status(404, "the server could not find the requested resource")),
            whole(404, &status(404, r#"serviceaccounts \"other\" not found"#)),
            whole(200, "{}"),
            whole(200, r#"{"metadata": {"uid": 7}}"#),
            Reply::Cut(vec!["{".into()]),
        ];
        for reply in replies {
            let all = observed(vec![reply]).await.0;
            assert!(all.len() == 1 && degraded(&all[0]).is_some_and(Option::is_some), "{all:?}");
        }
    }

    #[tokio::test]
    async fn a_missing_permission_is_reported_once_with_its_remedy() {
        let refused = || whole(403, &status(403, "serviceaccounts is forbidden"));
        let all = observed(vec![refused(), refused(), whole(200, r#"{"metadata": {"uid": "u"}}"#)])
            .await
            .0;
        let why = degraded(&all[0]).unwrap().as_ref().unwrap();
        assert!(why.contains("403 Forbidden") && why.contains("get on serviceaccounts"), "{why}");
        assert_eq!(
            (&all[1], degraded(&all[2]), all.len()),
            (&seen("c", Some("u")), Some(&None), 3)
        );
    }

    #[tokio::test]
    async fn a_failed_query_is_repeated() {
        let fake =
            FakeServer::start(vec![whole(503, ""), whole(200, r#"{"metadata": {"uid": "u"}}"#)])
                .await;
        let (queries, receiver) = channel(QUEUE);
        let (sender, mut observations) = channel(QUEUE);
        queries.send(named("a")).await.unwrap();
        let source = tokio::spawn(run_at(fake.client(), receiver, sender, AT_ONCE));
        assert!(degraded(&observations.recv().await.unwrap()).is_some_and(Option::is_some));
        assert_eq!(observations.recv().await, Some(seen("a", Some("u"))));
        assert_eq!(degraded(&observations.recv().await.unwrap()), Some(&None), "it works again");
        drop(queries);
        source.await.unwrap();
    }

    #[tokio::test]
    async fn queries_are_answered_in_order() {
        let (queries, receiver) = channel(QUEUE);
        let mut queue = QueryQueue::new(receiver, Duration::ZERO);
        for name in ["z", "a", "z", "m"] {
            queries.send(named(name)).await.unwrap();
        }
        assert_eq!(queue.next().await, Some(named("z")));
        queries.send(named("a")).await.unwrap();
        queries.send(named("z")).await.unwrap();
        for name in ["a", "m", "z"] {
            assert_eq!(queue.next().await, Some(named(name)));
        }
    }

    #[tokio::test]
    async fn hostile_names_stay_within_the_path() {
        let fake = FakeServer::start(vec![whole(200, "{}")]).await;
        let (queries, receiver) = channel(QUEUE);
        let (sender, _observations) = channel(1);
        queries
            .send(AccountName { namespace: "../..".into(), name: "a/b?c=d#e\n".into() })
            .await
            .unwrap();
        drop(queries);
        run_at(fake.client(), receiver, sender, AT_ONCE).await;
        assert_eq!(
            fake.requests()[0].path,
            "/api/v1/namespaces/..%2F../serviceaccounts/a%2Fb%3Fc%3Dd%23e%0A"
        );
    }
}

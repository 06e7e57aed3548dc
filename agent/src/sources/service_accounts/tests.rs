//! What is requested, and what each response means.

use tokenwatch_core::world::cluster::AccountSeen;
use tokenwatch_core::world::observation::SourceState;
use tokio::sync::mpsc::channel;

use super::queue::QueryQueue;
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
    run_at(fake.client(), receiver, sender, Followed::default(), AT_ONCE).await;
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
async fn only_the_metadata_is_requested_and_the_whole_object_serves_as_well() {
    let reduced = r#"{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"name": "a", "uid": "u-1"}}"#;
    let object = r#"{"kind": "ServiceAccount", "metadata": {"name": "b", "uid": "u-2"},
        "secrets": [{"name": "x"}], "automountServiceAccountToken": true}"#;
    let (all, fake) = observed(vec![whole(200, reduced), whole(200, object)]).await;
    assert_eq!((&all[0], &all[2]), (&seen("a", Some("u-1")), &seen("b", Some("u-2"))));
    for request in fake.requests() {
        assert_eq!(
            request.accept,
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
        );
    }
}

#[tokio::test]
async fn an_account_that_is_being_deleted_counts_as_missing() {
    let object = r#"{"metadata": {"uid": "u", "deletionTimestamp": "2026-11-28T10:00:00Z",
        "finalizers": ["example.org/slow"]}}"#;
    assert_eq!(observed(vec![whole(200, object)]).await.0[0], seen("a", None));
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
    let all =
        observed(vec![refused(), refused(), whole(200, r#"{"metadata": {"uid": "u"}}"#)]).await.0;
    let why = degraded(&all[0]).unwrap().as_ref().unwrap();
    assert!(why.contains("403 Forbidden") && why.contains("get on serviceaccounts"), "{why}");
    assert_eq!((&all[1], degraded(&all[2]), all.len()), (&seen("c", Some("u")), Some(&None), 3));
}

#[tokio::test]
async fn a_failed_query_is_repeated() {
    let fake =
        FakeServer::start(vec![whole(503, ""), whole(200, r#"{"metadata": {"uid": "u"}}"#)]).await;
    let (queries, receiver) = channel(QUEUE);
    let (sender, mut observations) = channel(QUEUE);
    queries.send(named("a")).await.unwrap();
    let source =
        tokio::spawn(run_at(fake.client(), receiver, sender, Followed::default(), AT_ONCE));
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
    run_at(fake.client(), receiver, sender, Followed::default(), AT_ONCE).await;
    assert_eq!(
        fake.requests()[0].path,
        "/api/v1/namespaces/..%2F../serviceaccounts/a%2Fb%3Fc%3Dd%23e%0A"
    );
}

fn names(count: usize) -> Vec<AccountName> {
    (0..count).map(|number| named(&format!("a{number}"))).collect()
}

#[tokio::test]
async fn many_accounts_are_requested_at_once_within_the_time_limit() {
    let object = || whole(200, r#"{"metadata": {"uid": "u"}}"#);
    let fake = FakeServer::start((0..40).map(|_| object()).collect()).await;
    let answers = ask(&fake.client(), names(40), Duration::from_secs(20)).await;
    assert_eq!((answers.seen.len(), answers.missing, answers.error), (40, 0, None));
    let silent = FakeServer::start(vec![object()]).await; // one response, and then none
    let answers = ask(&silent.client(), names(40), Duration::from_millis(500)).await;
    assert_eq!((answers.seen.len(), answers.missing), (1, 39));
    assert!(silent.requests().len() <= 9, "no more than eight wait at the same time");
    let refused = FakeServer::start(vec![whole(403, &status(403, "forbidden"))]).await;
    let answers = ask(&refused.client(), names(1), Duration::from_secs(20)).await;
    let why = answers.error.map(|error| error.to_string()).unwrap_or_default();
    assert!(answers.missing == 1 && why.contains("get on serviceaccounts"), "{why}");
}

const LIST: &str = r#"{"metadata": {"resourceVersion": "100", "continue": "x"}, "items": []}"#;
const PACE: object_watch::Pace = object_watch::Pace {
    head: Duration::from_secs(10),
    silence: Duration::from_millis(500),
    watch: Duration::from_secs(290),
    pause: Duration::from_millis(1),
};

fn change(kind: &str, name: &str, version: u32) -> String {
    format!(
        r#"{{"type": "{kind}", "object": {{"metadata": {{"namespace": "shop", "name": "{name}",
            "uid": "uid-{name}", "resourceVersion": "{version}"}}}}}}"#
    )
    .replace('\n', "")
        + "\n"
}

/// What the watch reports with these responses, and the server.
async fn watched(replies: Vec<Reply>, count: usize) -> (Vec<Observation>, FakeServer) {
    let fake = FakeServer::start(replies).await;
    let (sender, mut observations) = channel(QUEUE);
    let followed = Followed::default();
    followed.add(&named("cart"));
    let source = tokio::spawn(watch::run(fake.client(), sender, followed, PACE));
    let mut all = Vec::new();
    while all.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(20), observations.recv()).await;
        all.push(next.expect("an observation within 20 s").unwrap());
    }
    source.abort();
    (all, fake)
}

fn works() -> Observation {
    let source = "accountwatch".to_owned();
    Observation::Source(SourceState { source, degraded: None })
}

#[tokio::test]
async fn a_watch_reports_the_changes_of_followed_accounts_alone() {
    let events = [
        change("ADDED", "other", 101),
        change("DELETED", "cart", 102),
        change("BOOKMARK", "", 103),
        change("ADDED", "cart", 104),
    ];
    let (all, fake) = watched(vec![whole(200, LIST), Reply::Open(vec![events.concat()])], 3).await;
    assert_eq!(all, [works(), seen("cart", None), seen("cart", Some("uid-cart"))]);
    let requests = fake.requests();
    assert_eq!(requests[0].path, "/api/v1/serviceaccounts?limit=1", "nothing else is listed");
    assert!(requests[0].accept.starts_with("application/json;as=PartialObjectMetadataList;"));
    let watch = &requests[1];
    assert!(watch.path.contains("watch=true") && watch.path.contains("resourceVersion=100"));
    assert!(watch.accept.starts_with("application/json;as=PartialObjectMetadata;"));
}

#[tokio::test]
async fn a_watch_continues_where_it_ended_and_starts_again_where_it_expired() {
    let expired = whole(410, &status(410, "too old resource version"));
    let list = LIST.replace("100", "300");
    let replies = vec![
        whole(200, LIST),
        Reply::Ended(vec![change("DELETED", "cart", 150)]),
        expired,
        whole(200, &list),
        Reply::Open(vec![change("ADDED", "cart", 301)]),
    ];
    let (all, fake) = watched(replies, 3).await;
    assert_eq!(all, [works(), seen("cart", None), seen("cart", Some("uid-cart"))]);
    let paths: Vec<String> = fake.requests().into_iter().map(|request| request.path).collect();
    assert!(paths[2].contains("resourceVersion=150"), "{paths:?}");
    assert!(paths[3].ends_with("limit=1") && paths[4].contains("resourceVersion=300"), "{paths:?}");
}

#[tokio::test]
async fn a_watch_that_is_refused_names_its_setting_and_its_rights() {
    let (all, _) = watched(vec![whole(403, &status(403, "forbidden"))], 1).await;
    let Observation::Source(SourceState { source, degraded: Some(why) }) = &all[0] else {
        panic!("{all:?}")
    };
    assert_eq!(source, "accountwatch");
    assert!(why.contains("kubernetes.account_watch needs list and watch"), "{why}");
}

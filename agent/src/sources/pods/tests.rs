//! With an API server that is slow, wrong, overloaded or unreachable.

use tokenwatch_core::world::cluster::Pod;
use tokenwatch_core::world::observation::SourceState;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;

use super::*;
use crate::kubernetes::fake_server::{FakeServer, Received, Reply, status};

/// The real pace with short timeouts.
const PACE: Pace = Pace {
    head: Duration::from_millis(500),
    list: Duration::from_millis(500),
    silence: Duration::from_millis(500),
    watch: Duration::from_secs(290),
    short: Duration::from_secs(30),
};

struct Scene {
    fake: FakeServer,
    observations: Receiver<Observation>,
    source: JoinHandle<()>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.source.abort();
    }
}

impl Scene {
    async fn at(pace: Pace, replies: Vec<Reply>) -> Self {
        let fake = FakeServer::start(replies).await;
        let (sender, observations) = channel(64);
        let source = tokio::spawn(run_at(fake.client(), "n 1".to_owned(), sender, pace));
        Self { fake, observations, source }
    }

    async fn set(replies: Vec<Reply>) -> Self {
        Self::at(PACE, replies).await
    }

    async fn next(&mut self) -> Observation {
        tokio::time::timeout(Duration::from_secs(20), self.observations.recv())
            .await
            .expect("nothing was observed in 20 s")
            .unwrap()
    }

    /// The next observation of the cluster; the source's health is skipped.
    async fn seen(&mut self) -> ClusterSeen {
        loop {
            if let Observation::Cluster(seen) = self.next().await {
                return seen;
            }
        }
    }

    async fn unreachable(&mut self) -> String {
        loop {
            if let ClusterSeen::Unreachable { reason } = self.seen().await {
                return reason;
            }
        }
    }
}

fn object(name: &str, version: u32) -> String {
    let names = format!(r#""name": "{name}", "namespace": "n", "uid": "uid-{name}""#);
    let metadata = format!(r#"{{{names}, "resourceVersion": "{version}"}}"#);
    format!(r#"{{"metadata": {metadata}, "spec": {{}}, "status": {{}}}}"#)
}

fn pod(name: &str) -> Pod {
    Pod {
        uid: format!("uid-{name}"),
        name: name.to_owned(),
        namespace: "n".to_owned(),
        ..Pod::default()
    }
}

fn list(version: u32, names: &[&str]) -> Reply {
    page(version, "", names)
}

fn page(version: u32, next: &str, names: &[&str]) -> Reply {
    let items: Vec<String> = names.iter().map(|name| object(name, 1)).collect();
    let items = items.join(",");
    let metadata = format!(r#"{{"resourceVersion": "{version}", "continue": "{next}"}}"#);
    Reply::Whole(
        200,
        None,
        format!(r#"{{"kind": "PodList", "metadata": {metadata}, "items": [{items}]}}"#),
    )
}

fn event(kind: &str, object: &str) -> String {
    format!("{{\"type\": \"{kind}\", \"object\": {object}}}\n")
}

fn bookmark(version: u32) -> String {
    let metadata = format!(r#"{{"resourceVersion": "{version}", "creationTimestamp": null}}"#);
    let spec = r#"{"containers": null}"#;
    event("BOOKMARK", &format!(r#"{{"kind": "Pod", "metadata": {metadata}, "spec": {spec}}}"#))
}

fn query(request: &Received, name: &str) -> Option<String> {
    request
        .path
        .split(['?', '&'])
        .find_map(|part| part.strip_prefix(&format!("{name}=")).map(ToOwned::to_owned))
}

fn from(request: &Received) -> Option<String> {
    query(request, "resourceVersion")
}

fn is_watch(request: &Received) -> bool {
    query(request, "watch").is_some()
}

#[tokio::test]
async fn a_list_then_what_changes() {
    let events = vec![
        event("ADDED", &object("b", 11)) + &event("MODIFIED", &object("a", 12)),
        event("DELETED", &object("b", 13)),
        bookmark(14),
    ];
    let mut scene = Scene::set(vec![list(10, &["a"]), Reply::Open(events)]).await;
    assert_eq!(scene.seen().await, ClusterSeen::Listed(vec![pod("a")]));
    assert_eq!(scene.seen().await, ClusterSeen::Unchanged);
    assert_eq!(scene.seen().await, ClusterSeen::Pod(Box::new(pod("b"))));
    assert_eq!(scene.seen().await, ClusterSeen::Pod(Box::new(pod("a"))));
    assert_eq!(scene.seen().await, ClusterSeen::PodGone("uid-b".to_owned()));
    assert_eq!(scene.seen().await, ClusterSeen::Unchanged);
    let requests = scene.fake.requests();
    assert_eq!(
        requests[0].path,
        "/api/v1/pods?fieldSelector=spec.nodeName%3Dn%201&limit=100&resourceVersion=0"
    );
    assert_eq!(
        (from(&requests[1]).as_deref(), query(&requests[1], "allowWatchBookmarks").as_deref()),
        (Some("10"), Some("true"))
    );
    let lasting: u64 = query(&requests[1], "timeoutSeconds").unwrap().parse().unwrap();
    assert!((260..=290).contains(&lasting), "{lasting}");
}

#[tokio::test]
async fn a_node_without_pods_is_degraded_until_there_is_one() {
    let mut scene = Scene::set(vec![list(10, &[]), Reply::Open(vec![bookmark(11)])]).await;
    assert_eq!(scene.next().await, Observation::Cluster(ClusterSeen::Listed(vec![])));
    let Observation::Source(SourceState { degraded: Some(why), .. }) = scene.next().await else {
        panic!("an empty list counts as degraded")
    };
    assert!(why.contains("no pod on node \"n 1\"") && why.contains("NODE_NAME"), "{why}");
    assert_eq!(
        (scene.seen().await, scene.seen().await),
        (ClusterSeen::Unchanged, ClusterSeen::Unchanged),
        "and that is reported once"
    );
    scene.fake.send(&event("ADDED", &object("a", 12)));
    assert_eq!(scene.next().await, Observation::Cluster(ClusterSeen::Pod(Box::new(pod("a")))));
    assert_eq!(
        scene.next().await,
        Observation::Source(SourceState { source: "apiserver".to_owned(), degraded: None })
    );
}

#[tokio::test]
async fn the_next_watch_continues_where_the_last_one_ended() {
    let ends = [
        Reply::Ended(vec![bookmark(20)]),
        Reply::Cut(vec![event("ADDED", &object("b", 30))]),
        Reply::Open(vec![]),
    ];
    let mut scene = Scene::set([list(10, &["a"])].into_iter().chain(ends).collect()).await;
    let requests = scene.fake.wait_for_requests(4).await;
    assert_eq!(requests.iter().filter(|request| !is_watch(request)).count(), 1, "listed once");
    assert_eq!(
        requests.iter().map(from).collect::<Vec<_>>(),
        ["0", "10", "20", "30"].map(|version| Some(version.to_owned()))
    );
    for _ in 0..6 {
        let observed = scene.next().await;
        assert!(
            !matches!(observed, Observation::Cluster(ClusterSeen::Unreachable { .. })),
            "the end of a watch is no failure: {observed:?}"
        );
    }
}

#[tokio::test]
async fn a_silent_watch_is_replaced() {
    let scene =
        Scene::set(vec![list(10, &[]), Reply::Open(vec![bookmark(20)]), Reply::Open(vec![])]).await;
    assert_eq!(from(&scene.fake.wait_for_requests(3).await[2]).as_deref(), Some("20"));
}

#[tokio::test]
async fn after_an_expired_version_the_most_recent_list_is_read() {
    let gone = event("ERROR", &status(410, "too old resource version: 10 (99)"));
    let mut scene = Scene::set(vec![
        list(10, &["a"]),
        Reply::Open(vec![gone]),
        page(50, "to/ken", &["a"]),
        page(50, "", &["b"]),
        Reply::Whole(410, None, status(410, "Expired")),
        list(60, &["c"]),
        Reply::Open(vec![]),
    ])
    .await;
    assert_eq!(scene.seen().await, ClusterSeen::Listed(vec![pod("a")]));
    assert_eq!(scene.seen().await, ClusterSeen::Unchanged);
    assert_eq!(
        scene.seen().await,
        ClusterSeen::Listed(vec![pod("a"), pod("b")]),
        "both pages, and no failure is reported"
    );
    assert_eq!(scene.seen().await, ClusterSeen::Listed(vec![pod("c")]));
    let requests = scene.fake.wait_for_requests(7).await;
    assert_eq!((from(&requests[2]), query(&requests[2], "limit").as_deref()), (None, Some("100")));
    assert_eq!(
        (from(&requests[3]), query(&requests[3], "continue").as_deref()),
        (None, Some("to%2Fken"))
    );
    assert_eq!((is_watch(&requests[4]), from(&requests[6]).as_deref()), (true, Some("60")));
}

#[tokio::test]
async fn a_list_that_has_always_expired_is_a_failure() {
    let gone = || Reply::Whole(410, None, status(410, "Expired"));
    let mut scene = Scene::set(vec![gone(), gone()]).await;
    let reason = scene.unreachable().await;
    assert!(reason.contains("410 Gone"), "{reason}");
}

#[tokio::test]
async fn a_failure_is_reported_with_its_reason_and_recovers() {
    let table = [
        (Reply::Whole(401, None, status(401, "Unauthorized")), "401 Unauthorized"),
        (Reply::Whole(403, None, status(403, "pods is forbidden")), "pods is forbidden"),
        (Reply::Whole(500, None, String::new()), "500 Internal Server Error"),
        (Reply::Whole(200, None, "garbage".to_owned()), "not a list of pods"),
        (
            Reply::Whole(200, None, r#"{"metadata": {}, "items": []}"#.to_owned()),
            "a list without resourceVersion",
        ),
        (Reply::Whole(200, None, " ".repeat(13 << 20)), "larger than 12288 KiB"),
        (Reply::Silence, "no response within"),
        (Reply::Open(vec!["{".to_owned()]), "was not complete within"),
        (Reply::Cut(vec!["{".to_owned()]), "connection failed"),
    ];
    for (reply, why) in table {
        let pace = Pace { head: Duration::from_secs(1), list: Duration::from_secs(2), ..PACE };
        let mut scene = Scene::at(pace, vec![reply, list(10, &["a"]), Reply::Open(vec![])]).await;
        let first = scene.next().await;
        let Observation::Cluster(ClusterSeen::Unreachable { reason }) = &first else {
            panic!("{why}: {first:?}")
        };
        assert!(
            reason.contains(why) && reason.contains(&format!("127.0.0.1:{}", scene.fake.port)),
            "{reason}"
        );
        let Observation::Source(state) = scene.next().await else { panic!("{why}: no state") };
        assert!(
            state.source == "apiserver"
                && state.degraded.unwrap().contains("findings use the last known pods")
        );
        assert_eq!(
            scene.seen().await,
            ClusterSeen::Listed(vec![pod("a")]),
            "{why}: it recovers by itself"
        );
        let state = scene.next().await;
        assert!(
            matches!(&state, Observation::Source(SourceState { degraded: None, .. })),
            "{state:?}"
        );
    }
}

#[tokio::test]
async fn a_failure_in_a_watch_is_reported_and_the_next_watch_continues() {
    let table = [
        (event("ERROR", &status(500, "etcdserver: no leader")), "no leader"),
        ("{\"type\": \"ADDED\"}\n".to_owned(), "not an event of a watch"),
        (event("ADDED", "{}"), "it has no resourceVersion"),
        (event("INVENTED", &object("a", 12)), "its type is unknown"),
        ("\u{0}\n".to_owned(), "not an event of a watch"),
        ("x".repeat(5 << 20), "an event of more than 4 MiB"),
    ];
    for (line, why) in table {
        let mut scene = Scene::set(vec![
            list(10, &[]),
            Reply::Open(vec![bookmark(11), line]),
            Reply::Open(vec![]),
        ])
        .await;
        let reason = scene.unreachable().await;
        assert!(reason.contains(why), "{reason}");
        assert_eq!(from(&scene.fake.wait_for_requests(3).await[2]).as_deref(), Some("11"), "{why}");
    }
}

#[tokio::test]
async fn the_same_failure_is_reported_once() {
    let refused = || Reply::Whole(403, None, status(403, "no"));
    let mut scene = Scene::set(vec![refused(), refused(), list(10, &[])]).await;
    let mut seen = Vec::new();
    while !matches!(seen.last(), Some(Observation::Cluster(ClusterSeen::Listed(_)))) {
        seen.push(scene.next().await);
    }
    assert_eq!(seen.len(), 3, "unreachable, degraded, listed: {seen:#?}");
}

#[tokio::test]
async fn retry_after_is_obeyed() {
    let fake_busy = Reply::Whole(429, Some("3"), "Too many requests".to_owned());
    let mut scene = Scene::set(vec![fake_busy, list(10, &[])]).await;
    assert!(scene.unreachable().await.contains("Too many requests"));
    let began = clocks::timer();
    let _ = scene.seen().await;
    assert!(
        began.elapsed() >= Duration::from_millis(2_900),
        "repeated after {:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn short_watches_are_repeated_with_backoff() {
    let ended = (0..20).map(|_| Reply::Ended(vec![]));
    let scene = Scene::set([list(10, &[])].into_iter().chain(ended).collect()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let requests = scene.fake.requests().len();
    assert!(
        (3..=5).contains(&requests),
        "{requests} requests in 3 s: a list, and watches after waits of up to 1, 2 and 4 s"
    );
}

#[tokio::test]
async fn a_replaced_token_is_used_after_a_401() {
    let mut scene =
        Scene::set(vec![Reply::Whole(401, None, status(401, "Unauthorized")), list(10, &[])]).await;
    let _ = scene.unreachable().await;
    std::fs::write(scene.fake.account.join("token"), "second").unwrap();
    assert_eq!(scene.seen().await, ClusterSeen::Listed(vec![]));
    let requests = scene.fake.requests();
    assert_eq!(
        (requests[0].authorization.as_str(), requests[1].authorization.as_str()),
        ("Bearer first", "Bearer second")
    );
}

#[tokio::test]
async fn it_ends_when_the_receiver_is_dropped() {
    let mut scene = Scene::set(vec![list(10, &[]), Reply::Open(vec![bookmark(11)])]).await;
    scene.observations.close();
    while scene.observations.recv().await.is_some() {}
    scene.fake.then(Reply::Open(vec![bookmark(12)]));
    tokio::time::timeout(Duration::from_secs(20), &mut scene.source).await.unwrap().unwrap();
}

//! A watch through its ends: of a list, of a version, of a connection, of an event.

use tokenwatch_core::world::observation::SourceState;
use tokio::sync::mpsc::channel;

use super::*;
use crate::kubernetes::fake_server::{FakeServer, Reply, status};

/// Objects of which only the version counts.
#[derive(Default)]
struct Versions(Vec<(Change, String)>);

#[derive(Deserialize)]
struct Object {
    metadata: ListMeta,
}

impl Watched for Versions {
    const ABOUT: About = About {
        source: Source::PodEvents,
        name: "things",
        path: "/api/v1/things?fieldSelector=a%3Db",
        is_metadata: false,
        failed: "they are not seen",
    };

    fn take(&mut self, change: Change, object: &str) -> serde_json::Result<String> {
        let version = serde_json::from_str::<Object>(object)?.metadata.resource_version;
        self.0.push((change, version.clone()));
        Ok(version)
    }

    fn report(&mut self) -> Vec<Observation> {
        let text = |(change, version)| format!("{change:?} {version}");
        let seen = std::mem::take(&mut self.0).into_iter().map(text);
        seen.map(|text| Observation::WithoutTokens(vec![text])).collect()
    }
}

const LIST: &str = r#"{"metadata": {"resourceVersion": "100"}, "items": [{"kind": "Thing"}]}"#;

fn event(kind: &str, version: &str) -> String {
    let object = format!(r#"{{"metadata":{{"resourceVersion":"{version}"}}}}"#);
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

fn list() -> Reply {
    Reply::Whole(200, None, LIST.to_owned())
}

/// The first so many observations as text, and the paths of the requests.
async fn watched(replies: Vec<Reply>, count: usize) -> (Vec<String>, Vec<String>) {
    let fake = FakeServer::start(replies).await;
    let (sender, mut observations) = channel(16);
    let pace = Pace {
        head: Duration::from_millis(500),
        silence: Duration::from_millis(500),
        pause: Duration::from_millis(1),
        ..Pace::default()
    };
    let source = tokio::spawn(run(fake.client(), Versions::default(), sender, pace));
    let mut all = Vec::new();
    while all.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(20), observations.recv()).await;
        all.push(match next.expect("an observation within 20 s").unwrap() {
            Observation::WithoutTokens(text) => text.concat(),
            Observation::Source(SourceState { degraded, .. }) => degraded.unwrap_or_default(),
            other => panic!("{other:?}"),
        });
    }
    source.abort();
    (all, fake.requests().into_iter().map(|request| request.path).collect())
}

#[tokio::test]
async fn each_change_is_reported_once_with_what_it_is() {
    let events = [
        event("ADDED", "101"),
        event("MODIFIED", "102"),
        event("DELETED", "103"),
        event("BOOKMARK", "104"),
    ];
    let ended = Reply::Ended(vec![events.concat()]);
    let (all, paths) =
        watched(vec![list(), ended, Reply::Open(vec![event("ADDED", "105")])], 6).await;
    assert_eq!(all, ["", "Present 101", "Present 102", "Deleted 103", "None 104", "Present 105"]);
    assert_eq!(paths[0], "/api/v1/things?fieldSelector=a%3Db&limit=1");
    assert!(paths[1].starts_with("/api/v1/things?fieldSelector=a%3Db&watch=true&"), "{paths:?}");
    assert!(paths[2].contains("resourceVersion=104&"), "a bookmark moves the begin: {paths:?}");
}

/// What an API server sends before it ends a watch with an error still counts.
#[tokio::test]
async fn changes_before_an_error_within_a_watch_count() {
    let expired = format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", status(410, "too old"));
    let first = Reply::Open(vec![[event("ADDED", "101"), expired].concat()]);
    let replies = vec![list(), first, list(), Reply::Open(vec![event("ADDED", "102")])];
    let (all, paths) = watched(replies, 3).await;
    assert_eq!(all, ["", "Present 101", "Present 102"]);
    assert!(paths[2].ends_with("&limit=1"), "it starts again from now: {paths:?}");
}

#[tokio::test]
async fn what_is_no_watch_is_reported_and_tried_again() {
    let long = "9".repeat(MAX_VERSION + 1);
    let table = [
        ("not JSON\n".to_owned(), "not a watch of things: "),
        ("{\"type\":\"ADDED\",\"object\":{}}\n".to_owned(), "not a watch of things: missing field"),
        (event("BOOKMARK", ""), "it has no resourceVersion"),
        (event("BOOKMARK", &long), "it has no resourceVersion"),
    ];
    for (line, expected) in table {
        let count = if line.contains("BOOKMARK") { 3 } else { 2 };
        let (all, _) = watched(vec![list(), Reply::Open(vec![line.clone()])], count).await;
        let degraded = all.last().unwrap();
        assert!(degraded.contains(expected), "{line}: {degraded}");
        assert!(degraded.ends_with("; they are not seen"), "{degraded}");
    }
}

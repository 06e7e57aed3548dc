use tokenwatch_core::world::keys::KeySet;
use tokenwatch_core::world::observation::SourceState;
use tokio::sync::mpsc::{Receiver, channel};

use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_lab::signer::{PodIdentity, Signer, TokenRequest};

use super::*;
use crate::kubernetes::fake_server::{FakeServer, Reply, status};

const KEYS: &str = r#"{"keys": [{"kty": "RSA", "kid": "k1", "n": "x"}, {"kid": "k2"}]}"#;
const DISCOVERY: &str = r#"{"issuer": "https://issuer.example", "jwks_uri": "https://x.example"}"#;

async fn started(replies: Vec<Reply>) -> (FakeServer, Arc<Notify>, Receiver<Observation>) {
    let server = FakeServer::start(replies).await;
    let (queries, (sender, receiver)) = (Arc::new(Notify::new()), channel(8));
    tokio::spawn(run(server.client(), Arc::clone(&queries), SharedKeys::default(), sender));
    (server, queries, receiver)
}

fn whole(body: &str) -> Reply {
    Reply::Whole(200, None, body.to_owned())
}

fn set(observation: Observation) -> KeySet {
    match observation {
        Observation::Keys(KeysSeen { answer: KeysAnswer::Published(set), .. }) => set,
        other => panic!("{other:?}"),
    }
}

fn why(observation: Observation) -> Option<String> {
    match observation {
        Observation::Source(SourceState { source, degraded }) if source == "keys" => degraded,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_query_asks_three_times_for_keys_and_issuer() {
    let other = r#"{"keys": [{"kid": "k3"}]}"#;
    let bodies = [KEYS, DISCOVERY, other, "no JSON", KEYS, DISCOVERY];
    let (server, queries, mut observations) = started(bodies.map(whole).into()).await;
    queries.notify_one();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let set = set(observations.recv().await.unwrap());
        seen.push((set.ids.join(" "), set.issuer.is_some()));
    }
    let expected = [("k1 k2", true), ("k3", false), ("k1 k2", true)];
    assert_eq!(seen, expected.map(|(ids, issuer)| (ids.to_owned(), issuer)));
    assert_eq!(why(observations.recv().await.unwrap()), None);
    let paths: Vec<_> = server.requests().into_iter().map(|request| request.path).collect();
    let both = ["/openid/v1/jwks", "/.well-known/openid-configuration"];
    assert_eq!(paths, [both, both, both].concat());
}

#[tokio::test]
async fn an_error_ends_the_round() {
    let unavailable = || Reply::Whole(503, None, status(503, "no"));
    let (_server, queries, mut observations) =
        started(vec![whole(KEYS), whole(DISCOVERY), unavailable()]).await;
    queries.notify_one();
    assert_eq!(set(observations.recv().await.unwrap()).ids.len(), 2);
    assert!(why(observations.recv().await.unwrap()).unwrap().contains("503"));
}

#[tokio::test]
async fn what_is_no_key_set_is_reported_and_tells_nothing() {
    let many: Vec<_> = (0..300).map(|nth| format!(r#"{{"kid": "{nth}"}}"#)).collect();
    let table = [
        (Reply::Whole(403, None, status(403, "no")), "403 Forbidden"),
        (Reply::Whole(404, None, status(404, "no")), "404 Not Found"),
        (whole("{}"), "missing field `keys`"),
        (whole(r#"{"keys": []}"#), "0 keys"),
        (whole(r#"{"keys": [{"kty": "RSA"}]}"#), "1 keys"),
        (whole(&format!(r#"{{"keys": [{}]}}"#, many.join(","))), "300 keys"),
        (whole(&"x".repeat(600 << 10)), "invalid response"),
        // The token of this client is none: nothing is known of it.
        (Reply::Whole(401, None, status(401, "Unauthorized")), "401 Unauthorized"),
    ];
    for (reply, expected) in table {
        let (_server, queries, mut observations) = started(vec![reply, whole(DISCOVERY)]).await;
        queries.notify_one();
        let why = why(observations.recv().await.unwrap()).unwrap();
        assert!(why.contains(expected), "{why}");
        assert!(observations.try_recv().is_err(), "{expected}");
    }
}

#[tokio::test]
async fn a_refusal_has_the_claims_of_the_agents_own_token() {
    let pod = PodIdentity {
        namespace: "tokenwatch".into(),
        name: "agent-0".into(),
        service_account: "tokenwatch".into(),
        node: "n1".into(),
    };
    let request = TokenRequest {
        pod: &pod,
        audiences: &[],
        issued_at: Wall::from_secs(1_800_000_000),
        lifetime: Delta::from_secs(3_600),
        extended: false,
    };
    let token = Signer::new().unwrap().sign(&request).unwrap();
    let refused = Reply::Whole(401, None, status(401, "Unauthorized"));
    let (server, queries, mut observations) = started(vec![refused]).await;
    // As kubelet writes it.
    let directory = &server.account;
    std::fs::remove_file(directory.join("token")).unwrap();
    std::fs::create_dir(directory.join("..2026_1")).unwrap();
    std::fs::write(directory.join("..2026_1/token"), &token).unwrap();
    std::os::unix::fs::symlink("..2026_1", directory.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/token", directory.join("token")).unwrap();
    queries.notify_one();
    let refused = match observations.recv().await.unwrap() {
        Observation::Keys(KeysSeen { answer: KeysAnswer::Refused(claims), .. }) => claims,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused.binding.pod.unwrap().name, "agent-0");
    assert_eq!(refused.key.id.unwrap().len(), 43, "SHA-256 in base64url");
    assert!(why(observations.recv().await.unwrap()).unwrap().contains("401 Unauthorized"));
}

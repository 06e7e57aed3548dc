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
    tokio::spawn(run(server.client(), Arc::clone(&queries), sender));
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
async fn each_query_asks_for_the_issuer_and_three_times_for_the_keys() {
    let other = r#"{"keys": [{"kid": "k3"}]}"#;
    let replies = vec![whole(DISCOVERY), whole(KEYS), whole(other), whole(KEYS)];
    let (server, queries, mut observations) = started(replies).await;
    queries.notify_one();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let set = set(observations.recv().await.unwrap());
        assert_eq!(set.issuer.as_deref(), Some("https://issuer.example"));
        ids.push(set.ids.join(" "));
    }
    assert_eq!(ids, ["k1 k2", "k3", "k1 k2"], "each API server answers for itself");
    assert_eq!(why(observations.recv().await.unwrap()), None);
    let paths: Vec<_> = server.requests().into_iter().map(|request| request.path).collect();
    let keys = "/openid/v1/jwks";
    assert_eq!(paths, ["/.well-known/openid-configuration", keys, keys, keys]);
}

#[tokio::test]
async fn the_keys_are_enough_and_an_error_ends_the_round() {
    let unavailable = || Reply::Whole(503, None, status(503, "no"));
    let (_server, queries, mut observations) =
        started(vec![whole("no JSON"), whole(KEYS), unavailable()]).await;
    queries.notify_one();
    assert_eq!(set(observations.recv().await.unwrap()).issuer, None);
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
        let (_server, queries, mut observations) = started(vec![whole(DISCOVERY), reply]).await;
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
    let (server, queries, mut observations) = started(vec![whole(DISCOVERY), refused]).await;
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

use std::path::Path;

use proptest::prelude::*;
use serde_json::json;
use tokenwatch_core::base::secrecy::REDACTED;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::world::tokens::{Claims, TokenKey};
use tokenwatch_lab::kubelet::{Payload, Volume};
use tokenwatch_lab::signer::{PodIdentity, Signer, TokenRequest};

use super::*;
use crate::kubernetes::fake_server::{FakeServer, Reply, status};
use crate::kubernetes::{Access, ApiClient};
use crate::sources::tokens::TokenBytes;
use crate::sources::tokens::found::{FoundToken, Token, find};

const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

fn token(issued: i64) -> String {
    let pod = PodIdentity {
        namespace: "shop".into(),
        name: "cart-0".into(),
        service_account: "cart".into(),
        node: "n1".into(),
    };
    let request = TokenRequest {
        pod: &pod,
        audiences: &["vault"],
        issued_at: Wall::from_secs(issued),
        lifetime: Delta::from_secs(3_600),
        extended: false,
    };
    Signer::new().unwrap().sign(&request).unwrap()
}

fn read(token: &str) -> (Claims, TokenBytes) {
    let FoundToken { token, bytes, .. } = find(token).tokens.remove(0);
    match token {
        Token::Bound(claims) => (*claims, bytes),
        other => panic!("{other:?}"),
    }
}

fn whole(code: u16, body: &str) -> Reply {
    Reply::Whole(code, None, body.to_owned())
}

async fn answer(reply: Reply, token: &str) -> Result<Review, NoReview> {
    let server = FakeServer::start(vec![reply]).await;
    let (claims, bytes) = read(token);
    review(&server.client(), bytes, &claims.audiences).await
}

fn reviewed(status: &serde_json::Value, token: &str) -> String {
    json!({
        "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
        "spec": {"token": token, "audiences": ["vault"]}, "status": status,
    })
    .to_string()
}

#[tokio::test]
async fn the_token_is_sent_and_the_answer_read() {
    let token = token(1_800_000_000);
    let body = reviewed(&json!({"authenticated": true, "audiences": ["vault"]}), &token);
    let server = FakeServer::start(vec![whole(201, &body)]).await;
    let (claims, bytes) = read(&token);
    let seen = review(&server.client(), bytes, &claims.audiences).await.unwrap();
    let expected =
        Review { is_authenticated: true, error: None, audiences: vec!["vault".to_owned()] };
    assert_eq!(seen, expected);
    let request = server.requests().remove(0);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", PATH));
    let expected = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"audiences": ["vault"], "token": token},
    });
    assert_eq!(request.body, expected);
}

#[tokio::test]
async fn a_refusal_has_its_reason() {
    let token = token(1_800_000_000);
    let reason = "[invalid bearer token, service account token has expired]";
    let body = reviewed(&json!({"authenticated": false, "error": reason}), &token);
    let seen = answer(whole(201, &body), &token).await.unwrap();
    assert_eq!((seen.is_authenticated, seen.error.as_deref()), (false, Some(reason)));
    let seen = answer(whole(201, &reviewed(&json!({}), &token)), &token).await.unwrap();
    assert_eq!((seen.is_authenticated, seen.error), (false, None));
}

#[tokio::test]
async fn no_answer_is_not_known_and_has_a_reason() {
    let token = token(1_800_000_000);
    let table = [
        (whole(403, &status(403, "forbidden")), "system:auth-delegator"),
        (whole(401, &status(401, "Unauthorized")), "401 Unauthorized"),
        (whole(404, &status(404, "no")), "404"),
        (whole(500, "oops"), "500"),
        (whole(201, "{}"), "no status"),
        (whole(201, &format!("\"{token}\"")), "no TokenReview"),
        (whole(201, &"x".repeat(300 << 10)), "larger than"),
    ];
    for (reply, expected) in table {
        let text = answer(reply, &token).await.unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains(&token[..20]), "{text}");
    }
    let closed = Access::Pod { server: "http://127.0.0.1:1".into(), directory: "/none".into() };
    let (claims, bytes) = read(&token);
    let seen = review(&ApiClient::new(closed), bytes, &claims.audiences).await;
    assert!(matches!(seen, Err(NoReview::Failed(_))), "{seen:?}");
}

#[tokio::test]
async fn no_token_is_sent_unencrypted_to_another_machine() {
    let server = FakeServer::start(Vec::new()).await;
    let port = server.port;
    let table = [
        (format!("http://10.0.0.1:{port}"), false),
        (format!("http://localhost:{port}"), false), // a name may lead anywhere
        (format!("http://127.0.0.1.example:{port}"), false),
        (format!("ftp://10.0.0.1:{port}"), false),
        ("nonsense".to_owned(), false),
        (format!("http://127.0.0.1:{port}"), true),
        (format!("http://[::1]:{port}"), true),
        ("https://10.0.0.1:6443".to_owned(), true),
    ];
    for (server, is_private) in table {
        let access = Access::Pod { server: server.clone(), directory: "/none".into() };
        let client = ApiClient::new(access);
        assert_eq!(client.is_private(), is_private, "{server}");
        if !is_private {
            let (_, bytes) = read(&token(1_800_000_000));
            assert_eq!(review(&client, bytes, &[]).await, Err(NoReview::Insecure), "{server}");
        }
    }
    assert!(server.requests().is_empty());
}

/// A volume with this token, as kubelet writes it.
fn write(root: &Path, token: &str) -> TokenKey {
    let payload = Payload::from([("token".into(), token.as_bytes().to_vec())]);
    Volume::new(root, "p1", "v").write(&payload, Wall::from_secs(1_800_000_000)).unwrap();
    TokenKey { pod_uid: "p1".into(), volume: "v".into(), path: "token".into() }
}

#[tokio::test]
async fn a_file_is_read_again_and_only_the_token_that_was_judged_is_sent() {
    let root = tempfile::tempdir().unwrap();
    let (first, next) = (token(1_800_000_000), token(1_800_000_480));
    let key = write(root.path(), &first);
    let body = reviewed(&json!({"authenticated": true}), &first);
    let server = FakeServer::start(vec![whole(201, &body)]).await;
    let (client, claims) = (server.client(), read(&first).0);
    let mut files = TokenFiles::new(vec![root.path().join("none"), root.path().to_owned()]);
    assert!(files.review(&client, &key, &claims).await.unwrap().is_authenticated);
    write(root.path(), &next);
    assert_eq!(files.review(&client, &key, &claims).await, Err(NoReview::Changed));
    assert_eq!(server.requests().len(), 1);
    assert_eq!(server.requests()[0].body["spec"]["token"], first);
}

#[tokio::test]
async fn after_a_lasting_failure_nobody_is_asked_again() {
    let root = tempfile::tempdir().unwrap();
    let token = token(1_800_000_000);
    let (key, claims) = (write(root.path(), &token), read(&token).0);
    let server = FakeServer::start(vec![whole(403, &status(403, "no"))]).await;
    let mut files = TokenFiles::new(vec![root.path().to_owned()]);
    for _ in 0..3 {
        let answer = files.review(&server.client(), &key, &claims).await;
        assert!(answer.unwrap_err().to_string().contains("create tokenreviews"));
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_verdict_and_an_answer_agree_or_not() {
    use Agreement::{Agree, Disagree, NotKnown};
    let review = |is_authenticated| Review { is_authenticated, error: None, audiences: vec![] };
    let table = [
        (Verdict::Live, false, Agree, Disagree),
        (Verdict::Live, true, Disagree, Agree), // the account is gone, or the key
        (Verdict::Dead, false, Disagree, Agree),
        (Verdict::Uncertain, false, NotKnown, NotKnown),
        (Verdict::Uncertain, true, Disagree, Agree),
    ];
    for (verdict, is_refused, accepted, refused) in table {
        assert_eq!(agreement(&review(true), verdict, is_refused), accepted, "{verdict:?}");
        assert_eq!(agreement(&review(false), verdict, is_refused), refused, "{verdict:?}");
    }
}

/// Six characters of it would be left, fewer than are recognised.
#[tokio::test]
async fn a_piece_is_found_before_the_text_is_cut() {
    let token = token(1_800_000_000);
    let signature = token.rsplit('.').next().unwrap();
    for left in [512 - 6, 1_024 - 6] {
        let status = json!({"error": format!("{}{}", "x ".repeat(left / 2), &signature[..40])});
        let review = answer(whole(201, &reviewed(&status, &token)), &token).await.unwrap();
        assert_eq!(review.error.as_deref(), Some(REDACTED));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A webhook between may put anything into the answer: nothing of the token is shown.
    #[test]
    fn no_answer_shows_a_piece_of_the_token(
        start in 0..200usize, length in 12..60usize, before in "[ -~]{0,20}",
    ) {
        let token = token(1_800_000_000);
        let piece: String = token.chars().skip(start).take(length).collect();
        let status = json!({
            "authenticated": false, "error": format!("{before}{piece}"), "audiences": [piece],
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let seen = runtime.block_on(answer(whole(201, &reviewed(&status, &token)), &token));
        let text = format!("{seen:?}");
        prop_assert!(!text.contains(&piece), "{text}");
    }

    /// Whatever the API server answers, nothing panics, and nothing of the token is shown.
    #[test]
    fn any_answer_is_taken(body in "[ -~]{0,200}|\\{\"status\": .{0,40}\\}") {
        let token = token(1_800_000_000);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let seen = runtime.block_on(answer(whole(201, &body), &token));
        let text = format!("{seen:?}");
        prop_assert!(!text.contains("eyJ"), "{}", text);
    }
}

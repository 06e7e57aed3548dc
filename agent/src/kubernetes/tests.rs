//! What is sent, with which credentials, and how failures are reported.

use std::time::Duration;

use bytes::Bytes;

use super::fake_server::{FakeServer, Reply, status};
use super::*;
use crate::environment::Environment;

const LIMIT: Duration = Duration::from_secs(10);

fn request() -> ApiRequest {
    ApiRequest::get("/x".to_owned())
}

fn ok() -> Reply {
    Reply::Whole(200, None, "{}".to_owned())
}

async fn get(client: &ApiClient) -> Result<Bytes, Error> {
    read_body(client.send(request(), LIMIT).await?, 1 << 20, LIMIT).await
}

#[tokio::test]
async fn an_error_has_status_message_and_remedy() {
    let forbidden = "pods is forbidden: User \\\"x\\\" cannot list";
    let fake = FakeServer::start(vec![
        Reply::Whole(401, None, status(401, "Unauthorized")),
        Reply::Whole(403, None, status(403, forbidden)),
        Reply::Whole(429, Some("7"), "Too many requests, please try again later.".to_owned()),
        Reply::Whole(500, None, "<html>\u{1b}[2J".to_owned()),
    ])
    .await;
    let client = fake.client();
    let mut errors = Vec::new();
    for _ in 0..4 {
        errors.push(get(&client).await.unwrap_err());
    }
    assert_eq!(errors[2].retry_after(), Some(Duration::from_secs(7)));
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert!(
        texts[0].contains("401 Unauthorized") && texts[0].contains("the agent's own token"),
        "{texts:#?}"
    );
    assert!(
        texts[1].contains("cannot list")
            && texts[1].contains("grant the agent's service account list and watch on pods"),
        "{texts:#?}"
    );
    assert!(
        texts[2].contains("Too many requests") && texts[3].contains("<html>\\u{1b}"),
        "{texts:#?}"
    );
}

#[tokio::test]
async fn responses_are_bounded_in_time_and_size() {
    let fake = FakeServer::start(vec![
        Reply::Silence,
        Reply::Open(vec!["{".to_owned()]),
        Reply::Whole(200, None, "x".repeat(2 << 20)),
    ])
    .await;
    let client = fake.client();
    let soon = Duration::from_millis(200);
    let late = client.send(request(), soon).await.unwrap_err();
    assert!(late.to_string().contains("no response within"), "{late}");
    let half = client.send(request(), LIMIT).await.unwrap();
    let half = read_body(half, 1 << 20, soon).await.unwrap_err();
    assert!(half.to_string().contains("was not complete"), "{half}");
    let much = get(&client).await.unwrap_err();
    assert!(much.to_string().contains("larger than 1024 KiB"), "{much}");
}

#[tokio::test]
async fn a_broken_configuration_is_read_again() {
    let fake = FakeServer::start(vec![ok()]).await;
    let file = fake.account.join("kubeconfig");
    let client = ApiClient::new(Access::Kubeconfig(file.clone()));
    let missing = get(&client).await.unwrap_err().to_string();
    assert!(
        missing.contains("cannot read") && missing.contains("kubernetes.kubeconfig"),
        "{missing}"
    );
    std::fs::write(
        &file,
        kubeconfig(&format!("http://127.0.0.1:{}", fake.port), "tokenFile: token"),
    )
    .unwrap();
    get(&client).await.unwrap();
    assert_eq!(fake.requests()[0].authorization, "Bearer first");
}

fn kubeconfig(server: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: \
         \"{server}\"}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\ncontexts: [{{name: x, \
         context: {{cluster: c, user: u}}}}]\ncurrent-context: x\n"
    )
}

#[test]
fn an_unusable_kubeconfig_is_an_error_at_once_that_quotes_no_secret() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let resolved = |text: &str| {
        std::fs::write(file.path(), text).unwrap();
        Access::resolve(Some(file.path()), &Environment::default())
    };
    let good = kubeconfig("https://api.example", "token: s3cret");
    assert_eq!(resolved(&good), Ok(Access::Kubeconfig(file.path().to_owned())));
    let table = [
        ("clusters: [s3cret".to_owned(), "is not a valid kubeconfig"),
        (good.replace("users:", "users: s3cret #"), "is not a valid kubeconfig"),
        (good.replace("current-context: x", ""), "current-context is empty"),
        (good.replace("cluster: c,", "cluster: d,"), "it has no cluster named \"d\""),
        (good.replace("token: s3cret", "exec: {command: s3cret}"), "are not supported"),
        (good.replace("token: s3cret", "username: s3cret"), "are not supported"),
        (
            good.replace("server:", "insecure-skip-tls-verify: true, server:"),
            "to an unverified server",
        ),
        (good.replace("server:", "proxy-url: s3cret, server:"), "proxy-url is not supported"),
    ];
    for (text, why) in table {
        let error = resolved(&text).unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains("s3cret"), "{error}");
    }
    assert!(
        Access::resolve(Some(&file.path().join("not-there")), &Environment::default()).is_ok(),
        "it may be created later"
    );
}

#[test]
fn in_a_pod_the_environment_holds_the_address() {
    let resolved = |host: &'static str| {
        Access::resolve(
            None,
            &Environment::of([
                ("KUBERNETES_SERVICE_HOST", host),
                ("KUBERNETES_SERVICE_PORT", "443"),
            ]),
        )
    };
    assert_eq!(resolved("10.0.0.1").unwrap().to_string(), "https://10.0.0.1:443");
    assert_eq!(resolved("fd00::1").unwrap().to_string(), "https://[fd00::1]:443");
    let nowhere = Access::resolve(None, &Environment::default()).unwrap_err().to_string();
    assert!(
        nowhere.contains("does not run in a pod") && nowhere.contains("kubernetes.kubeconfig"),
        "{nowhere}"
    );
}

#[test]
fn text_in_a_path_is_percent_encoded() {
    assert_eq!(percent_encoded("node-1.a_b~"), "node-1.a_b~");
    assert_eq!(percent_encoded("n&limit=0/../ü"), "n%26limit%3D0%2F..%2F%C3%BC");
}

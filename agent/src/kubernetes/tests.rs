//! Who is asked, and with what.

use super::fake::{Fake, Reply, status};
use super::*;
use crate::environment::Environment;

const PATIENCE: Duration = Duration::from_secs(10);

fn ok() -> Reply {
    Reply::Whole(200, None, "{}".to_owned())
}

async fn ask(server: &ApiServer) -> Result<Bytes, Trouble> {
    whole(server.ask(Ask::get("/x".to_owned()), PATIENCE).await?, 1 << 20, PATIENCE).await
}

#[tokio::test]
async fn a_refusal_says_how_in_whose_words_and_what_to_do() {
    let forbidden = "pods is forbidden: User \\\"x\\\" cannot list";
    let fake = Fake::start(vec![
        Reply::Whole(401, None, status(401, "Unauthorized")),
        Reply::Whole(403, None, status(403, forbidden)),
        Reply::Whole(429, Some("7"), "Too many requests, please try again later.".to_owned()),
        Reply::Whole(500, None, "<html>\u{1b}[2J".to_owned()),
    ])
    .await;
    let server = fake.client();
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(ask(&server).await.unwrap_err());
    }
    assert_eq!(told[2].retry_after(), Some(Duration::from_secs(7)));
    let texts: Vec<String> = told.iter().map(ToString::to_string).collect();
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
async fn what_does_not_come_is_given_up_and_what_is_too_much_is_not_taken() {
    let fake = Fake::start(vec![
        Reply::Silence,
        Reply::Open(vec!["{".to_owned()]),
        Reply::Whole(200, None, "x".repeat(2 << 20)),
    ])
    .await;
    let server = fake.client();
    let soon = Duration::from_millis(200);
    let late = server.ask(Ask::get("/x".to_owned()), soon).await.unwrap_err();
    assert!(late.to_string().contains("no answer within"), "{late}");
    let half = server.ask(Ask::get("/x".to_owned()), PATIENCE).await.unwrap();
    let half = whole(half, 1 << 20, soon).await.unwrap_err();
    assert!(half.to_string().contains("did not end"), "{half}");
    let much = ask(&server).await.unwrap_err();
    assert!(much.to_string().contains("larger than 1024 KiB"), "{much}");
}

#[tokio::test]
async fn a_configuration_that_is_broken_is_looked_at_again() {
    let fake = Fake::start(vec![ok()]).await;
    let file = fake.account.join("kubeconfig");
    let server = ApiServer::new(Access::Kubeconfig(file.clone()));
    let missing = ask(&server).await.unwrap_err().to_string();
    assert!(
        missing.contains("kubeconfig cannot be read") && missing.contains("kubernetes.kubeconfig"),
        "{missing}"
    );
    std::fs::write(
        &file,
        kubeconfig(&format!("http://127.0.0.1:{}", fake.port), "tokenFile: token"),
    )
    .unwrap();
    ask(&server).await.unwrap();
    assert_eq!(fake.asked()[0].authorization, "Bearer first");
}

fn kubeconfig(server: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: \
         \"{server}\"}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\ncontexts: [{{name: x, \
         context: {{cluster: c, user: u}}}}]\ncurrent-context: x\n"
    )
}

#[test]
fn a_kubeconfig_that_can_never_work_is_a_mistake_at_once_and_repeats_no_secret() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let resolved = |text: &str| {
        std::fs::write(file.path(), text).unwrap();
        Access::resolve(Some(file.path()), &Environment::default())
    };
    let good = kubeconfig("https://api.example", "token: s3cret");
    assert_eq!(resolved(&good), Ok(Access::Kubeconfig(file.path().to_owned())));
    let table = [
        ("clusters: [s3cret".to_owned(), "is no kubeconfig"),
        (good.replace("users:", "users: s3cret #"), "is no kubeconfig"),
        (good.replace("current-context: x", ""), "current-context names none"),
        (good.replace("cluster: c,", "cluster: d,"), "it has no cluster called \"d\""),
        (good.replace("token: s3cret", "exec: {command: s3cret}"), "are for people"),
        (good.replace("token: s3cret", "username: s3cret"), "are for people"),
        (good.replace("server:", "insecure-skip-tls-verify: true, server:"), "to whoever answers"),
        (good.replace("server:", "proxy-url: s3cret, server:"), "proxy-url is not supported"),
    ];
    for (text, why) in table {
        let said = resolved(&text).unwrap_err();
        assert!(said.contains(why) && !said.contains("s3cret"), "{said}");
    }
    assert!(
        Access::resolve(Some(&file.path().join("not-there")), &Environment::default()).is_ok(),
        "it may come"
    );
}

#[test]
fn in_a_pod_the_environment_says_where() {
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
    let nowhere = Access::resolve(None, &Environment::default()).unwrap_err();
    assert!(
        nowhere.contains("this is no pod") && nowhere.contains("kubernetes.kubeconfig"),
        "{nowhere}"
    );
}

#[test]
fn what_is_put_in_a_path_stays_in_its_place() {
    assert_eq!(quoted("node-1.a_b~"), "node-1.a_b~");
    assert_eq!(quoted("n&limit=0/../ü"), "n%26limit%3D0%2F..%2F%C3%BC");
}

//! What is sent, with which credentials, and how failures are reported.

use std::time::Duration;

use bytes::Bytes;

use super::fake_server::{FakeServer, Reply, status};
use super::*;
use crate::environment::Environment;
use crate::network::Trouble;
use crate::regular_file;

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
    // On a busy machine, the time may be over before the request is there.
    while fake.requests().is_empty() {
        let late = client.send(request(), soon).await.unwrap_err();
        assert!(late.to_string().contains("no response within"), "{late}");
    }
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

#[tokio::test]
async fn a_rotated_token_is_used_within_a_minute_and_the_last_one_while_there_is_none() {
    let fake = FakeServer::start((0..5).map(|_| ok()).collect()).await;
    let (client, token) = (fake.client(), fake.account.join("token"));
    let write = |text: &str| std::fs::write(&token, text).unwrap();
    get(&client).await.unwrap();
    write("second\n");
    get(&client).await.unwrap();
    client.age();
    get(&client).await.unwrap();
    std::fs::remove_file(&token).unwrap();
    client.age();
    get(&client).await.unwrap();
    write("third");
    client.age();
    get(&client).await.unwrap();
    let sent: Vec<String> = fake.requests().into_iter().map(|seen| seen.authorization).collect();
    let expected = ["first", "first", "second", "second", "third"];
    assert_eq!(sent, expected.map(|token| format!("Bearer {token}")));
}

/// On one thread: with the read on it, the test would never end.
#[tokio::test]
async fn a_disk_that_hangs_later_ends_no_requests() {
    let fake = FakeServer::start(vec![ok(), ok(), ok()]).await;
    let client = fake.client();
    get(&client).await.unwrap();
    let _release = client.reads().hang(|| regular_file::reading("/run/token")).await;
    for _ in 0..2 {
        client.age();
        get(&client).await.unwrap();
    }
    assert!(fake.requests().iter().all(|seen| seen.authorization == "Bearer first"));
    client.reset();
    let error = get(&client).await.unwrap_err().to_string();
    assert!(error.contains("/run/token has not answered"), "{error}");
}

#[tokio::test]
async fn a_token_of_a_kubeconfig_is_sent_without_the_line_that_ends_after_it() {
    let fake = FakeServer::start(vec![ok(), ok()]).await;
    let (file, server) =
        (fake.account.join("kubeconfig"), format!("http://127.0.0.1:{}", fake.port));
    // (user, token that is sent): an empty one is none, as for kubectl
    let users = [
        (r#"token: "inline\n""#, "Bearer inline"),
        (r#"token: "", tokenFile: token"#, "Bearer first"),
    ];
    for (user, expected) in users {
        std::fs::write(&file, kubeconfig(&server, user)).unwrap();
        get(&ApiClient::new(Access::Kubeconfig(file.clone()))).await.unwrap();
        assert_eq!(fake.requests().last().unwrap().authorization, expected);
    }
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

/// kube panics at these.
#[test]
fn a_server_or_token_that_no_request_can_have_is_an_error_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let good = kubeconfig("https://api.example", "token: s3cret");
    let table = [
        (good.replace("server:", "x-server:"), "it has no server"),
        (good.replace("https://", ""), "its server cannot be used: it is not a URL; write https"),
        (good.replace("https://api.example", "/s3cret"), "it is not a URL"),
        (good.replace("https://", "unix://"), "it is not a URL"),
        (good.replace(".example", &format!("/{}", "p".repeat(2_048))), "longer than 2048 bytes"),
        (good.replace("s3cret", "\"s3cret\\ns3cret\""), "a character that no token has"),
        (good.replace("s3cret", "\"\\n\""), "its token cannot be used: it holds no token"),
    ];
    for (text, why) in table {
        std::fs::write(file.path(), text).unwrap();
        let error = Access::resolve(Some(file.path()), &Environment::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains("s3cret"), "{error}");
    }
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

#[test]
fn an_error_has_a_kind_whatever_its_text() {
    let refused = |message: &str| {
        let headers = http::HeaderMap::new();
        Error::refused(http::StatusCode::SERVICE_UNAVAILABLE, &headers, message.as_bytes())
    };
    let kind = ErrorKind::Refused(503);
    assert_eq!((refused("etcd 1 is late").kind(), refused("not ready").kind()), (kind, kind));
    let reset = |port: u16| {
        let text = format!("read 10.0.0.7:{port}: connection reset");
        Error::connection(&std::io::Error::new(std::io::ErrorKind::ConnectionReset, text))
    };
    assert_eq!(reset(51_234).kind(), reset(40_112).kind());
    assert_eq!(reset(1).kind(), ErrorKind::Connection(Trouble::Broken));
}

/// An API server whose certificate is valid from the year `from` on for 127.0.0.1 and these names;
/// its kubeconfig.
async fn api_server_with_certificate(
    from: i32,
    names: &[&str],
    directory: &std::path::Path,
) -> ApiClient {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = ["127.0.0.1"].iter().chain(names).map(|name| (*name).to_owned());
    let mut params = rcgen::CertificateParams::new(names.collect::<Vec<_>>()).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(from + 100, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(directory.join("ca.crt"), certificate.pem()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(tls));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(answer_ok(stream));
            }
        }
    });
    let file = directory.join("kubeconfig");
    let text = kubeconfig(&format!("https://127.0.0.1:{port}"), "token: s3cret");
    let text = text.replace("server:", "certificate-authority: ca.crt, server:");
    std::fs::write(&file, text).unwrap();
    ApiClient::new(Access::Kubeconfig(file))
}

/// Responses with a number and a time, as those of an API server.
async fn answer_ok(stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>) {
    let respond = hyper::service::service_fn(async |_| {
        let response = http::Response::builder().header("audit-id", "1");
        response.body(http_body_util::Full::new(Bytes::from_static(b"{}")))
    });
    let stream = hyper_util::rt::TokioIo::new(stream);
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, respond).await;
}

#[tokio::test]
async fn each_answer_has_the_names_of_the_certificate() {
    let many: Vec<String> = (0..40).map(|nth| format!("cp-{nth}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let table: [(&[&str], &[&str]); 4] = [
        (&["kubernetes", "CP-2.example"], &["kubernetes", "cp-2.example"]),
        (&["*.nodes.example"], &["*.nodes.example"]),
        (&[], &[]),
        (&many, &[]),
    ];
    for (names, expected) in table {
        let directory = tempfile::tempdir().unwrap();
        let client = api_server_with_certificate(2_020, names, directory.path()).await;
        let (to, mut shown) = tokio::sync::mpsc::unbounded_channel();
        client.show_dates(std::sync::Arc::new(move |seen| {
            let _ = to.send(seen); // the receiver is there until the end
        }));
        for _ in 0..2 {
            get(&client).await.unwrap();
            assert_eq!(shown.try_recv().unwrap().names, expected, "{names:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_explained_by_a_clock_that_is_behind() {
    use tokenwatch_core::base::time::Delta;

    let directory = tempfile::tempdir().unwrap();
    let client = api_server_with_certificate(2_999, &[], directory.path()).await;
    let unknown = get(&client).await.unwrap_err();
    let is_not_yet =
        |trouble| matches!(trouble, Trouble::Certificate(crate::network::Certificate::NotYet(_)));
    let ErrorKind::Connection(trouble) = unknown.kind() else { panic!("{unknown}") };
    assert!(is_not_yet(trouble), "{unknown:?}");
    assert!(!unknown.to_string().contains("clock"), "{unknown}");
    client.explain_by(std::sync::Arc::new(|| Some(Delta::from_secs(7_200))));
    let known = get(&client).await.unwrap_err().to_string();
    assert!(known.contains("this node's clock is 2h 00m behind true time"), "{known}");
}

#[tokio::test]
async fn a_file_that_does_not_answer_is_named_and_no_request_is_sent() {
    let fake = FakeServer::start(vec![ok()]).await;
    let (client, token) = (fake.client(), fake.account.join("token"));
    let _release = client.reads().hang(move || regular_file::check(&token).unwrap()).await;
    let error = get(&client).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("token has not answered within 5 s"), "{error}");
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn a_certificate_of_kubelet_that_does_not_answer_is_named() {
    let trust = Trust { certificate: "/none".into(), authorities: None, node: "node-1".into() };
    let access = Access::Kubeconfig("/none".into());
    let client = KubeletClient::new(access, "127.0.0.1:1".parse().unwrap(), trust);
    let _release = client.reads().hang(|| regular_file::reading("/pki/kubelet.crt")).await;
    let error = client.metrics(Duration::from_secs(3)).await.unwrap_err();
    let KubeletError::Request(error) = error else { panic!("{error:?}") };
    assert!(error.to_string().contains("kubelet.crt has not answered within 5 s"), "{error}");
}

#[tokio::test]
async fn a_failed_connection_names_the_proxy_that_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig("http://127.0.0.1:1", "token: s3cret")).unwrap();
    let note = Some("the agent uses no proxy".to_owned());
    let client = ApiClient::new(Access::Kubeconfig(file)).with_note_about_proxies(note);
    let error = get(&client).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection(Trouble::Closed));
    assert!(error.to_string().ends_with("; the agent uses no proxy"), "{error}");
}

#[tokio::test]
async fn each_answer_shows_the_clock_of_the_api_server() {
    use tokenwatch_core::world::clocks::DateSeen;

    let fake = FakeServer::start(vec![ok(), Reply::Whole(500, None, String::new())]).await;
    let client = fake.client();
    let (to, mut shown) = tokio::sync::mpsc::unbounded_channel::<DateSeen>();
    client.show_dates(std::sync::Arc::new(move |seen| {
        let _ = to.send(seen); // the receiver is there until the end
    }));
    get(&client).await.unwrap();
    get(&client).await.unwrap_err();
    for _ in 0..2 {
        let DateSeen { sent, received, date, names } = shown.try_recv().unwrap();
        assert_eq!(names, Vec::<String>::new(), "without TLS");
        assert!(sent.monotonic <= received.monotonic);
        let late = (received.wall - date).as_secs();
        assert!((0..=2).contains(&late), "it shows whole seconds: {late}");
    }
}

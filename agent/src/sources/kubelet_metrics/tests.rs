//! Lines of a kubelet, and a kubelet that answers over TLS.

use proptest::prelude::*;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokenwatch_core::base::time::{Delta, Wall};

use super::*;
use crate::kubernetes::{Access, Trust};

const TTL: &str = "kubelet_certificate_manager_client_ttl_seconds";
/// Lines of kubelet 1.34.4, some of them made up.
const TEXT: &str = include_str!("metrics.txt");

fn of(text: &str) -> KubeletCounters {
    let mut counters = KubeletCounters::default();
    text.lines().for_each(|line| counters::take(&mut counters, line.as_bytes()));
    counters
}

#[test]
fn each_line_counts_where_it_belongs() {
    let counters = of(TEXT);
    let requests = counters.requests;
    let counted = [requests.accepted, requests.unauthorized, requests.forbidden];
    assert_eq!(counted, [13 + 12 + 11 + 5, 2, 3]);
    assert_eq!([requests.throttled, requests.failed, requests.unanswered], [13, 6, 8]);
    let others = [counters.failed_mounts, counters.pod_syncs, counters.renew_errors];
    assert_eq!(others, [21, 33, 2]);
    assert_eq!(counters.certificate_left, Some(Delta::from_secs(-61)));
    assert_eq!(counters.started.map(Wall::as_secs), Some(1_795_994_000));
}

#[test]
fn a_number_that_is_none_counts_nothing() {
    let line = |number: &str| of(&format!("rest_client_requests_total{{code=\"401\"}} {number}"));
    for number in ["NaN", "+Inf", "-3", "", "x", "1 2 3x"] {
        let expected = u64::from(number.starts_with("1 "));
        assert_eq!(line(number).requests.unauthorized, expected, "{number}");
    }
    assert_eq!(line("1e300").requests.unauthorized, u64::MAX);
    let left = |number: &str| of(&format!("{TTL} {number}")).certificate_left;
    assert_eq!(left("+Inf"), None, "kubelet has no certificate");
    assert_eq!(left("9"), Some(Delta::from_secs(9)));
}

#[test]
fn a_line_that_is_too_long_is_dropped_and_the_next_one_counts() {
    let long =
        format!("rest_client_requests_total{{code=\"401\",host=\"{}\"}} 1", "x".repeat(9_000));
    let text = format!("{long}\n{TEXT}");
    for cut in [1, 7, 4_096, text.len()] {
        let (mut lines, mut counters) = (Lines::default(), KubeletCounters::default());
        for chunk in text.as_bytes().chunks(cut) {
            lines.push(chunk, |line| counters::take(&mut counters, line));
        }
        lines.finish(|line| counters::take(&mut counters, line));
        assert_eq!(counters, of(TEXT), "in parts of {cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What is kept are numbers, so that no text from outside can leave this room.
    #[test]
    fn any_bytes_are_taken_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        name in prop::sample::select(vec![
            "rest_client_requests_total", "process_start_time_seconds",
            "storage_operation_duration_seconds_count",
            "kubelet_certificate_manager_client_ttl_seconds",
        ]),
        between in "[{},=\"\\\\a-z0-9 .eE+-]{0,40}",
    ) {
        let mut counters = KubeletCounters::default();
        let (mut lines, text) = (Lines::default(), format!("{name}{between}"));
        for part in [text.as_bytes(), &bytes, b"\n", &bytes, text.as_bytes()] {
            lines.push(part, |line| counters::take(&mut counters, line));
        }
        lines.finish(|line| counters::take(&mut counters, line));
    }
}

/// The token of the agent.
const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.the-agents-own-token.signature";

/// A certificate and its key.
struct Identity {
    certificate: rcgen::Certificate,
    key: rcgen::KeyPair,
}

fn params(names: &[&str]) -> rcgen::CertificateParams {
    rcgen::CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        .unwrap()
}

fn own(names: &[&str]) -> Identity {
    let key = rcgen::KeyPair::generate().unwrap();
    Identity { certificate: params(names).self_signed(&key).unwrap(), key }
}

/// An authority, and a certificate that it signed.
fn signed(names: &[&str]) -> (rcgen::Certificate, Identity) {
    let mut of_authority = params(&[]);
    of_authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let authority = of_authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(of_authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params(names).signed_by(&key, &issuer).unwrap();
    (authority, Identity { certificate, key })
}

/// A kubelet over TLS.
struct FakeKubelet {
    address: std::net::SocketAddr,
    /// The heads of all requests.
    received: Arc<std::sync::Mutex<Vec<String>>>,
    directory: tempfile::TempDir,
}

impl FakeKubelet {
    /// It answers each request with this.
    async fn start(identity: &Identity, answer: &str) -> Self {
        let key = rustls::pki_types::PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        // The key may be another one than the certificate's.
        let shown = CertifiedKey::new(vec![identity.certificate.der().clone()], key);
        let tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(std::sync::Mutex::new(Vec::new()));
        let serving = serve(listener, tls, Arc::clone(&received), answer.to_owned());
        tokio::spawn(serving);
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("token"), TOKEN).unwrap();
        std::fs::write(directory.path().join("ca.crt"), "").unwrap();
        Self { address, received, directory }
    }

    fn file(&self, name: &str, text: &str) -> std::path::PathBuf {
        let file = self.directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    }

    /// A client that has these certificates.
    fn client(&self, pinned: &str, authority: Option<&str>, node: &str) -> KubeletClient {
        let server = "https://127.0.0.1:1".to_owned();
        let access = Access::Pod { server, directory: self.directory.path().to_owned() };
        let trust = Trust {
            certificate: self.file("kubelet.crt", pinned),
            authorities: authority.map(|text| self.file("authority.crt", text)),
            node: node.to_owned(),
        };
        KubeletClient::new(access, self.address, trust)
    }

    fn requests(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(
    listener: tokio::net::TcpListener,
    tls: rustls::ServerConfig,
    received: Arc<std::sync::Mutex<Vec<String>>>,
    answer: String,
) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(mut stream) = acceptor.accept(stream).await else { continue };
        let mut head = [0; 4_096];
        let size = stream.read(&mut head).await.unwrap_or(0);
        received.lock().unwrap().push(String::from_utf8_lossy(&head[..size]).into_owned());
        let _ = stream.write_all(answer.as_bytes()).await; // the client may be gone
        let _ = stream.shutdown().await;
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn the_token_goes_to_the_kubelet_whose_certificate_is_on_the_node() {
    let (identity, another) = (own(&["some-other-name"]), own(&["localhost"]));
    let fake = FakeKubelet::start(&identity, &ok(TEXT)).await;
    let pinned = format!("{}{}", another.certificate.pem(), identity.certificate.pem());
    let seen = look(&fake.client(&pinned, None, "node-1")).await;
    assert_eq!(seen, (Some(MetricsSeen::Counters(of(TEXT))), None));
    let requests = fake.requests();
    assert!(requests[0].starts_with("GET /metrics HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[0].contains(&format!("authorization: Bearer {TOKEN}\r\n")), "{requests:?}");
}

#[tokio::test]
async fn the_token_goes_to_a_kubelet_with_a_certificate_for_this_node() {
    for names in [&["node-1"][..], &["127.0.0.1"], &["x", "node-1"]] {
        let (authority, identity) = signed(names);
        let fake = FakeKubelet::start(&identity, &ok(TEXT)).await;
        let client = fake.client("", Some(&authority.pem()), "node-1");
        assert_eq!(look(&client).await.1, None, "{names:?}");
    }
}

/// Nobody else gets a request, and so no token.
#[tokio::test]
async fn without_a_certificate_that_is_verified_no_request_is_sent() {
    let right = own(&["node-1"]);
    let (authority, of_another_node) = signed(&["node-2", "10.0.0.2"]);
    let (_, of_another_authority) = signed(&["node-1"]);
    let same_name = own(&["node-1"]);
    // Anybody may have the certificate, and nobody else its key.
    let (key, certificate) = (rcgen::KeyPair::generate().unwrap(), right.certificate.clone());
    let without_key = Identity { certificate, key };
    for (what, identity) in [
        ("a name of another node", &of_another_node),
        ("another authority", &of_another_authority),
        ("another certificate for the same name", &same_name),
        ("kubelet's certificate without its key", &without_key),
    ] {
        let fake = FakeKubelet::start(identity, &ok(TEXT)).await;
        let ca = authority.pem();
        let client = fake.client(&right.certificate.pem(), Some(&ca), "node-1");
        let (seen, trouble) = look(&client).await;
        assert_eq!(seen, None, "{what}");
        let trouble = trouble.unwrap();
        assert!(trouble.contains("kubelet's certificate cannot be verified"), "{what}: {trouble}");
        assert!(trouble.ends_with("no request was sent"), "{what}: {trouble}");
        assert_eq!(fake.requests(), [""; 0], "{what}");
    }
}

#[tokio::test]
async fn without_a_file_that_verifies_no_connection_is_made() {
    let identity = own(&["node-1"]);
    let with_key = identity.certificate.pem() + &identity.key.serialize_pem();
    let table = [
        ("", "has no certificate"),
        ("no PEM", "has no certificate"),
        (with_key.as_str(), "has a private key"),
    ];
    for (pinned, expected) in table {
        let fake = FakeKubelet::start(&identity, &ok(TEXT)).await;
        let trouble = look(&fake.client(pinned, None, "node-1")).await.1.unwrap();
        assert!(trouble.contains(expected), "{trouble}");
        assert!(!trouble.contains("BEGIN"), "{trouble}");
        let broken = look(&fake.client(pinned, Some("no PEM"), "node-1")).await.1.unwrap();
        assert!(broken.contains("authority.crt has no certificate"), "{broken}");
        assert_eq!(fake.requests(), [""; 0]);
    }
}

#[tokio::test]
async fn what_kubelet_refuses_is_an_observation_and_what_is_no_body_is_none() {
    let identity = own(&["node-1"]);
    let status = |line: &str| format!("HTTP/1.1 {line}\r\ncontent-length: 2\r\n\r\nno");
    let cut = format!("HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n{TEXT}");
    let table = [
        (status("401 Unauthorized"), Some(MetricsSeen::Refused(401)), "did not accept the agent's"),
        (status("403 Forbidden"), Some(MetricsSeen::Refused(403)), "get on nodes/metrics"),
        (status("302 Found"), Some(MetricsSeen::Refused(302)), "it answered 302"),
        (cut, None, "its body was cut"),
        (ok("<html></html>"), None, "it has no metrics"),
    ];
    for (answer, expected, text) in table {
        let fake = FakeKubelet::start(&identity, &answer).await;
        let (seen, trouble) = look(&fake.client(&identity.certificate.pem(), None, "n")).await;
        assert_eq!(seen, expected, "{answer}");
        assert!(trouble.as_ref().unwrap().contains(text), "{trouble:?}");
    }
    let fake = FakeKubelet::start(&identity, "").await;
    let client = fake.client(&identity.certificate.pem(), None, "n");
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let access = Access::Pod {
        server: "https://127.0.0.1:1".into(),
        directory: fake.directory.path().to_owned(),
    };
    let client = KubeletClient::new(access, address, client.trust().clone());
    assert_eq!(look(&client).await.0, Some(MetricsSeen::Closed));
}

#[tokio::test]
async fn each_query_is_answered_and_the_state_of_the_source_is_reported_once() {
    let identity = own(&["node-1"]);
    let fake = FakeKubelet::start(&identity, &ok(TEXT)).await;
    let client = Arc::new(fake.client(&identity.certificate.pem(), None, "n"));
    let (sender, mut observations) = tokio::sync::mpsc::channel(8);
    let queries = Arc::new(Notify::new());
    let source = tokio::spawn(run(client, Arc::clone(&queries), sender));
    for nth in 0..2 {
        queries.notify_one();
        let seen = observations.recv().await.unwrap();
        assert_eq!(seen, Observation::KubeletMetrics(MetricsSeen::Counters(of(TEXT))));
        if nth == 0 {
            let Some(Observation::Source(state)) = observations.recv().await else { panic!() };
            assert_eq!((state.source.as_str(), state.degraded), ("kubeletmetrics", None));
        }
    }
    source.abort();
}

//! Mistakes of configuration against real sockets: each is named, for every signal's transport.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokenwatch_otlp::protocol::Protocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::failure::Failure;
use super::super::transport::Transport;
use super::collector::Collector;
use crate::config::otlp::OwnOtlp;
use crate::config::otlp::tests::resolved;

const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::HttpProtobuf];

/// The transports of all three signals.
fn transports(own: &OwnOtlp, vars: &[(&str, &str)]) -> Vec<Transport> {
    let settings = resolved(own, vars);
    settings.targets().cloned().map(Transport::new).collect()
}

fn own(endpoint: String, protocol: Protocol) -> OwnOtlp {
    let timeout = Some(Duration::from_secs(2));
    OwnOtlp { endpoint: Some(endpoint), protocol: Some(protocol), timeout, ..OwnOtlp::default() }
}

/// The failures of all three signals.
async fn failures(own: &OwnOtlp, vars: &[(&str, &str)]) -> Vec<Failure> {
    let mut failures = Vec::new();
    for transport in transports(own, vars) {
        failures.push(transport.send(Bytes::new()).await.unwrap_err());
    }
    assert_eq!(failures.len(), 3);
    failures
}

async fn all_contain(own: &OwnOtlp, words: &[&str]) {
    for failure in failures(own, &[]).await {
        let text = failure.text;
        assert!(words.iter().all(|word| text.contains(word)), "{words:?} in {text}");
    }
}

/// A collector with TLS on, and the file with its authority.
async fn with_tls(protocol: Protocol, folder: &Path) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("ca.crt"), certificate.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = builder
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols =
        vec![if protocol == Protocol::Grpc { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    let any = "127.0.0.1:0".parse().unwrap();
    Collector::new(protocol, []).serve_at(any, Some(Arc::new(config))).await
}

#[tokio::test]
async fn the_other_protocol_is_named() {
    let http = Collector::new(Protocol::HttpProtobuf, []).serve().await;
    let own_grpc = own(format!("http://{http}"), Protocol::Grpc);
    all_contain(&own_grpc, &["answers HTTP/1.1, and not gRPC", "http/protobuf"]).await;
    let grpc = Collector::new(Protocol::Grpc, []).serve().await;
    let own_http = own(format!("http://{grpc}"), Protocol::HttpProtobuf);
    all_contain(&own_http, &["answers gRPC, and not HTTP/1.1", "set the protocol grpc"]).await;
}

#[tokio::test]
async fn tls_where_there_is_none_and_none_where_there_is_are_named() {
    for protocol in BOTH {
        let plain = Collector::new(protocol, []).serve().await;
        let tls = own(format!("https://{plain}"), protocol);
        all_contain(&tls, &["without TLS: write http://", "otlp.endpoint"]).await;
        let folder = TempDir::new().unwrap();
        let secure = with_tls(protocol, folder.path()).await;
        let plain = own(format!("http://{secure}"), protocol);
        all_contain(&plain, &["with TLS: write https://"]).await;
    }
}

#[tokio::test]
async fn the_other_protocol_is_named_behind_tls_too() {
    for protocol in BOTH {
        let folder = TempDir::new().unwrap();
        let secure = with_tls(protocol, folder.path()).await;
        let other = BOTH.into_iter().find(|other| *other != protocol).unwrap();
        let own = OwnOtlp {
            ca_file: Some(folder.path().join("ca.crt")),
            ..own(format!("https://{secure}"), other)
        };
        all_contain(&own, &["set the protocol", protocol.name()]).await;
    }
}

/// Heads and bodies of what came, and answers each request with `answer`.
async fn answering(answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    listening(move |stream, seen| answer_all(stream, answer, seen)).await
}

/// Serves each connection with `serve`, which notes what came.
async fn listening<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> F + Send + 'static,
) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let all = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&all)));
        }
    });
    (address, seen)
}

async fn answer_all(mut stream: TcpStream, answer: &str, seen: Arc<Mutex<Vec<String>>>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(size) = stream.read(&mut buffer).await
        && size > 0
    {
        seen.lock().unwrap().push(String::from_utf8_lossy(&buffer[..size]).into_owned());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn the_collectors_reason_is_shown_for_every_signal() {
    let answers: [(&str, &[&str]); 6] = [
        (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 7\r\n\r\n\
             too old",
            &["HTTP 400 Bad Request: too old"],
        ),
        (
            "HTTP/1.1 503 Busy\r\ncontent-length: 8\r\n\r\nI'm full",
            &["HTTP 503 Service Unavailable: I'm full", "tries again"],
        ),
        (
            "HTTP/1.1 403 No\r\ncontent-type: application/json\r\ncontent-length: 22\r\n\r\n\
             {\"message\":\"no tenant\"}",
            &["no tenant", "OTEL_EXPORTER_OTLP_HEADERS"],
        ),
        (
            "HTTP/1.1 401 No\r\ncontent-length: 18\r\n\r\nbad token eyJh.e.c",
            &["bad token ***", "OTEL_EXPORTER_OTLP_HEADERS"],
        ),
        ("HTTP/1.1 404 No\r\ncontent-length: 4\r\n\r\ngone", &["gone", "service.pipelines."]),
        ("HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n", &["sends less at once"]),
    ];
    for (answer, words) in answers {
        let (address, _) = answering(answer).await;
        all_contain(&own(format!("http://{address}"), Protocol::HttpProtobuf), words).await;
    }
}

/// The credentials of the collector are not shown to what is found out about an endpoint.
#[tokio::test]
async fn nobody_but_the_collector_sees_the_headers() {
    let (address, seen) = answering("SSH-2.0-OpenSSH_9.6\r\n").await;
    let own = OwnOtlp {
        headers: vec![("authorization".into(), "Bearer s3cr-et".into())],
        ..own(format!("https://{address}"), Protocol::HttpProtobuf)
    };
    let failures = failures(&own, &[]).await;
    assert!(failures.iter().all(|failure| !failure.text.contains("s3cr-et")), "{failures:#?}");
    let seen = seen.lock().unwrap();
    assert!(seen.iter().any(|request| request.starts_with("POST ")), "another way was tried");
    assert!(seen.iter().all(|request| !request.contains("s3cr-et")), "{seen:#?}");
}

const OPEN: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// A proxy that tunnels to `to`, and the heads of what it was asked.
async fn proxy(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    listening(move |stream, seen| forward(stream, to, seen)).await
}

/// Tunnels what asks for that; passes on anything else as it is, which is enough for a test.
async fn forward(mut stream: TcpStream, to: SocketAddr, seen: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    seen.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    let mut onward = TcpStream::connect(to).await.unwrap();
    if head.starts_with(b"CONNECT ") {
        stream.write_all(OPEN.as_bytes()).await.unwrap();
    } else {
        onward.write_all(&head).await.unwrap();
    }
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_used_for_every_signal() {
    for (protocol, first) in [
        (Protocol::Grpc, "CONNECT collector.invalid:4999 HTTP/1.1\r\n"),
        (Protocol::HttpProtobuf, "POST http://collector.invalid:4999/v1/"),
    ] {
        let collector = Collector::new(protocol, []);
        let (proxy, seen) = proxy(collector.serve().await).await;
        let variable = format!("http://al:p%40ss@{proxy}");
        let own = own("http://collector.invalid:4999".to_owned(), protocol);
        for transport in transports(&own, &[("http_proxy", &variable)]) {
            let sent = transport.send(Bytes::new()).await;
            // The collector of these tests knows no metrics over gRPC.
            assert!(sent.is_ok() || sent.unwrap_err().text.contains("Unimplemented"));
        }
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 3, "{seen:#?}");
        let login = "proxy-authorization: basic yww6cebzcw==";
        for head in &*seen {
            assert!(head.starts_with(first), "{head}");
            assert!(head.to_lowercase().contains(login), "{head}");
        }
    }
}

#[tokio::test]
async fn tls_goes_through_a_tunnel_and_no_proxy_is_respected() {
    let folder = TempDir::new().unwrap();
    for protocol in BOTH {
        let collector = with_tls(protocol, folder.path()).await;
        let (proxy, seen) = proxy(collector).await;
        // By its own name, which the certificate does not hold: that shows that TLS was reached.
        let own = OwnOtlp {
            ca_file: Some(folder.path().join("ca.crt")),
            ..own("https://collector.invalid:4999".to_owned(), protocol)
        };
        let variable = ("HTTPS_PROXY", &*format!("http://{proxy}"));
        for failure in failures(&own, &[variable]).await {
            let text = failure.text;
            assert!(text.contains("through the proxy") && text.contains("certificate"), "{text}");
        }
        assert!(seen.lock().unwrap().iter().all(|head| head.starts_with("CONNECT ")));
        seen.lock().unwrap().clear();
        for failure in failures(&own, &[variable, ("NO_PROXY", "*.invalid")]).await {
            assert!(failure.text.contains("NO_PROXY excepts collector.invalid"), "{failure:?}");
        }
        assert!(seen.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_away_is_named() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (refusing, _) = answering("HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let (login, _) = answering("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    let (strange, _) = answering("SSH-2.0-OpenSSH_9.6\r\n\r\n").await;
    for (proxy, words) in [
        (refusing, "the proxy refused the tunnel: HTTP 403 Forbidden"),
        (login, "the proxy wants a login"),
        (closed, "the proxy cannot be reached"),
        (strange, "does not answer as an HTTP proxy"),
    ] {
        let own = own("https://collector.invalid".to_owned(), Protocol::Grpc);
        for failure in failures(&own, &[("HTTPS_PROXY", &*format!("http://{proxy}"))]).await {
            assert!(failure.text.contains(words), "{}", failure.text);
            assert!(failure.text.contains(&format!("the proxy http://{proxy}")), "{failure:?}");
        }
    }
}

#[tokio::test]
async fn a_proxy_that_repeats_a_secret_is_quoted_without_it() {
    let answer = "HTTP/1.1 407 no login YWw6cHIweHlwYXNz (al:pr0xypass) for Bearer s3cr-et\r\n\r\n";
    let (proxy, _) = answering(answer).await;
    let variable = format!("http://al:pr0xypass@{proxy}");
    for protocol in BOTH {
        let own = own("https://collector.invalid".to_owned(), protocol);
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cr-et");
        for failure in failures(&own, &[("HTTPS_PROXY", &variable), headers]).await {
            let text = failure.text;
            assert!(text.contains("HTTP 407 no login *** (***) for ***"), "{text}");
        }
    }
}

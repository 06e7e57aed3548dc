use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::engine::Snapshot;
use tokenwatch_core::world::clocks::{ClockState, Estimate};
use tokenwatch_otlp::protocol::Protocol;

use super::super::failure::Kind;
use super::super::transport::Transport;
use super::collector::Collector;
use crate::config::otlp::OwnOtlp;
use crate::config::otlp::tests::resolved;
use crate::regular_file;
use crate::sinks::SnapshotSource;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Authority::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf(authority: &Authority) -> (rcgen::Certificate, KeyPair) {
    leaf_until(authority, 4_000)
}

/// Good until that year.
fn leaf_until(authority: &Authority, year: i32) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    (params.signed_by(&key, authority).unwrap(), key)
}

/// Demands a certificate of `authority`.
fn server(
    authority: &Authority,
    protocol: Protocol,
    (certificate, key): (rcgen::Certificate, KeyPair),
) -> Arc<rustls::ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
        .build()
        .unwrap();
    let builder = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = builder
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols =
        vec![if protocol == Protocol::Grpc { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Arc::new(config)
}

/// Writes a new pair, and gives its certificate.
fn issue(authority: &Authority, folder: &Path) -> Vec<u8> {
    let (certificate, key) = leaf(authority);
    std::fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    certificate.der().to_vec()
}

fn transport(
    address: std::net::SocketAddr,
    protocol: Protocol,
    folder: &Path,
    client: bool,
) -> Transport {
    let own = OwnOtlp {
        endpoint: Some(format!("https://{address}")),
        protocol: Some(protocol),
        ca_file: Some(folder.join("ca.crt")),
        client_cert_file: client.then(|| folder.join("tls.crt")),
        client_key_file: client.then(|| folder.join("tls.key")),
        ..OwnOtlp::default()
    };
    Transport::new(resolved(&own, &[]).logs.unwrap())
}

async fn stage(protocol: Protocol) -> (Collector, std::net::SocketAddr, Authority, TempDir) {
    let folder = TempDir::new().unwrap();
    let authority = authority();
    std::fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
    let collector = Collector::new(protocol, []);
    let address = collector
        .serve_at(
            "127.0.0.1:0".parse().unwrap(),
            Some(server(&authority, protocol, leaf(&authority))),
        )
        .await;
    (collector, address, authority, folder)
}

#[tokio::test]
async fn a_rotated_client_certificate_is_used_within_a_minute() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let (collector, address, authority, folder) = stage(protocol).await;
        let first = issue(&authority, folder.path());
        let transport = transport(address, protocol, folder.path(), true);
        transport.send(Bytes::new()).await.unwrap();
        let second = issue(&authority, folder.path());
        transport.send(Bytes::new()).await.unwrap();
        assert_eq!(
            collector.seen.lock().unwrap().peers,
            std::slice::from_ref(&first),
            "one connection so far"
        );
        transport.age_connection(Duration::from_secs(61));
        transport.send(Bytes::new()).await.unwrap();
        assert_eq!(collector.seen.lock().unwrap().peers, [first, second]);
    }
}

#[tokio::test]
async fn a_missing_client_certificate_is_named() {
    let (_collector, address, _authority, folder) = stage(Protocol::Grpc).await;
    let failure = transport(address, Protocol::Grpc, folder.path(), false)
        .send(Bytes::new())
        .await
        .unwrap_err();
    assert!(failure.text.contains("CertificateRequired"), "{}", failure.text);
}

#[tokio::test]
async fn a_file_that_is_missing_is_named_and_used_once_it_is_there() {
    let (_collector, address, authority, folder) = stage(Protocol::HttpProtobuf).await;
    let transport = transport(address, Protocol::HttpProtobuf, folder.path(), true);
    let failure = transport.send(Bytes::new()).await.unwrap_err();
    assert!(failure.text.contains("tls.crt cannot be read"), "{}", failure.text);
    issue(&authority, folder.path());
    transport.send(Bytes::new()).await.unwrap();
}

#[tokio::test]
async fn a_disk_that_hangs_is_named_and_ends_no_connection() {
    let (_collector, address, authority, folder) = stage(Protocol::HttpProtobuf).await;
    issue(&authority, folder.path());
    let transport = transport(address, Protocol::HttpProtobuf, folder.path(), true);
    transport.send(Bytes::new()).await.unwrap();
    let hung = folder.path().join("tls.crt");
    let _release = transport.reads().hang(move || regular_file::check(&hung).unwrap()).await;
    transport.age_connection(Duration::from_secs(61));
    transport.send(Bytes::new()).await.expect("the connection keeps the previous files");
    transport.disconnect();
    let failure = transport.send(Bytes::new()).await.unwrap_err();
    assert!(failure.text.contains("tls.crt has not answered within 5 s"), "{}", failure.text);
    assert_eq!(failure.kind, Kind::Connection, "it is tried again");
}

#[tokio::test]
async fn another_authority_is_not_trusted() {
    let (_collector, address, authority, folder) = stage(Protocol::HttpProtobuf).await;
    issue(&authority, folder.path());
    std::fs::write(folder.path().join("ca.crt"), self::authority().pem()).unwrap();
    let failure = transport(address, Protocol::HttpProtobuf, folder.path(), true)
        .send(Bytes::new())
        .await
        .unwrap_err();
    assert!(failure.text.contains("certificate"), "{}", failure.text);
}

#[tokio::test]
async fn an_expired_certificate_of_the_collector_is_named() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let (_, _, authority, folder) = stage(protocol).await;
        issue(&authority, folder.path());
        let collector = Collector::new(protocol, []);
        let config = server(&authority, protocol, leaf_until(&authority, 2_020));
        let address = collector.serve_at("127.0.0.1:0".parse().unwrap(), Some(config)).await;
        let failure =
            transport(address, protocol, folder.path(), true).send(Bytes::new()).await.unwrap_err();
        assert!(
            failure.kind == Kind::Connection && failure.text.contains("xpired"),
            "{}",
            failure.text
        );
        let explained = transport(address, protocol, folder.path(), true).with_clock(&ahead());
        let failure = explained.send(Bytes::new()).await.unwrap_err();
        assert!(
            failure.text.contains("this node's clock is 2h 00m ahead of true time"),
            "{}",
            failure.text
        );
    }
}

/// A clock that servers show to be two hours ahead.
fn ahead() -> SnapshotSource {
    let clock = Estimate {
        offset: Delta::from_secs(-7_200),
        bound: Delta::from_millis(5),
        assumed: false,
        alone: false,
        state: ClockState::Off,
    };
    Arc::new(move || Snapshot { clock, ..Snapshot::default() })
}

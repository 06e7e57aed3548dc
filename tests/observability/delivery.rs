//! What the gateway promises: it accepts an alert only when the backend has accepted it; it serves
//! TLS; and it sends the headers that the backend requires.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

use crate::bed::{Collector, tokenwatch, workdir};
use crate::gateway::Gateway;
use crate::node::{Node, payload, token};
use crate::process::Process;
use crate::tools::all_there;
use crate::wait::{secs, until};

/// No server listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

fn expired() -> Node {
    let node = Node::new();
    node.pod("expired-0", &token(&payload("expired-0", 700, 600)));
    node
}

fn agent(directory: &Path, node: &Node, arguments: &[&str]) -> Process {
    let mut command = tokenwatch();
    command
        .args(["run", "--node", "node-1", "--clock-discover", "false", "--root"])
        .arg(node.root())
        .args(arguments);
    Process::start(&mut command, &directory.join("agent.log"))
}

#[test]
fn an_alert_stays_on_its_node_until_the_backend_has_it() {
    if !all_there() {
        return;
    }
    let directory = workdir("delivery");
    let backend = Collector::planned(&directory);
    let gateway = Gateway::planned(
        NOWHERE,
        &format!("http://127.0.0.1:{}", backend.http),
        &format!("{NOWHERE}/write"),
    );
    let (running, node) = (gateway.start(&directory), expired());
    let _agent = agent(
        &directory,
        &node,
        &["--otlp-endpoint", &format!("http://127.0.0.1:{}", gateway.http)],
    );
    until("the agent to log that its alert is not delivered", secs(60), || {
        logs_a_failed_delivery(&directory.join("agent.log")).then_some(())
    });
    // The gateway stores nothing, so nothing is lost when it ends.
    drop(running);
    let _backend = backend.start();
    let _gateway = gateway.start(&directory);
    backend
        .telemetry()
        .wait_alert("token.expired", secs(60), |alert| alert.is("raised", "token.expired"));
}

/// Whether the agent logged that the gateway answers, but could not forward an alert.
fn logs_a_failed_delivery(log: &Path) -> bool {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().any(|line| line.contains("alerts are not delivered") && line.contains("503"))
}

#[test]
fn alerts_arrive_over_tls_and_with_the_required_headers() {
    if !all_there() {
        return;
    }
    let directory = workdir("tls");
    let [certificate, key] = certificate(&directory);
    let (backend, requests) = listener();
    let gateway = Gateway::planned(NOWHERE, &backend, &format!("{NOWHERE}/write")).with("tls.yaml");
    let gateway = gateway
        .set("TLS_CERT_FILE", &certificate)
        .set("TLS_KEY_FILE", &key)
        .set("ALERTS_HEADERS", r#"{x-tenant: "shop"}"#);
    let (_running, node) = (gateway.start(&directory), expired());
    let endpoint = format!("https://localhost:{}", gateway.http);
    let _agent = agent(
        &directory,
        &node,
        &[
            "--otlp-endpoint",
            &endpoint,
            "--otlp-protocol",
            "http/protobuf",
            "--otlp-ca-file",
            &certificate,
        ],
    );
    let (head, body) = requests.recv_timeout(secs(60)).expect("an alert at the backend");
    assert!(
        head.starts_with("POST /v1/logs ") && head.to_lowercase().contains("x-tenant: shop"),
        "{head}"
    );
    assert!(!body.is_empty());
}

/// A certificate that signs itself, and its key, as files.
fn certificate(directory: &Path) -> [String; 2] {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = [("tls.crt", signed.cert.pem()), ("tls.key", signed.signing_key.serialize_pem())];
    files.map(|(name, pem)| {
        let path: PathBuf = directory.join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    })
}

/// A backend that passes on the head and body of each request.
fn listener() -> (String, Receiver<(String, Vec<u8>)>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let (sender, receiver) = channel();
    let address = format!("http://{}", socket.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in socket.incoming().map_while(Result::ok) {
            let _ = sender.send(received(&stream)); // the test may have ended
        }
    });
    (address, receiver)
}

fn received(mut stream: &TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
    let _ = reader.read_exact(&mut body); // the test looks at the body
    let _ = stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\
          connection: close\r\n\r\n",
    );
    (head, body)
}

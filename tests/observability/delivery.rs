//! What the gateway promises: an alert is taken when the far end has taken it, over TLS too, and
//! with the headers that the far end asks for.

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

/// Nobody listens there.
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
fn an_alert_waits_on_its_node_until_the_far_end_has_it() {
    if !all_there() {
        return;
    }
    let directory = workdir("delivery");
    let end = Collector::planned(&directory);
    let gateway = Gateway::planned(
        NOWHERE,
        &format!("http://127.0.0.1:{}", end.http),
        &format!("{NOWHERE}/write"),
    );
    let (running, node) = (gateway.start(&directory), expired());
    let _agent = agent(
        &directory,
        &node,
        &["--otlp-endpoint", &format!("http://127.0.0.1:{}", gateway.http)],
    );
    until("the agent to be told that nobody has its alert", secs(60), || {
        waits(&directory.join("agent.log")).then_some(())
    });
    // The gateway keeps nothing: one that dies has lost nothing.
    drop(running);
    let _end = end.start();
    let _gateway = gateway.start(&directory);
    end.telemetry()
        .wait_alert("token.expired", secs(60), |alert| alert.is("raised", "token.expired"));
}

/// What the agent's diary says of an alert that a gateway, which answers, could not pass on.
fn waits(diary: &Path) -> bool {
    let told = std::fs::read_to_string(diary).unwrap_or_default();
    told.lines().any(|line| line.contains("alerts are not delivered") && line.contains("503"))
}

#[test]
fn over_tls_and_with_the_headers_that_are_asked_for() {
    if !all_there() {
        return;
    }
    let directory = workdir("tls");
    let [certificate, key] = certificate(&directory);
    let (end, requests) = listener();
    let gateway = Gateway::planned(NOWHERE, &end, &format!("{NOWHERE}/write")).with("tls.yaml");
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
    let (head, body) = requests.recv_timeout(secs(60)).expect("an alert at the far end");
    assert!(
        head.starts_with("POST /v1/logs ") && head.to_lowercase().contains("x-tenant: shop"),
        "{head}"
    );
    assert!(!body.is_empty());
}

/// Its own authority.
fn certificate(directory: &Path) -> [String; 2] {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = [("tls.crt", made.cert.pem()), ("tls.key", made.signing_key.serialize_pem())];
    files.map(|(name, pem)| {
        let path: PathBuf = directory.join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    })
}

/// A far end that shows what it is asked: the request's head and body.
fn listener() -> (String, Receiver<(String, Vec<u8>)>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let (sender, receiver) = channel();
    let address = format!("http://{}", socket.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in socket.incoming().map_while(Result::ok) {
            let _ = sender.send(taken(&stream)); // the test may be over
        }
    });
    (address, receiver)
}

fn taken(mut stream: &TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
    let _ = reader.read_exact(&mut body); // what is missing is seen by the test
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    (head, body)
}

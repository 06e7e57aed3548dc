//! The HTTP server of the agent from outside: its responses, and its cost under load.

// Helpers of tests panic on failure, which the lints cannot tell from product code.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

#[path = "support/node.rs"]
mod node;
#[path = "support/web.rs"]
mod web;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use node::{Node, SIGNATURE, bare, payload, token};
use web::{Answer, connected, free_port, get, raw};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running agent with its HTTP server.
struct Agent {
    child: Child,
    node: Node,
    address: SocketAddr,
}

impl Agent {
    fn start() -> Self {
        Self::with(free_port(), &[])
    }

    /// Returns as soon as the process runs. It may not listen yet.
    fn launch(port: u16, more: &[&str]) -> Self {
        let node = Node::new();
        node.pod("cart-0", &token(&payload("cart-0", 700, 600)));
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
        command
            .args([
                "run",
                "--node",
                "node-1",
                "--clock-discover",
                "false",
                "--http-port",
                &port.to_string(),
                "--root",
            ])
            .arg(node.root());
        command
            .args(more)
            .stdout(Stdio::null())
            .stderr(File::create(node.root().join("log")).unwrap());
        let child = bare(&mut command).env("TOKENWATCH_HTTP_ENABLED", "true").spawn().unwrap();
        Self { child, node, address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port) }
    }

    fn with(port: u16, more: &[&str]) -> Self {
        let agent = Self::launch(port, more);
        until("it is ready", || agent.get("/readyz").is_some_and(|answer| answer.status == 200));
        agent
    }

    fn get(&self, path: &str) -> Option<Answer> {
        get(self.address, path, "")
    }

    fn response(&self, path: &str) -> Answer {
        self.get(path).unwrap_or_else(|| panic!("no answer for {path}; the log: {}", self.log()))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.node.root().join("log")).unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn it_serves_its_five_paths_and_nothing_else() {
    let agent = Agent::start();
    assert_eq!(agent.response("/livez").body, "ok\n");
    assert_eq!(agent.response("/livez?verbose").body, "[+]engine ok\nlivez check passed\n");
    assert_eq!(
        agent.response("/readyz?verbose=1").body,
        "[+]files ok\n[+]clock ok\nreadyz check passed\n"
    );
    assert!(
        agent.response("/metrics").body.contains("tokenwatch_tokens{token_state=\"expired\"} 1\n")
    );
    assert!(agent.response("/").body.contains("shop/cart-0"));
    let readers = agent.response("/readers");
    assert!(readers.head.contains("content-type: application/json\r\n"), "{}", readers.head);
    assert!(
        readers.body.contains("\"tokens\": 1\n") && readers.body.contains("\"node\": \"node-1\"")
    );
    for path in [
        "/nothing",
        "/../etc/passwd",
        "/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/metrics/",
        "/./",
        "/livez/..",
        "/status.json",
        "/readers/",
        "/readers/shop/cart-0",
    ] {
        let answer = agent.response(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.contains("/metrics") && !answer.body.contains("root:"), "{path}");
    }
}

/// Nothing in the query is decoded, and what is no name of a pod is refused.
#[test]
fn the_readers_of_one_pod_can_be_asked_for() {
    let agent = Agent::start();
    let tokens = |query: &str| {
        let answer = agent.response(&format!("/readers{query}"));
        let count = answer.body.split("\"tokens\": ").nth(1).map(|it| it.trim_end_matches("\n}\n"));
        (answer.status, count.map(ToOwned::to_owned))
    };
    for query in ["", "?", "?pod=cart-0", "?pod=shop/cart-0", "?pod=uid-cart-0", "?x=1&pod=cart-0"]
    {
        assert_eq!(tokens(query), (200, Some("1".to_owned())), "{query}");
    }
    assert_eq!(tokens("?pod=other"), (200, Some("0".to_owned())));
    for query in ["?pod=", "?pod=a/b/c", "?pod=%2e%2e/etc", "?pod=<script>"] {
        let answer = raw(
            agent.address,
            format!(
                "GET /readers{query} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                agent.address
            )
            .as_bytes(),
        );
        assert!(answer.is_some_and(|it| it.status == 400), "{query}");
    }
}

#[test]
fn a_source_that_is_not_configured_neither_works_nor_fails() {
    let agent = Agent::start();
    until("the files are scanned", || {
        agent.get("/metrics").is_some_and(|it| {
            it.body.contains("sources_up{source=\"files\",tokenwatch_source=\"files\"} 1")
        })
    });
    let metrics = agent.response("/metrics").body;
    assert!(!metrics.contains("source=\"ntp\""), "{metrics}");
    let page = agent.response("/").body;
    assert!(page.contains("not configured: clock.servers names no time server"), "{page}");
}

#[test]
fn only_get_and_head_are_allowed() {
    let agent = Agent::start();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"] {
        let target = if method == "CONNECT" { "example.com:80" } else { "/" };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: \
             0\r\n\r\n",
            agent.address
        );
        let answer = raw(agent.address, request.as_bytes()).unwrap();
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("allow: get, head"), "{method}");
    }
    let head = raw(
        agent.address,
        format!("HEAD / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", agent.address)
            .as_bytes(),
    )
    .unwrap();
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn every_response_has_its_security_headers() {
    let agent = Agent::start();
    for path in ["/", "/metrics", "/readers", "/livez", "/nothing"] {
        let head = agent.response(path).head;
        for wanted in [
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "content-security-policy: default-src 'none'",
            "referrer-policy: no-referrer",
        ] {
            assert_eq!(
                head.matches(wanted.split(':').next().unwrap()).count(),
                1,
                "{path}: {wanted}"
            );
            assert!(head.contains(wanted), "{path}: {wanted}");
        }
        assert!(!head.contains("access-control") && !head.contains("unsafe"), "{path}");
    }
}

/// Under a name that anybody can point at this address (DNS rebinding) only the probes answer.
#[test]
fn it_refuses_foreign_host_names() {
    let agent = Agent::start();
    let asked = |target: &str, host: &str| {
        raw(
            agent.address,
            format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
        .unwrap()
    };
    for path in ["/", "/metrics", "/readers"] {
        let refused = asked(path, "rebound.example.com");
        assert_eq!(refused.status, 421, "{path}");
        assert!(!refused.body.contains("cart-0"));
        assert_eq!(
            asked(path, &format!("localhost:{}", agent.address.port())).status,
            200,
            "{path}"
        );
        assert_eq!(asked(path, "tokenwatch.monitoring.svc").status, 200, "{path}");
    }
    assert_eq!(asked("http://rebound.example.com/", "127.0.0.1").status, 421);
    assert_eq!(asked("/livez", "rebound.example.com").status, 200);
    let without = raw(agent.address, b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(without.status, 200, "every browser sends a host name");
}

/// With an unreachable collector, so that the page shows its error too, and so that both readers of
/// metrics share the instruments.
#[test]
fn no_byte_of_a_token_and_no_password_is_served() {
    const PASSWORD: &str = "correct-horse-battery";
    let header = format!("authorization=Bearer {PASSWORD}");
    let agent = Agent::with(
        free_port(),
        &[
            "--otlp-endpoint",
            "http://127.0.0.1:9",
            "--otlp-protocol",
            "http/protobuf",
            "--otlp-header",
            &header,
        ],
    );
    // Not a token, but it may be a secret.
    agent.node.pod("odd-0", &format!("eyJhbGciOiJSUzI1NiJ9.{SIGNATURE}"));
    let whole = token(&payload("cart-0", 700, 600));
    until("the malformed token and the collector are on the page", || {
        let page = agent.response("/").body;
        page.contains("token.malformed") && page.contains("waiting for the collector")
    });
    assert!(
        agent
            .response("/metrics")
            .body
            .contains("tokenwatch_findings{tokenwatch_finding_code=\"token.expired\"")
    );
    for (path, accept) in [
        ("/", ""),
        ("/readers", ""),
        ("/metrics", ""),
        ("/metrics", "Accept: application/openmetrics-text\r\n"),
        ("/readyz?verbose", ""),
        ("/livez?verbose", ""),
    ] {
        let body = get(agent.address, path, accept).unwrap().body;
        let is_secret = |text: &str| body.contains(text);
        assert!(![SIGNATURE, &whole[..40], "eyJ", PASSWORD].into_iter().any(is_secret), "{path}");
    }
}

#[test]
fn names_from_outside_are_escaped() {
    let agent = Agent::start();
    let mut claims = payload("evil", 3_700, 3_600);
    claims["kubernetes.io"]["pod"]["name"] = "<script>alert(1)</script>".into();
    claims["kubernetes.io"]["namespace"] = "\"><img src=x onerror=alert(2)>".into();
    agent.node.pod("evil", &token(&claims));
    until("it is on the page", || agent.response("/").body.contains("alert(1)"));
    let page = agent.response("/").body;
    assert!(
        page.matches("<script>").count() == 1 && !page.contains("<img"),
        "only the script of the page itself"
    );
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[test]
fn an_unavailable_address_is_logged_once_and_used_later() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let agent = Agent::launch(
        address.port(),
        &[
            "--http-address",
            "127.0.0.1",
            "--http-address",
            "127.0.0.2",
            "--http-address",
            "192.0.2.1",
        ],
    );
    let other = SocketAddr::new(Ipv4Addr::new(127, 0, 0, 2).into(), address.port());
    until("the other address is served", || {
        get(other, "/livez", "").is_some_and(|answer| answer.status == 200)
    });
    until("both are logged", || agent.log().matches("cannot listen for HTTP").count() == 2);
    drop(taken);
    until("the freed address is served", || {
        agent.get("/livez").is_some_and(|answer| answer.status == 200)
    });
    let log = agent.log();
    assert_eq!(log.matches("cannot listen for HTTP").count(), 2, "once for each: {log}");
    assert!(
        log.contains("set http.port to another port") && log.contains("correct http.address"),
        "{log}"
    );
}

#[test]
fn it_can_be_disabled() {
    let agent = Agent::launch(free_port(), &["--http", "false"]);
    until("it has scanned all files", || agent.log().contains("source works source=files"));
    assert!(connected(agent.address).is_err());
}

/// Clients that send headers too slowly, or none, are disconnected. Others get answers meanwhile.
#[test]
fn slow_clients_are_disconnected() {
    let agent = Agent::start();
    let mut slow: Vec<_> = (0..7).map(|_| connected(agent.address).unwrap()).collect();
    let started = Instant::now();
    for stream in &mut slow {
        stream.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
    }
    assert_eq!(
        agent.response("/livez").status,
        200,
        "one more connection from this peer is allowed"
    );
    let mut rest = [0; 1_024];
    while slow[0].write_all(b"x").is_ok() && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
        let _ = slow[0].set_read_timeout(Some(Duration::from_millis(1)));
        if slow[0].read(&mut rest).is_ok_and(|count| count == 0) {
            break;
        }
    }
    assert!((5..15).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    let silent = connected(agent.address).unwrap().read(&mut rest);
    assert!(
        silent.is_ok_and(|count| count == 0),
        "a client that sends nothing is disconnected too"
    );
}

#[test]
fn headers_are_limited() {
    let agent = Agent::start();
    let long =
        format!("GET / HTTP/1.1\r\nHost: {}\r\nX: {}\r\n\r\n", agent.address, "x".repeat(100_000));
    let many =
        format!("GET / HTTP/1.1\r\nHost: {}\r\n{}\r\n", agent.address, "X: y\r\n".repeat(500));
    for request in [long, many, "\0\u{1}garbage\r\n\r\n".repeat(1_000)] {
        let answer = raw(agent.address, request.as_bytes());
        assert!(answer.is_none_or(|answer| (400..500).contains(&answer.status)));
    }
    let body = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n",
        agent.address
    );
    assert!(
        raw(agent.address, body.as_bytes()).is_some_and(|answer| answer.status == 200),
        "the server does not wait for the body"
    );
    assert_eq!(agent.response("/livez").status, 200);
}

/// Many requests from one peer: it gets only its share of connections, and the agent still sees
/// changes on the node.
#[test]
fn a_flood_of_requests_does_not_stop_the_agent() {
    let agent = Agent::start();
    let (address, over) = (agent.address, Arc::new(AtomicBool::new(false)));
    let flood: Vec<_> = (0..24)
        .map(|n| {
            let (path, over) = (["/", "/metrics", "/readyz"][n % 3], Arc::clone(&over));
            std::thread::spawn(move || {
                let mut answered = 0;
                while !over.load(Ordering::Relaxed) {
                    answered += usize::from(
                        get(address, path, "").is_some_and(|answer| answer.status == 200),
                    );
                }
                answered
            })
        })
        .collect();
    agent.node.pod("late-0", &token(&payload("late-0", 3_700, 3_600)));
    until("a new pod to be shown during the flood", || {
        get(address, "/", "").is_some_and(|page| page.body.contains("late-0"))
    });
    over.store(true, Ordering::Relaxed);
    let answered: usize = flood.into_iter().map(|one| one.join().unwrap()).sum();
    println!("{answered} answers during the flood");
    assert!(answered > 0);
    assert_eq!(agent.response("/livez").status, 200);
}

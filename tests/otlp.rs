//! Export over OTLP from outside: what the agent's log reports about the collector, and what it
//! reports where no collector takes its alerts.

// Helpers of tests panic on failure, which the lints cannot tell from product code.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

#[path = "support/node.rs"]
mod node;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use node::{Node, SIGNATURE, bare, payload, token};

const PATIENCE: Duration = Duration::from_secs(30);

/// Status, and what follows it in the answer.
type Answer = (u16, &'static str);

/// A collector over HTTP that answers by path and by the number of requests so far.
struct Collector {
    address: SocketAddr,
    paths: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    fn start(answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (paths, answer) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(answer));
        let seen = Arc::clone(&paths);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        Self { address, paths }
    }

    fn requests(&self, path: &str) -> usize {
        self.paths.lock().unwrap().iter().filter(|seen| *seen == path).count()
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<String>>,
    answer: &(dyn Fn(&str, usize) -> Answer + Send + Sync),
) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            head.extend(byte);
        }
        let head = String::from_utf8(head).ok()?.to_lowercase();
        let length = head.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
        stream.read_exact(&mut vec![0; length]).ok()?;
        let path = head.split(' ').nth(1)?.to_owned();
        let count = {
            let mut seen = seen.lock().ok()?;
            seen.push(path.clone());
            seen.len()
        };
        let (status, text) = answer(&path, count);
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

/// A running agent with an expired token.
struct Agent {
    child: Child,
    node: Node,
}

impl Agent {
    fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let node = Node::new();
        node.pod("cart-0", &token(&payload("cart-0", 700, 600)));
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
        command.args(["run", "--node", "node-1", "--clock-discover", "false", "--root"]);
        command.arg(node.root()).args(arguments).stdout(Stdio::null());
        command.stderr(File::create(node.root().join("log")).unwrap());
        let child = bare(&mut command).envs(variables.iter().copied()).spawn().unwrap();
        Self { child, node }
    }

    fn to(collector: &Collector, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let endpoint = format!("http://{}", collector.address);
        Self::start(&[&["--otlp-endpoint", endpoint.as_str()], arguments].concat(), variables)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.node.root().join("log")).unwrap()
    }

    /// The first line with all these words.
    fn wait(&self, words: &[&str]) -> String {
        let started = Instant::now();
        loop {
            let log = self.log();
            if let Some(line) =
                log.lines().find(|line| words.iter().all(|word| line.contains(word)))
            {
                return line.to_owned();
            }
            assert!(started.elapsed() < PATIENCE, "no line with {words:?} in:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its whole log.
    fn stop(mut self) -> String {
        self.wait(&["source works", "files"]); // by then it handles signals
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        let log = self.log();
        assert!(!log.contains(SIGNATURE), "{log}");
        log
    }
}

fn lines(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(words)).count()
}

#[test]
fn the_log_reports_once_per_signal_that_the_collector_was_reached() {
    let collector = Collector::start(|_, _| (200, ""));
    let agent = Agent::to(&collector, &[], &[]);
    for (signal, path) in [("alerts", "logs"), ("spans", "traces"), ("metrics", "metrics")] {
        let line = agent.wait(&["the collector was reached", &format!("signal=\"{signal}\"")]);
        assert!(line.contains(" INFO ") && line.contains(&format!("/v1/{path} (http/")), "{line}");
    }
    assert_eq!(lines(&agent.stop(), "the collector was reached"), 3);
}

#[test]
fn a_collector_without_a_logs_pipeline_is_reported_with_what_to_add() {
    let collector = Collector::start(|path, _| match path {
        "/v1/logs" => (404, "404 page not found"),
        _ => (200, ""),
    });
    let agent = Agent::to(&collector, &[], &[]);
    let line = agent.wait(&["WARN alerts are not delivered", "404 page not found"]);
    assert!(line.contains("service.pipelines.logs with the receiver otlp"), "{line}");
    agent.wait(&["the collector was reached", "signal=\"spans\""]);
    agent.stop();
}

/// For alerts, spans and metrics alike; then the recovery.
#[test]
fn the_same_trouble_in_other_words_is_logged_once_and_so_is_its_end() {
    const REASONS: [&str; 4] =
        ["full: 17 of 20", "full: 18 of 20", "tenant 7f3a is over its limit", "try 10.0.0.7:4318"];
    let collector = Collector::start(|_, count| match count {
        0..12 => (503, REASONS[count % 4]),
        _ => (200, ""),
    });
    let agent = Agent::to(&collector, &["--otlp-metrics-interval", "1s"], &[]);
    for signal in ["alerts", "spans", "metrics"] {
        agent.wait(&["the collector was reached", &format!("signal=\"{signal}\"")]);
    }
    let log = agent.stop();
    for words in ["alerts are not delivered", "spans are not delivered", "metrics were not"] {
        assert!(lines(&log, words) <= 1, "{log}");
    }
    assert!(lines(&log, "metrics were not delivered") == 1 && log.contains("HTTP 503"), "{log}");
    assert!(!log.contains("network error"), "{log}");
}

#[test]
fn findings_are_in_the_log_where_alerts_go_elsewhere() {
    for format in ["text", "json"] {
        let collector = Collector::start(|_, _| (200, ""));
        let agent = Agent::to(&collector, &["--log-format", format], &[]);
        let line = agent.wait(&["finding raised", "token.expired"]);
        if format == "json" {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(
                (&line["code"], &line["finding_severity"], &line["pod"], &line["level"]),
                (
                    &"token.expired".into(),
                    &"critical".into(),
                    &"shop/cart-0".into(),
                    &"WARN".into()
                )
            );
            assert!(line["summary"].as_str().unwrap().contains("shop/cart-0"), "{line}");
        } else {
            let words = ["WARN", "finding_severity=\"critical\"", "pod=\"shop/cart-0\""];
            assert!(words.iter().all(|word| line.contains(word)), "{line}");
        }
        agent.node.pod("cart-0", &token(&payload("cart-0", 1, 3_600)));
        agent.wait(&["finding cleared", "token.expired"]);
        assert_eq!(lines(&agent.stop(), "finding raised"), 1);
    }
}

/// The ways that are left are named, and one of them is this log.
#[test]
fn without_exported_alerts_the_log_names_the_ways_that_are_left() {
    let collector = Collector::start(|_, _| (200, ""));
    let agent = Agent::to(&collector, &[], &[("OTEL_LOGS_EXPORTER", "none")]);
    let line = agent.wait(&["OTEL_LOGS_EXPORTER is none"]);
    assert!(line.contains("status page") && line.contains("/metrics"), "{line}");
    agent.wait(&["finding raised", "token.expired"]);
    agent.wait(&["the collector was reached", "signal=\"metrics\""]);
    let log = agent.stop();
    assert!(lines(&log, "not sent alerts=") == 0, "{log}");
    assert_eq!(collector.requests("/v1/logs"), 0);
    assert!(collector.requests("/v1/metrics") > 0);
}

#[test]
fn each_exporter_can_be_switched_off() {
    for (name, path) in [("TRACES", "/v1/traces"), ("METRICS", "/v1/metrics")] {
        let collector = Collector::start(|_, _| (200, ""));
        let variable = format!("OTEL_{name}_EXPORTER");
        let agent = Agent::to(&collector, &[], &[(&variable, "none")]);
        agent.wait(&["the collector was reached", "signal=\"alerts\""]);
        agent.stop();
        assert_eq!(collector.requests(path), 0, "{name}");
        assert!(collector.requests("/v1/logs") > 0);
    }
}

/// One verdict, wherever the endpoint comes from and whichever command reads it.
#[test]
fn an_endpoint_without_a_scheme_has_one_verdict() {
    let node = Node::new();
    let file = node.file("config.yaml", "otlp: {endpoint: \"collector:4317\"}\n");
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "collector:4318"),
        ("TOKENWATCH_OTLP_ENDPOINT", "collector:4317"),
        ("TOKENWATCH_CONFIG", file.to_str().unwrap()),
    ];
    for (name, value) in variables {
        let messages = ["run", "check", "config"].map(|command| verdict(command, name, value));
        assert!(messages[0].contains("http://"), "{name}: {}", messages[0]);
        assert!(messages.iter().all(|message| *message == messages[0]), "{name}: {messages:#?}");
    }
}

/// What a command prints about this variable; it refuses to start.
fn verdict(command: &str, name: &str, value: &str) -> String {
    let mut process = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
    bare(process.arg(command)).env(name, value).stdin(Stdio::null());
    let output = process.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{command} {name}: {text}");
    text
}

#[test]
fn config_shows_proxies_and_doubts_without_the_password() {
    let shown = |endpoint: &str, variables: &[(&str, &str)]| {
        let mut process = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
        bare(process.args(["config", "--otlp-endpoint", endpoint]));
        let output = process.envs(variables.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    let proxy = ("HTTPS_PROXY", "http://al:s3cret@proxy.example:3128");
    let out = shown("https://c.example:4317", &[proxy]);
    assert!(out.contains("(grpc) through the proxy http://proxy.example:3128 (HTTPS_PROXY)"));
    assert!(!out.contains("s3cret"), "{out}");
    let out = shown("https://c.example:4317", &[proxy, ("no_proxy", ".example")]);
    assert!(out.contains("# No proxy: no_proxy excepts c.example from the proxy of HTTPS_PROXY."));
    let out = shown("https://c.example:4317", &[("ALL_PROXY", "socks5://al:s3cret@p:1080")]);
    assert!(out.contains("the agent cannot use the proxy of ALL_PROXY: it speaks socks5"), "{out}");
    assert!(!out.contains("s3cret"), "{out}");
    let out = shown("http://c.example:4318/v1/logs", &[]);
    assert!(out.contains("# Probably not meant: http://c.example:4318/v1/logs/v1/logs"), "{out}");
    let kubernetes = [
        ("https_proxy", "http://proxy.example:3128"),
        ("TOKENWATCH_KUBERNETES_ENABLED", "true"),
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
    ];
    let out = shown("http://127.0.0.1:4318", &kubernetes);
    assert!(out.contains("connects to the API server (https://10.0.0.1:443) directly"), "{out}");
}

/// A proxy that cannot be used, or that is not for this collector, is in the log at the start.
#[test]
fn the_log_names_the_proxy_at_the_start() {
    let collector = Collector::start(|_, _| (200, ""));
    let agent = Agent::to(&collector, &[], &[("HTTP_PROXY", "http://127.0.0.1:9")]);
    agent.wait(&["without a proxy", "127.0.0.1 is this machine: the proxy of HTTP_PROXY"]);
    agent.stop();
    let endpoint = ["--otlp-endpoint", "http://collector.invalid:4318"];
    let agent = Agent::start(&endpoint, &[("HTTP_PROXY", "socks5://127.0.0.1:9")]);
    agent.wait(&["WARN", "the agent cannot use the proxy of HTTP_PROXY: it speaks socks5"]);
    agent.wait(&["alerts are not delivered", "cannot use the proxy of HTTP_PROXY"]);
    agent.stop();
    let proxy = Collector::start(|_, _| (200, ""));
    let variable = format!("http://{}", proxy.address);
    let agent = Agent::start(&endpoint, &[("HTTP_PROXY", &variable)]);
    agent.wait(&["through a proxy", "(HTTP_PROXY)"]);
    agent.wait(&["the collector was reached", "signal=\"alerts\""]);
    agent.stop();
    assert!(proxy.requests("http://collector.invalid:4318/v1/logs") > 0);
}

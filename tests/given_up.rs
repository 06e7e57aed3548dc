//! Alerts for which there was no memory, across restarts: the next agent reports again what no
//! collector has accepted, and nothing else.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

#[path = "support/collector.rs"]
mod collector;
#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/node.rs"]
mod node;
#[path = "support/running.rs"]
mod running;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use collector::{Alert, Collector};
use nix::sys::signal::Signal;
use node::{Node, bare, payload, token};
use running::Running;

/// A debug build on a busy machine takes seconds for what takes milliseconds.
const PATIENCE: Duration = Duration::from_mins(1);
/// Findings: some five times as many as there is memory for alerts.
const PODS: usize = 200;
const MEMORY: &str = "64KiB";
const TAKES: Duration = Duration::ZERO;
const ACCEPTS: (u16, Duration) = (200, TAKES);
const REFUSES: (u16, Duration) = (503, TAKES);

fn until(what: &str, log: &Path, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        let text = || fs::read_to_string(log).unwrap_or_default();
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}:\n{}", text());
        std::thread::sleep(Duration::from_millis(50));
    }
}

struct Bed {
    node: Node,
    state: tempfile::TempDir,
    collector: Collector,
    pods: BTreeSet<String>,
}

impl Bed {
    fn new() -> Self {
        let node = Node::new();
        // kubelet works: no finding about it explains the others.
        node.pod("fresh", &token(&payload("fresh", 60, 3_600)));
        let pods = (0..PODS).map(|nth| format!("cart-{nth}")).map(|name| {
            node.pod(&name, &token(&payload(&name, 3_900, 3_600)));
            format!("uid-{name}")
        });
        let pods = pods.collect();
        let state = tempfile::tempdir().unwrap();
        Self { node, state, collector: Collector::start(REFUSES), pods }
    }

    /// Runs an agent until `is_done`, given its log, and ends it by this signal.
    fn run(&self, what: &str, end: Signal, is_done: impl Fn(&str) -> bool) {
        let log = self.state.path().join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
        command.args(["run", "--node", "node-1", "--clock-discover", "false", "--root"]);
        command.arg(self.node.root()).arg("--state-dir").arg(self.state.path());
        command.args(["--alerts-memory", MEMORY, "--shutdown-timeout", "1s"]);
        bare(&mut command).env("OTEL_EXPORTER_OTLP_ENDPOINT", self.collector.endpoint());
        command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf").stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let mut agent = Running::start(&mut command);
        until(what, &log, || is_done(&fs::read_to_string(&log).unwrap_or_default()));
        agent.signal(end);
        agent.wait().unwrap();
    }

    /// The pods of the expired tokens in the state file.
    fn saved(&self) -> BTreeSet<String> {
        let file = self.state.path().join("findings.json");
        let text = fs::read_to_string(file).unwrap_or_else(|_| "{}".to_owned());
        let state: serde_json::Value = serde_json::from_str(&text).unwrap();
        let findings = state["findings"].as_array().cloned().unwrap_or_default().into_iter();
        let of = |one: serde_json::Value| {
            one["finding"]["subject"]["token"]["pod"]["uid"].as_str().map(str::to_owned)
        };
        findings.filter(|one| one["finding"]["code"] == "token.expired").filter_map(of).collect()
    }

    /// The alerts that the collector accepted about expired tokens.
    fn accepted(&self) -> Vec<Alert> {
        let accepted = self.collector.accepted().into_iter();
        accepted.filter(|alert| alert.code == "token.expired").collect()
    }

    fn accepted_pods(&self) -> BTreeSet<String> {
        self.accepted().into_iter().map(|alert| alert.pod).collect()
    }
}

fn raised(log: &str) -> usize {
    let raised = |line: &&str| line.contains("finding raised") && line.contains("token.expired");
    log.lines().filter(raised).count()
}

#[test]
fn what_no_collector_accepted_is_reported_by_the_next_agent() {
    let bed = Bed::new();
    for end in [Signal::SIGTERM, Signal::SIGKILL] {
        bed.run("every finding is raised", end, |log| {
            raised(log) == PODS && log.contains("alerts are not delivered")
        });
        assert_eq!((bed.saved(), bed.accepted()), (BTreeSet::new(), vec![]), "{end}");
    }
    bed.collector.answer(ACCEPTS);
    let all = |_: &str| bed.accepted_pods() == bed.pods && bed.saved() == bed.pods;
    bed.run("every alert is accepted and saved", Signal::SIGTERM, all);
    assert!(bed.accepted().iter().all(|alert| alert.raises("token.expired")));

    // What was accepted is not raised again, whether the agent ends well or not.
    let before = bed.accepted().len();
    for end in [Signal::SIGKILL, Signal::SIGTERM] {
        bed.run("it has looked at all files", end, |log| log.contains("source works source=files"));
    }
    assert_eq!((bed.accepted().len(), bed.saved()), (before, bed.pods.clone()));
}

/// Half of the alerts are accepted, then the collector goes away: the next agent reports the rest.
#[test]
fn what_was_accepted_before_the_collector_went_away_is_kept() {
    let bed = Bed::new();
    bed.collector.answer((200, Duration::from_millis(500)));
    bed.run("some are accepted", Signal::SIGKILL, |_| !bed.accepted().is_empty());
    let early = bed.accepted_pods();
    let saved = bed.saved();
    assert!(
        saved.is_subset(&early),
        "saved without being accepted: {:?}",
        saved.difference(&early)
    );
    bed.collector.answer(ACCEPTS);
    let all = |_: &str| bed.accepted_pods() == bed.pods && bed.saved() == bed.pods;
    bed.run("every alert is accepted and saved", Signal::SIGTERM, all);
}

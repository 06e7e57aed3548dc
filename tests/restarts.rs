//! An agent that dies and the one after it: what was raised is neither raised again nor forgotten.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says what is wrong by panicking
#![allow(clippy::disallowed_methods)] // it starts programs, takes times and makes folders

#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/node.rs"]
mod node;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use node::{Node, bare, payload, token};

/// A debug build on a busy machine takes seconds for what takes milliseconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// An agent, and what it prints: alerts on standard output, the diary on standard error.
struct Agent {
    child: Child,
    lines: Receiver<String>,
}

impl Agent {
    fn start(node: &Node, state: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
        let arguments =
            ["run", "--node", "node-1", "--clock-discover", "false", "--http", "false", "--root"];
        bare(&mut command).args(arguments).arg(node.root()).arg("--state-dir").arg(state);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, lines) = channel();
        let errors = tell.clone();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).all(|line| tell.send(line).is_ok())
        });
        std::thread::spawn(move || {
            BufReader::new(err).lines().map_while(Result::ok).all(|line| errors.send(line).is_ok())
        });
        Self { child, lines }
    }

    /// Everything that is printed up to a line with `word` in it.
    fn until(&self, word: &str) -> String {
        let mut printed = String::new();
        loop {
            let line = self
                .lines
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("\"{word}\" was never printed:\n{printed}"));
            printed = format!("{printed}{line}\n");
            if line.contains(word) {
                return printed;
            }
        }
    }

    /// Without a chance to say a word.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// In order: what it printed since.
    fn stop(mut self) -> String {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        self.child.wait().unwrap();
        self.lines.iter().fold(String::new(), |printed, line| format!("{printed}{line}\n"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_for(file: &Path, word: &str) {
    let started = std::time::Instant::now();
    while !std::fs::read_to_string(file).is_ok_and(|text| text.contains(word)) {
        assert!(started.elapsed() < PATIENCE, "{} never said {word}", file.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_killed_agents_finding_is_carried_on() {
    let (node, state) = (Node::new(), tempfile::tempdir().unwrap());
    node.pod("cart", &token(&payload("cart", 700, 600)));
    let first = Agent::start(&node, state.path());
    first.until("token.expired");
    wait_for(&state.path().join("findings.json"), "token.expired");
    first.kill();

    node.pod("late", &token(&payload("late", 700, 600)));
    let second = Agent::start(&node, state.path());
    let printed = second.until("uid-late") + &second.stop();
    assert!(
        printed.contains("nobody watched for") && printed.contains("findings carried on: 1"),
        "{printed}"
    );
    let raised: Vec<_> = printed.lines().filter(|line| line.contains("token.expired")).collect();
    assert!(
        raised.iter().all(|line| line.contains("late")) && !raised.is_empty(),
        "raised again:\n{printed}"
    );
    let left = std::fs::read_to_string(state.path().join("findings.json")).unwrap();
    assert_eq!(left.matches("token.expired").count(), 2, "{left}");
    assert!(!left.contains(node::SIGNATURE));
}

#[test]
fn what_nobody_can_read_is_said_and_does_no_harm() {
    let (node, state) = (Node::new(), tempfile::tempdir().unwrap());
    node.pod("cart", &token(&payload("cart", 700, 600)));
    std::fs::write(state.path().join("findings.json"), "{").unwrap();
    let agent = Agent::start(&node, state.path());
    let printed = agent.until("token.expired");
    assert!(printed.contains("findings.json") && printed.contains("raised anew"), "{printed}");
}

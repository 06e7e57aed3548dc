//! A killed agent and the next one: findings are neither raised again nor left uncleared.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

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

/// An agent, and what it prints: alerts on standard output, its log on standard error.
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
        let (sender, lines) = channel();
        let errors = sender.clone();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        std::thread::spawn(move || {
            BufReader::new(err).lines().map_while(Result::ok).all(|line| errors.send(line).is_ok())
        });
        Self { child, lines }
    }

    /// Everything that is printed up to a line that contains `text`.
    fn until(&self, text: &str) -> String {
        let mut printed = String::new();
        loop {
            let line = self
                .lines
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("\"{text}\" was never printed:\n{printed}"));
            printed = format!("{printed}{line}\n");
            if line.contains(text) {
                return printed;
            }
        }
    }

    /// Kills the agent, so that it cannot save anything.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops the agent. Returns what it printed meanwhile.
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

fn wait_for(file: &Path, expected: &str) {
    let started = std::time::Instant::now();
    while !std::fs::read_to_string(file).is_ok_and(|text| text.contains(expected)) {
        assert!(started.elapsed() < PATIENCE, "{} never contained {expected}", file.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_killed_agents_finding_is_restored() {
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
        printed.contains("active findings restored") && printed.contains("findings=1"),
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
fn a_broken_state_file_is_reported_and_does_no_harm() {
    let (node, state) = (Node::new(), tempfile::tempdir().unwrap());
    node.pod("cart", &token(&payload("cart", 700, 600)));
    std::fs::write(state.path().join("findings.json"), "{").unwrap();
    let agent = Agent::start(&node, state.path());
    let printed = agent.until("token.expired");
    assert!(printed.contains("findings.json") && printed.contains("raised again"), "{printed}");
}

/// What a path held is kept in the state file: whatever takes its place while no agent runs is
/// reported by the next one.
#[test]
fn what_takes_the_place_of_a_token_while_no_agent_runs_is_reported() {
    use std::os::unix::fs::symlink;
    let (node, state) = (Node::new(), tempfile::tempdir().unwrap());
    let pods = ["empty", "cert", "pipe", "out", "nowhere", "sound"];
    for pod in pods {
        node.pod(pod, &token(&payload(pod, 0, 3_600)));
    }
    let file = state.path().join("findings.json");
    let first = Agent::start(&node, state.path());
    wait_for(&file, "\"held\"");
    first.stop();
    let left = std::fs::read_to_string(&file).unwrap();
    assert!(pods.iter().all(|pod| left.contains(&format!("uid-{pod}"))), "{left}");
    assert!(!left.contains(node::SIGNATURE));

    let place = |pod: &str, name: &str| node.volume(pod).directory().join(name);
    for pod in ["empty", "cert"] {
        std::fs::write(place(pod, "..data/token"), if pod == "cert" { "-----BEGIN" } else { "" })
            .unwrap();
    }
    for pod in ["pipe", "out"] {
        std::fs::remove_file(place(pod, "..data/token")).unwrap();
    }
    nix::unistd::mkfifo(&place("pipe", "..data/token"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink("/etc/hostname", place("out", "..data/token")).unwrap();
    std::fs::remove_file(place("nowhere", "..data")).unwrap();
    symlink("..2001_01_01_00_00_00.1", place("nowhere", "..data")).unwrap();

    let second = Agent::start(&node, state.path());
    let mut printed = String::new();
    for pod in &pods[..5] {
        let name = format!("UID uid-{pod}");
        if !printed.contains(&name) {
            printed += &second.until(&name);
        }
    }
    printed += &second.stop();
    assert!(printed.contains("the file is empty") && printed.contains("held one before"));
    assert!(!printed.contains("uid-sound") && !printed.contains("token.missing"), "{printed}");
    let third = Agent::start(&node, state.path());
    wait_for(&file, "\"held\"");
    third.stop();
    let left = std::fs::read_to_string(&file).unwrap();
    assert!(pods.iter().all(|pod| left.contains(&format!("uid-{pod}"))), "{left}");
}

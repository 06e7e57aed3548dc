//! Limits of the process that are too low, and a second agent.

use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::agent::{Agent, LONGEST_END, error, finished_command};
use crate::alone::can_run;
use crate::node::{Node, bare, payload, token};

/// A user that no process of this machine has.
const NOBODY_ELSE: &str = "54321";

#[test]
fn with_too_few_descriptors_the_start_fails_with_a_sentence() {
    let node = Node::new();
    for descriptors in ["5", "6", "7", "8", "12", "16"] {
        let limit = format!("--nofile={descriptors}:{descriptors}");
        let mut command = Command::new("prlimit");
        let run = ["run", "--clock-discover", "false", "--root"];
        command.arg(limit).arg(env!("CARGO_BIN_EXE_tokenwatch")).args(run).arg(node.root());
        let output = finished_command(bare(&mut command));
        assert_eq!(output.status.code(), Some(1), "{descriptors}: {}", error(&output));
        let printed = error(&output);
        assert!(printed.contains("raise the limit of open files"), "{descriptors}: {printed}");
        assert!(!printed.contains("panicked"), "{descriptors}: {printed}");
    }
}

#[test]
fn with_too_few_threads_the_start_fails_with_a_sentence() {
    // The limit does not apply to root.
    let mut command = Command::new("setpriv");
    let user = ["--reuid", NOBODY_ELSE, "--clear-groups"];
    let is_executable = bare(command.args(user)).arg(env!("CARGO_BIN_EXE_tokenwatch"));
    let is_executable = is_executable.arg("--version").stderr(Stdio::null()).status();
    let can = is_executable.is_ok_and(|status| status.success());
    if !can_run(can, "root, setpriv, and a binary that every user may run") {
        return;
    }
    for threads in ["1", "2", "3", "6"] {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nproc={threads}:{threads}")).arg("setpriv").args(user);
        command.arg(env!("CARGO_BIN_EXE_tokenwatch"));
        command.args(["run", "--clock-discover", "false", "--root", "/nonexistent"]);
        let output = finished_command(bare(&mut command));
        assert_eq!(output.status.code(), Some(1), "{threads}: {}", error(&output));
        let printed = error(&output);
        assert!(printed.contains("raise the limit of processes"), "{threads}: {printed}");
        assert!(!printed.contains("panicked"), "{threads}: {printed}");
    }
}

#[test]
fn a_second_agent_on_one_state_directory_waits_and_then_stops() {
    let (node, state) = (Node::new(), tempfile::tempdir().unwrap());
    let with_state = ["--state-dir", state.path().to_str().unwrap()];
    node.pod("cart", &token(&payload("cart", 700, 600)));
    let first = Agent::run(&node, &with_state);
    first.until("token.expired");
    let second = Agent::run(&node, &with_state);
    second.until("another agent uses the state directory");
    let (status, _, printed) = second.end();
    assert_eq!(status.code(), Some(1), "{printed}");
    assert!(printed.contains("another tokenwatch agent uses"), "{printed}");
    assert!(!printed.contains("token.expired"), "it raised the same again: {printed}");
    // One whose predecessor ends meanwhile goes on with what that one knew.
    let third = Agent::run(&node, &with_state);
    third.until("another agent uses the state directory");
    first.signal(Signal::SIGTERM);
    assert!(first.end().0.success());
    let printed = third.until("active findings restored");
    assert!(printed.contains("findings=1"), "{printed}");
    third.signal(Signal::SIGTERM);
    let (status, _, printed) = third.end();
    assert!(status.success() && !printed.contains("token.expired"), "raised again: {printed}");
}

/// Nobody has to wait for the end of one that waits itself.
#[test]
fn a_second_agent_that_waits_ends_on_a_signal() {
    let (node, state) = (Node::new(), tempfile::tempdir().unwrap());
    let with_state = ["--state-dir", state.path().to_str().unwrap()];
    let first = Agent::run(&node, &with_state);
    first.until("watching this node");
    let second = Agent::run(&node, &with_state);
    second.until("another agent uses the state directory");
    second.signal(Signal::SIGTERM);
    let (status, took, printed) = second.end();
    assert!(status.success() && took < LONGEST_END, "{status} after {took:?}: {printed}");
}

//! kubelet's directory is on a file system that hangs.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::agent::{Agent, LONGEST_END, PATIENCE, error, finished};
use crate::alone::is_alone;
use crate::hung::{Hung, mounted};
use crate::node::{Node, payload, token};
use crate::web::{free_port, get};

pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A node whose pods are on a file system of their own, with a token of ten minutes in each of
/// three, which are late in some seconds: a kubelet that renews nothing looks like this.
fn node_before_the_rotation() -> Node {
    let node = Node::new();
    mounted(&node.root().join("pods"));
    for pod in ["cart", "web", "db"] {
        node.pod(pod, &token(&payload(pod, 565, 600)));
    }
    node
}

/// The status of a probe, and its text.
pub(crate) fn probe(at: SocketAddr, path: &str) -> (u16, String) {
    get(at, path, "").map_or((0, String::new()), |answer| (answer.status, answer.body))
}

#[test]
fn a_file_system_that_hangs_is_reported_and_accuses_nobody() {
    if !is_alone("stuck::hangs::a_file_system_that_hangs_is_reported_and_accuses_nobody") {
        return;
    }
    let node = node_before_the_rotation();
    let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), free_port());
    let port = at.port().to_string();
    let mut command = Agent::command(&node);
    command.args(["--http-port", &port, "--files-rescan", "1s"]);
    let command = command.env("TOKENWATCH_HTTP_ENABLED", "true").stderr(Stdio::piped());
    let agent = Agent::start(command);
    until("it is ready", || probe(at, "/readyz").0 == 200);
    let Some(hung) = Hung::over(&node.root().join("pods")) else { return };
    let printed = agent.until("agent.blind");
    for accused in ["token.rotation", "token.expired", "kubelet.stalled"] {
        assert!(!printed.contains(accused), "{printed}");
    }
    let (status, body) = probe(at, "/readyz");
    assert!(status == 503 && body.contains("a read has not returned since"), "{status} {body}");
    assert_eq!(probe(at, "/livez").0, 200, "the engine works");
    // It was a late kubelet after all.
    drop(hung);
    agent.until("kubelet.stalled");
    until("it is ready again", || probe(at, "/readyz").0 == 200);
    let Some(_hung) = Hung::over(&node.root().join("pods")) else { return };
    agent.signal(Signal::SIGTERM);
    let (status, took, _) = agent.end();
    assert!(status.success() && took < LONGEST_END, "{status} after {took:?}");
}

#[test]
fn a_check_of_a_file_system_that_hangs_ends_with_a_sentence() {
    if !is_alone("stuck::hangs::a_check_of_a_file_system_that_hangs_ends_with_a_sentence") {
        return;
    }
    let node = node_before_the_rotation();
    let root = node.root().to_str().unwrap().to_owned();
    let Some(_hung) = Hung::over(&node.root().join("pods")) else { return };
    let started = Instant::now();
    let output = finished(&["check", "--time-limit", "2s", "--root", &root]);
    assert_eq!(output.status.code(), Some(2), "{}", error(&output));
    assert!(error(&output).contains("took longer than 2.0s"), "{}", error(&output));
    assert!(started.elapsed() < Duration::from_secs(2) + LONGEST_END, "{:?}", started.elapsed());
}

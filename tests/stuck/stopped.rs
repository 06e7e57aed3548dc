//! An agent that does not run for a while: it is stopped, as by a frozen cgroup.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::agent::Agent;
use crate::hangs::{probe, until};
use crate::node::{Node, payload, token};
use crate::web::{free_port, get};

/// The age of the tokens, of ten minutes, at the start of the test.
const AGE: i64 = 545;
/// The age at which a token that was not replaced is late: it is due at 480 s, and a healthy
/// kubelet has 96 s for it.
const LATE: i64 = 576;

/// Kubelet replaces the tokens of three pods twice, and that of a fourth not at all. When the agent
/// runs again, all four look late by what it knew.
#[test]
fn an_agent_that_was_stopped_reads_everything_before_it_accuses() {
    let (node, started) = (Node::new(), Instant::now());
    let sound = ["cart", "web", "mail"];
    for pod in sound.into_iter().chain(["db"]) {
        node.pod(pod, &token(&payload(pod, AGE, 600)));
    }
    let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), free_port());
    let port = at.port().to_string();
    let mut command = Agent::command(&node);
    // No rescan happens by itself.
    command.args(["--http-port", &port, "--files-rescan", "10h"]);
    let command = command.env("TOKENWATCH_HTTP_ENABLED", "true").stderr(Stdio::piped());
    let agent = Agent::start(command);
    until("it is ready", || probe(at, "/readyz").0 == 200);
    agent.stop();
    for age in [40, 0] {
        for pod in &sound {
            node.pod(pod, &token(&payload(pod, age, 600)));
        }
    }
    let stop =
        Duration::from_secs((LATE - AGE + 4).unsigned_abs()).saturating_sub(started.elapsed());
    std::thread::sleep(stop.max(Duration::from_secs(10)));
    agent.signal(Signal::SIGCONT);

    let printed = agent.until("token.rotation_late");
    until("it is ready again", || probe(at, "/readyz").0 == 200);
    let page = get(at, "/metrics", "").unwrap().body;
    agent.signal(Signal::SIGTERM);
    let (status, _, rest) = agent.end();
    assert!(status.success());
    let printed = printed + &rest;
    let mut alerts = printed.lines().filter(|line| line.contains("token.rotation"));
    assert!(alerts.all(|line| line.contains("shop/db")), "{printed}");
    for accused in ["token.expired", "kubelet.stalled", "agent.blind", "clock."] {
        assert!(!printed.contains(accused), "{accused}:\n{printed}");
    }
    assert!(printed.contains("the agent did not run for a while"), "{printed}");
    assert_eq!(printed.matches(" replaced after ").count(), sound.len(), "{printed}");
    let fresh = page
        .lines()
        .find(|line| line.starts_with("tokenwatch_tokens{") && line.contains("state=\"fresh\""));
    assert!(fresh.is_some_and(|line| line.ends_with(" 3")), "{fresh:?}");
}

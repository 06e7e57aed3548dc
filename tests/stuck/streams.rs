//! An output of the agent that nobody reads.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::Signal;
use nix::unistd::pipe;

use crate::agent::{Agent, LONGEST_END};
use crate::node::{Node, payload, token};

/// The smallest pipe that Linux gives.
const SMALL: i32 = 4_096;

/// An agent whose standard error is a pipe that is full and that nobody reads, and that pipe.
fn agent_with_stuck_stderr(node: &Node) -> (Agent, OwnedFd) {
    let (unread, stuck) = pipe().unwrap();
    let room = fcntl(&stuck, FcntlArg::F_SETPIPE_SZ(SMALL)).unwrap();
    let mut filled = File::from(stuck.try_clone().unwrap());
    filled.write_all(&vec![b'x'; usize::try_from(room).unwrap()]).unwrap();
    (Agent::start(Agent::command(node).stderr(stuck)), unread)
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_alerts_nor_the_end() {
    let node = Node::new();
    let (agent, _unread) = agent_with_stuck_stderr(&node);
    for pod in ["cart", "web", "late"] {
        node.pod(pod, &token(&payload(pod, 700, 600)));
        agent.until(&format!("shop/{pod}"));
    }
    agent.signal(Signal::SIGTERM);
    let (status, took, _) = agent.end();
    assert!(status.success(), "{status}");
    assert!(took < LONGEST_END, "{took:?}");
}

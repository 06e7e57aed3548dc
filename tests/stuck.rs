//! An output of the agent that is stuck stops nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/node.rs"]
mod node;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe};
use node::{Node, bare, payload, token};

/// A debug build on a busy machine takes seconds for what takes milliseconds.
const PATIENCE: Duration = Duration::from_mins(1);
/// The smallest pipe that Linux gives.
const SMALL: i32 = 4_096;

/// An agent whose standard error is a pipe that is full and that nobody reads, what it prints, and
/// that pipe.
fn agent_with_stuck_stderr(node: &Node) -> (Child, Receiver<String>, OwnedFd) {
    let (unread, stuck) = pipe().unwrap();
    let room = fcntl(&stuck, FcntlArg::F_SETPIPE_SZ(SMALL)).unwrap();
    let mut filled = File::from(stuck.try_clone().unwrap());
    filled.write_all(&vec![b'x'; usize::try_from(room).unwrap()]).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
    let arguments = ["run", "--node", "node-1", "--clock-discover", "false", "--root"];
    bare(&mut command).args(arguments).arg(node.root());
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stuck);
    let mut child = command.spawn().unwrap();
    let out = child.stdout.take().unwrap();
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        BufReader::new(out).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
    });
    (child, lines, unread)
}

fn wait_for(lines: &Receiver<String>, expected: &str) {
    let mut printed = String::new();
    while !printed.contains(expected) {
        let line = lines.recv_timeout(PATIENCE);
        printed += &line.unwrap_or_else(|_| panic!("no \"{expected}\" in {printed}"));
    }
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_alerts_nor_the_end() {
    let node = Node::new();
    let (mut child, lines, _unread) = agent_with_stuck_stderr(&node);
    for pod in ["cart", "web", "late"] {
        node.pod(pod, &token(&payload(pod, 700, 600)));
        wait_for(&lines, &format!("shop/{pod}"));
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let stopped = Instant::now();
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(stopped.elapsed() < PATIENCE, "{:?}", stopped.elapsed());
}

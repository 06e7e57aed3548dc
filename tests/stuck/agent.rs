//! A running agent, and what it prints.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::node::{Node, bare};

/// A debug build on a busy machine takes seconds for what takes milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// From the signal to the end: the last flush has 5 s, the state file 2 s and the log 1 s. A busy
/// machine gets 4 s more.
pub(crate) const LONGEST_END: Duration = Duration::from_secs(12);

/// Killed at the end, even if the test fails.
pub(crate) struct Agent {
    child: Child,
    lines: Receiver<String>,
}

impl Agent {
    /// `tokenwatch run` for this node, with more flags.
    pub(crate) fn run(node: &Node, more: &[&str]) -> Self {
        Self::start(Self::command(node).args(more).stderr(Stdio::piped()))
    }

    /// The command, to which a test may add.
    pub(crate) fn command(node: &Node) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
        let arguments = ["run", "--node", "node-1", "--clock-discover", "false", "--root"];
        bare(&mut command).args(arguments).arg(node.root());
        command
    }

    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        pass(child.stdout.take(), sender.clone());
        pass(child.stderr.take(), sender);
        Self { child, lines }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Stops it, and waits until none of its threads runs.
    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        let status = format!("/proc/{}/status", self.child.id());
        let is_stopped = || std::fs::read_to_string(&status).unwrap().contains("State:\tT");
        let started = Instant::now();
        while !is_stopped() {
            assert!(started.elapsed() < PATIENCE, "it does not stop");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything that is printed up to a line with this text.
    pub(crate) fn until(&self, expected: &str) -> String {
        let (mut printed, started) = (String::new(), Instant::now());
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("no \"{expected}\" in {printed}"));
            printed = format!("{printed}{line}\n");
            if line.contains(expected) {
                return printed;
            }
        }
    }

    /// Waits for the end, which a signal has asked for: the status, how long that took, and what
    /// was printed meanwhile.
    pub(crate) fn end(mut self) -> (ExitStatus, Duration, String) {
        let asked = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(asked.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let took = asked.elapsed();
        (status, took, self.lines.iter().fold(String::new(), |all, line| all + &line + "\n"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

fn pass(from: Option<impl Read + Send + 'static>, to: Sender<String>) {
    let Some(from) = from else { return };
    std::thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).all(|line| to.send(line).is_ok())
    });
}

/// Runs a command of tokenwatch that must not wait.
pub(crate) fn finished(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
    finished_command(bare(&mut command).args(arguments))
}

/// Runs a program that must not wait.
pub(crate) fn finished_command(command: &mut Command) -> Output {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{command:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// What a command printed to standard error.
pub(crate) fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

//! Child processes that end with their test.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::until;

/// A running child.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `command`, and writes everything that it prints to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let out = File::create(log)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", log.display()));
        let err = out.try_clone().unwrap();
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        Self { child: child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")) }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.id()).unwrap());
        kill(pid, signal).unwrap_or_else(|error| panic!("cannot signal {pid}: {error}"));
    }

    /// Sends SIGTERM, and waits for the exit, which must be soon enough.
    pub fn stop(mut self, within: Duration) -> ExitStatus {
        let started = Instant::now();
        self.signal(Signal::SIGTERM);
        let child = &mut self.child;
        let status = until("a child to stop on SIGTERM", within, || child.try_wait().unwrap());
        let took = started.elapsed();
        assert!(took < within, "a child took {took:?} to stop on SIGTERM");
        status
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end. If it fails, panics with its output.
pub fn run(command: &mut Command) -> Output {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    output
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

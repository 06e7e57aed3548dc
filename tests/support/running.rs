//! Programs that tests start.

use std::ops::{Deref, DerefMut};
use std::process::{Child, Command};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A program that a test has started. Killed at the end, even if the test fails.
pub(crate) struct Running(Child);

impl Running {
    /// Starts the program.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("the program of a test"))
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("a process that runs");
    }
}

impl Deref for Running {
    type Target = Child;
    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}

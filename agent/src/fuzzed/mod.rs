//! Entry points of the fuzz targets in `agent/fuzz`: one for each kind of bytes from outside. Each
//! gives any bytes to a parser and checks what has to hold of the result.
//!
//! They are compiled for tests and for fuzzing alone. Where a parser is private, its room has a
//! module `fuzzed` of its own. A test runs every seed through its entry point, so a find becomes a
//! regression test when its input is committed as a seed.

mod certificates;
mod folder;
mod made;
mod recording;
mod response;
mod secrets;
#[cfg(test)]
mod tests;
mod token;
mod verdicts;

use crate::{cli, config, discovery, kubernetes, proc, sinks, sources, state_file};

pub(crate) use folder::Folder;
pub(crate) use made::{made_signature, made_token};
pub(crate) use recording::assert_recorded;
pub(crate) use response::Response;
pub(crate) use secrets::{assert_no_signature, assert_no_token, assert_shown_without_signature};
pub(crate) use verdicts::assert_verdicts;

/// An entry point.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of the target and of its folder of seeds.
    pub name: &'static str,
    /// Panics where something does not hold.
    run: fn(&[u8]),
}

impl Target {
    /// Gives it these bytes.
    ///
    /// # Panics
    ///
    /// Where something does not hold.
    pub fn check(&self, bytes: &[u8]) {
        secrets::checked(self.run, bytes);
    }
}

/// Every entry point.
pub const TARGETS: &[Target] = &[
    target("api_answers", sources::fuzzed::api_answers),
    target("certificates", certificates::certificates),
    target("command_line", cli::fuzzed::command_line),
    target("config", config::fuzzed::config),
    target("copies", sources::copies::fuzzed::copies),
    target("fanotify", sources::readers::fanotify::fuzzed::fanotify),
    target("http", sinks::http::fuzzed::http),
    target("journal", sources::journal::fuzzed::journal),
    target("jwks", sources::signatures::fuzzed::jwks),
    target("kubeconfig", kubernetes::fuzzed::kubeconfig),
    target("kubelet_log", sources::kubelet_log::fuzzed::kubelet_log),
    target("kubelet_metrics", sources::kubelet_metrics::fuzzed::kubelet_metrics),
    target("mountinfo", proc::fuzzed::mount_table),
    target("ntp", sources::ntp::fuzzed::ntp),
    target("otlp", sinks::delivery::fuzzed::otlp),
    target("paths", sources::fuzzed::paths),
    target("pod_event", sources::kubelet_log::fuzzed::pod_event),
    target("pods", sources::pods::fuzzed::pods),
    target("processes", proc::fuzzed::processes),
    target("readers_answer", cli::fuzzed::readers_answer),
    target("recording", recording::recording),
    target("server_logs", sources::server_logs::fuzzed::server_logs),
    target("state_file", state_file::fuzzed::state_file),
    target("time_files", discovery::time_servers::fuzzed::time_files),
    target("token", token::token),
    target("volumes", sources::volumes::fuzzed::volumes),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// Runs the entry point of this name.
///
/// # Panics
///
/// Where there is none of this name, and where the entry point finds a fault.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    assert!(target.is_some(), "no target is called {name}");
    if let Some(target) = target {
        target.check(bytes);
    }
}

/// Numbers, taken from the bytes of an input one after the other.
#[derive(Debug)]
pub(crate) struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next bytes; zero where there are none.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_at(N.min(self.0.len()));
        self.0 = rest;
        let mut bytes = [0; N];
        bytes[..taken.len()].copy_from_slice(taken);
        bytes
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let [byte] = self.bytes();
        byte
    }

    pub(crate) fn i32(&mut self) -> i32 {
        i32::from_le_bytes(self.bytes())
    }

    pub(crate) fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.bytes())
    }

    /// Whether all bytes were taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

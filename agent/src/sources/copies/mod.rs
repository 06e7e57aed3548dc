//! Copies of tokens on the host: in the kubeconfigs and token files of CNI plugins at known places,
//! and in files that the settings name.
//!
//! - `places`: where to look;
//! - `checks`: the signatures of the tokens, checked while the reader has the bytes;
//! - `servers`: whose API server a kubeconfig names;
//! - `content`: what a text holds, with the kubeconfig's own parser in `kubeconfig`;
//! - `mentions`: which files the CNI configurations of the node name;
//! - `scan`: reads every place, and reports what changed since the last scan;
//! - `watch`: scans at once when a directory changes, and everything each minute.
//!
//! Only `sources::tokens` reads files. No token goes through a parser of YAML or JSON: each one is
//! decoded where it is, and a placeholder takes its place in the text.

mod checks;
mod content;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod kubeconfig;
mod mentions;
mod places;
mod scan;
mod servers;
#[cfg(test)]
mod tests;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use tokenwatch_core::world::observation::Observation;

use crate::sources::signatures::SharedKeys;

pub use places::tree_of;
pub use scan::Scanner;
pub use watch::run;

/// Where to look for copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiesConfig {
    /// The root directory of the host as this process sees it, with the known places in it. None:
    /// only `paths` are read.
    pub tree: Option<PathBuf>,
    /// Mount point of the host's root file system. `paths` are below it.
    pub prefix: PathBuf,
    /// Further files and directories on the host.
    pub paths: Vec<PathBuf>,
    /// URLs of the API server: that of the agent, and that of pods.
    pub api_servers: Vec<String>,
    /// Time between two scans without an event.
    pub rescan: Duration,
}

/// Looks once, for `check`: what the files hold, and what could not be read. Blocks.
///
/// The scanner can check the signatures later, once the keys are known ([`check_signatures`]).
pub fn check(config: CopiesConfig) -> (Vec<Observation>, Vec<String>, Scanner) {
    let mut scanner = Scanner::new(config, SharedKeys::default());
    let scan = scanner.scan();
    (scan.observations, scan.problems.into_iter().chain(scan.denied).collect(), scanner)
}

/// Checks the signature of every copy against these keys: what is reported about them. Blocks.
pub fn check_signatures(mut scanner: Scanner, keys: SharedKeys) -> Vec<Observation> {
    scanner.check_signatures(keys);
    scanner.scan().observations // what cannot be read was reported
}

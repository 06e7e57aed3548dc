//! Reads the state that the previous agent on this node saved.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::Value;
use tokenwatch_core::base::secrecy::redacted;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::ledger::Restored;
use tokenwatch_core::world::readers::KnownHabit;
use tokenwatch_core::world::tokens::{MAX_TOKENS, TokenKey};
use tracing::{info, warn};

use super::Error;
use super::format::{Content, MAX_BYTES, VERSION, path_in};
use crate::clocks;
use crate::regular_file::{self, Links};

/// The state that was restored; empty where no agent saved any.
#[derive(Debug, Default)]
pub struct RestoredState {
    /// Findings that were active.
    pub findings: Vec<Restored>,
    /// Habits of readers that were learned.
    pub habits: Vec<KnownHabit>,
    /// Paths that held a token.
    pub held: Vec<TokenKey>,
    /// When the previous agent last saved its state, on the node's clock.
    pub alive_at: Option<Wall>,
    /// Findings that were skipped, each with the reason.
    pub skipped: Vec<Error>,
}

/// Reads the state file and logs the outcome. A file that cannot be used is the same as none.
pub fn restore(directory: &Path, node: &str) -> RestoredState {
    let state = read(directory, node).unwrap_or_else(|error| {
        warn!(%error, "state file not used");
        RestoredState::default()
    });
    log(&state);
    state
}

fn log(state: &RestoredState) {
    for error in &state.skipped {
        warn!(%error, "finding not restored");
    }
    if let Some(alive_at) = state.alive_at {
        info!(
            findings = state.findings.len(),
            not_running_for = %(clocks::now().wall - alive_at),
            "active findings restored; rotations while no agent was running are not timed"
        );
    }
}

/// Reads the state file in `directory` for `node`.
pub fn read(directory: &Path, node: &str) -> Result<RestoredState, Error> {
    let path = path_in(directory);
    match bytes(&path)? {
        Some(bytes) => parse(&path, &bytes, node),
        None => Ok(RestoredState::default()),
    }
}

/// The file's bytes; none if there is no file.
fn bytes(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let failed = |error| Error::Read { path: path.to_owned(), error };
    let file = match regular_file::open(path, Links::Refuse) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::TooLarge(path.to_owned()));
    }
    Ok(Some(bytes))
}

pub(super) fn parse(path: &Path, bytes: &[u8], node: &str) -> Result<RestoredState, Error> {
    let content: Content<String, Value, Value, Value> = serde_json::from_slice(bytes)
        .map_err(|error| Error::Format { path: path.to_owned(), error })?;
    if content.version != VERSION {
        return Err(Error::Version { path: path.to_owned(), found: content.version });
    }
    if content.node != redacted(node) {
        return Err(Error::OtherNode { path: path.to_owned(), node: content.node });
    }
    let mut state = RestoredState { alive_at: Some(content.alive_at), ..RestoredState::default() };
    // A habit that this version does not know is learned again.
    let habits = content.habits.into_iter();
    state.habits = habits.filter_map(|value| serde_json::from_value(value).ok()).collect();
    content.findings.into_iter().for_each(|value| state.take(path, value));
    let held = content.held.into_iter().filter_map(|value| serde_json::from_value(value).ok());
    state.held = held.take(MAX_TOKENS).collect();
    state.add_found();
    Ok(state)
}

impl RestoredState {
    /// What a finding with a trace is about was a token, also where an earlier version wrote no
    /// held paths.
    fn add_found(&mut self) {
        let with_trace = self.findings.iter().filter(|one| one.finding.trace.is_some());
        let found = with_trace.filter_map(|one| one.finding.subject.token_key());
        let known: BTreeSet<TokenKey> = self.held.iter().cloned().chain(found).collect();
        self.held = known.into_iter().collect();
    }

    fn take(&mut self, path: &Path, finding: Value) {
        match serde_json::from_value(finding) {
            Ok(finding) => self.findings.push(finding),
            Err(error) => {
                self.skipped.push(Error::UnknownFinding { path: path.to_owned(), error });
            }
        }
    }
}

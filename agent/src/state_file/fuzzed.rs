//! Any bytes as the state file.

use std::path::Path;

use tokenwatch_core::base::time::{Delta, Monotonic, Reading, Wall};
use tokenwatch_core::engine::{Config, Engine};
use tokenwatch_core::ledger::Restored;
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::tokens::{MAX_TOKENS, TokenKey};

use super::RestoredState;
use super::read::parse;
use crate::fuzzed::assert_no_token;

/// The node of every seed: the file of another one is refused.
const NODE: &str = "n1";

/// No error repeats the file, and an engine goes on from what it holds.
pub(crate) fn state_file(bytes: &[u8]) {
    match parse(Path::new("/state/findings.json"), bytes, NODE) {
        Ok(state) => restored(bytes, state),
        Err(error) => assert_no_token(bytes, &format!("{error}")),
    }
}

fn restored(bytes: &[u8], state: RestoredState) {
    for error in &state.skipped {
        assert_no_token(bytes, &format!("{error}"));
    }
    assert!(state.held.len() <= MAX_TOKENS + state.findings.len());
    for finding in &state.findings {
        let json = serde_json::to_vec(finding).unwrap_or_default();
        assert_eq!(serde_json::from_slice::<Restored>(&json).ok().as_ref(), Some(finding));
    }
    let mut engine = Engine::new(Config { node: NODE.into(), ..Config::default() });
    let alive = state.alive_at.unwrap_or_default();
    let mut now = Reading { wall: alive, monotonic: Monotonic::from_nanos(1) };
    let held: Vec<TokenKey> = state.held;
    let _ = engine.restore(&now, state.findings);
    for key in held.into_iter().take(16) {
        let _ = engine.step(&now, Observation::Gone(key));
    }
    for wait in [30, 900, 86_400] {
        now = now.after(Delta::from_secs(wait));
        let _ = engine.step(&now, Observation::Tick);
    }
    now.wall = Wall::from_secs(0);
    let _ = engine.step(&now, Observation::Tick);
}

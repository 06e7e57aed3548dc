//! What the engine shows of itself: to metrics, and to `check`.

use std::collections::BTreeMap;

use crate::clock::{ClockState, Estimate};
use crate::findings::{Code, PodRef, Severity};
use crate::time::{Delta, Wall};
use crate::token::{Claims, Deadlines, State, TokenKey, Verdict};

/// The aggregated figures of one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Tokens by state; every state is present.
    pub tokens: BTreeMap<State, u64>,
    /// Active findings by code and severity.
    pub findings: BTreeMap<(Code, Severity), u64>,
    /// Time to the nearest effective deadline, on the node's clock.
    pub nearest_deadline: Option<Delta>,
    /// The clock.
    pub clock: Estimate,
    /// Sources: true while they work.
    pub sources: BTreeMap<String, bool>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            tokens: State::ALL.into_iter().map(|state| (state, 0)).collect(),
            findings: BTreeMap::new(),
            nearest_deadline: None,
            clock: Estimate { offset: Delta::ZERO, bound: Delta::ZERO, assumed: true, state: ClockState::Unknown },
            sources: BTreeMap::new(),
        }
    }
}

/// One token as people and scripts see it.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenView {
    /// Where.
    pub key: TokenKey,
    /// Whose.
    pub pod: PodRef,
    /// What it says.
    pub claims: Claims,
    /// What follows.
    pub deadlines: Deadlines,
    /// On the node's clock.
    pub state: State,
    /// On true time.
    pub verdict: Verdict,
    /// When this generation appeared, if it was seen to.
    pub appeared_at: Option<Wall>,
}

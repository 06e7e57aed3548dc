//! A recording through an engine.

use super::entry::{Content, Entry, Header};
use crate::base::time::{Reading, Wall};
use crate::engine::{Engine, Outcome};
use crate::findings::Finding;

/// An engine that is given what another one was given before.
#[derive(Debug)]
pub struct Player {
    engine: Engine,
    summary: Summary,
}

/// What was replayed so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The clocks at the first entry.
    pub first: Option<Reading>,
    /// The clocks at the last one.
    pub last: Option<Reading>,
    /// Observations, ticks included.
    pub observations: u64,
    /// Entries that the recorder lost.
    pub lost: u64,
    /// Whether the agent stopped in order.
    pub stopped: bool,
}

impl Player {
    /// With the configuration of the recording.
    pub fn new(header: &Header) -> Self {
        Self { engine: Engine::new(header.config.clone()), summary: Summary::default() }
    }

    /// Takes the next entry.
    pub fn take(&mut self, entry: Entry) -> Outcome {
        let Entry { now, content } = entry;
        self.summary.first.get_or_insert(now);
        self.summary.last = Some(now);
        match content {
            Content::Observation(observation) => {
                self.summary.observations += 1;
                self.engine.step(&now, observation)
            }
            Content::Restored(restored) => self.engine.restore(&now, restored),
            Content::Lost(count) => {
                self.summary.lost = self.summary.lost.saturating_add(count);
                Outcome::default()
            }
            Content::Stopped => {
                self.summary.stopped = true;
                Outcome { reports: self.engine.close(&now), queries: Vec::new() }
            }
        }
    }

    /// What was replayed.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The findings that are active after the last entry, worst first, each with the time when it
    /// was raised.
    pub fn active(&self) -> Vec<(Finding, Wall)> {
        self.engine.status(&self.summary.last.unwrap_or_default()).findings
    }
}

//! The script in time: what is due is done.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokenwatch_core::base::time::{Delta, Reading};
use tokenwatch_lab::Error;
use tokio::sync::oneshot;

use super::plan::{AgentPlan, Collector};
use super::script::{self, Cue};
use super::stage::{NODE, Stage};
use super::time_servers::TimeServers;
use crate::clocks;

/// Interval between two measurements of the clock. The servers are on loopback: no operator minds.
const CLOCK_INTERVAL: Duration = Duration::from_secs(2);

/// The simulated node, and the part of the script that is ahead.
#[derive(Debug)]
pub(super) struct Playback {
    stage: Stage,
    servers: TimeServers,
    start: Reading,
    /// When the programs use their tokens next.
    next_use: Delta,
    ahead: &'static [Cue],
}

impl Playback {
    /// An empty node in `directory`. The script starts now.
    pub(super) fn new(directory: &Path) -> Result<Self, Error> {
        Ok(Self {
            stage: Stage::new(directory)?,
            servers: TimeServers::start()?,
            start: clocks::now(),
            next_use: Delta::ZERO,
            ahead: script::CUES,
        })
    }

    /// Starts the script at the next whole second. Times in tokens are whole seconds: the script
    /// then keeps its times to a tenth of a second.
    pub(super) async fn start_at_whole_second(&mut self) {
        let into = clocks::now().wall.as_nanos().rem_euclid(1_000_000_000);
        tokio::time::sleep(Delta::from_nanos(1_000_000_000 - into).to_std()).await;
        self.start = clocks::now();
    }

    /// Since the start of the script.
    pub(super) fn elapsed(&self) -> Delta {
        clocks::now().monotonic - self.start.monotonic
    }

    /// Sets the servers' time, lets the programs read, and does the next cue if it is due.
    pub(super) fn next_due(&mut self) -> Result<Option<&'static Cue>, Error> {
        let elapsed = self.elapsed();
        self.servers.set_ahead(script::clock_offset(elapsed));
        if elapsed >= self.next_use {
            self.stage.use_tokens()?;
            self.next_use = elapsed + script::USES_EVERY;
        }
        let Some((cue, ahead)) = self.ahead.split_first().filter(|(cue, _)| cue.at <= elapsed)
        else {
            return Ok(None);
        };
        self.ahead = ahead;
        self.stage.act(cue.act, clocks::now().wall).map(|()| Some(cue))
    }

    /// What makes an agent watch this node.
    pub(super) fn plan(&self, collector: Collector, stop: oneshot::Receiver<()>) -> AgentPlan {
        AgentPlan {
            node: NODE.to_owned(),
            root: PathBuf::from(self.stage.root()),
            ntp: self.servers.addresses(),
            clock_interval: CLOCK_INTERVAL,
            collector,
            stop,
        }
    }
}

//! The start of the agent: which sources have answered. Until then, a wrong clock, a terminating
//! pod or a broken kubelet may explain what a token shows, so there are no findings about tokens.

use super::Config;
use crate::base::time::{Delta, Monotonic, Reading};

/// Which sources have answered since the start.
#[derive(Clone, Copy, Debug)]
pub struct Startup {
    grace: Delta,
    /// Time for which a malformed or unreadable file is not a finding yet.
    settle: Delta,
    started: Option<Reading>,
    clock_answered: bool,
    cluster_answered: bool,
    files_scanned: bool,
}

impl Startup {
    /// A source that is not configured counts as answered.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            grace: config.grace,
            settle: config.settle,
            started: None,
            clock_answered: !config.clock.servers_configured,
            cluster_answered: !config.cluster_configured,
            files_scanned: !config.scan_expected,
        }
    }

    /// Time for which a malformed or unreadable file is not a finding yet.
    pub(super) fn settle(&self) -> Delta {
        self.settle
    }

    /// Sets the time of the start to `now`, unless it is set.
    pub(super) fn begin(&mut self, now: &Reading) {
        self.started.get_or_insert(*now);
    }

    /// The first round of the time servers ended, with or without answers.
    pub(super) fn clock_answered(&mut self) {
        self.clock_answered = true;
    }

    /// The API server answered. Returns whether this is its first answer.
    pub(super) fn cluster_answered(&mut self) -> bool {
        !std::mem::replace(&mut self.cluster_answered, true)
    }

    /// Whether the API server is configured and has not answered yet.
    pub fn lacks_cluster(&self) -> bool {
        !self.cluster_answered
    }

    /// The first full scan of the token files ended. Returns whether this is new.
    pub(super) fn files_scanned(&mut self) -> bool {
        !std::mem::replace(&mut self.files_scanned, true)
    }

    /// Whether the first full scan of the token files has ended.
    pub fn is_scanned(&self) -> bool {
        self.files_scanned
    }

    /// When tokens can be diagnosed, if that is in the future.
    pub fn tokens_ready_at(&self, now: &Reading) -> Option<Monotonic> {
        let all = self.clock_answered && self.cluster_answered && self.files_scanned;
        self.grace_end(now).filter(|_| !all)
    }

    /// When the clock can be diagnosed, if that is in the future.
    pub fn clock_ready_at(&self, now: &Reading) -> Option<Monotonic> {
        self.grace_end(now).filter(|_| !self.clock_answered)
    }

    /// The end of the grace period, if it is in the future.
    fn grace_end(&self, now: &Reading) -> Option<Monotonic> {
        let end = self.started.unwrap_or(*now).monotonic + self.grace;
        (now.monotonic < end).then_some(end)
    }
}

//! Who has answered since the start. Until then the clock may be to blame, or a pod that is
//! terminating, and nothing is accused.

use crate::base::time::{Delta, Monotonic, Reading};

/// The agent's first seconds.
#[derive(Clone, Copy, Debug)]
pub struct Startup {
    grace: Delta,
    started: Option<Reading>,
    clock_answered: bool,
    cluster_answered: bool,
}

impl Startup {
    /// What nobody configured needs no answer.
    pub(super) fn new(grace: Delta, clock_configured: bool, cluster_configured: bool) -> Self {
        Self {
            grace,
            started: None,
            clock_answered: !clock_configured,
            cluster_answered: !cluster_configured,
        }
    }

    /// The agent runs, at the latest since `now`.
    pub(super) fn begin(&mut self, now: &Reading) {
        self.started.get_or_insert(*now);
    }

    /// The time servers answered, or did not.
    pub(super) fn clock_answered(&mut self) {
        self.clock_answered = true;
    }

    /// The API server answered. True the first time.
    pub(super) fn cluster_answered(&mut self) -> bool {
        !std::mem::replace(&mut self.cluster_answered, true)
    }

    /// When tokens can be judged, if that is still to come.
    pub fn tokens_ready_at(&self, now: &Reading) -> Option<Monotonic> {
        self.grace_end(now).filter(|_| !self.clock_answered || !self.cluster_answered)
    }

    /// When the clock can be judged, if that is still to come.
    pub fn clock_ready_at(&self, now: &Reading) -> Option<Monotonic> {
        self.grace_end(now).filter(|_| !self.clock_answered)
    }

    /// When whoever was asked at the start has had the time to answer, if that is still to come.
    fn grace_end(&self, now: &Reading) -> Option<Monotonic> {
        let end = self.started.unwrap_or(*now).monotonic + self.grace;
        (now.monotonic < end).then_some(end)
    }
}

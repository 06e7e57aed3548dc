//! What the judgement on the node's clock rests on, at one moment.

use super::model::STEP_REPORTED;
use super::{
    Belief, ClockModel, ClockState, Estimate, ExchangeError, Range, Selection, ServerName,
};
use super::{Step, TimeSource, Vote};
use crate::base::time::{Delta, Reading};

/// The clock and what is believed about it.
#[derive(Clone, Debug)]
pub struct ClockFacts<'a> {
    /// The model.
    pub(crate) model: &'a ClockModel,
    now: &'a Reading,
    /// What is believed.
    pub estimate: Estimate,
    /// What the servers' answers amount to.
    pub(crate) selection: Selection,
    /// The last step, while it is reported.
    pub step: Option<Step>,
}

impl<'a> ClockFacts<'a> {
    /// The facts at `now`.
    pub fn new(model: &'a ClockModel, now: &'a Reading) -> Self {
        let (estimate, selection) = (model.estimate(now), model.selection(now));
        Self { step: reported_step(model, now, &estimate), model, now, estimate, selection }
    }

    /// Whether anything was measured yet. Silence before that is no answer.
    pub fn is_measured(&self) -> bool {
        self.model.measured_from.is_some()
    }

    /// Whether a clock that no source confirms is no finding yet.
    pub fn in_grace(&self) -> bool {
        let grace = self.model.limits.grace;
        self.model.measured_from.is_some_and(|from| self.now.monotonic - from < grace)
    }

    /// Whether the clock is off by more than its limit and the bound.
    pub fn is_off(&self) -> bool {
        self.estimate.is_beyond(self.model.limits.offset)
    }

    /// Whether any server is configured.
    pub fn servers_configured(&self) -> bool {
        self.model.limits.servers_configured
    }

    /// Whether the last step was a leap second.
    pub fn was_leap(&self) -> bool {
        self.model.was_leap
    }

    /// Whether the kernel reports that a time daemon disciplines the clock, if it reports anything.
    pub fn kernel_synchronised(&self) -> Option<bool> {
        self.model.kernel.as_ref().map(|kernel| kernel.synchronised)
    }

    /// The kernel's own bound on the error.
    pub fn kernel_max_error(&self) -> Option<Delta> {
        self.model.kernel.as_ref().map(|kernel| kernel.max_error)
    }

    /// Which source confirms the clock.
    pub fn source(&self) -> TimeSource {
        self.model.source(self.now)
    }

    /// How many servers were asked.
    pub fn asked(&self) -> usize {
        self.model.servers.len()
    }

    /// How many servers agree.
    pub fn agreeing(&self) -> usize {
        self.selection.votes().iter().filter(|vote| **vote == Vote::Agrees).count()
    }

    /// Whether servers were asked and none of their names resolves.
    pub fn no_name_resolves(&self) -> bool {
        let failed = |error: &ExchangeError| matches!(error, ExchangeError::Resolve(_));
        let mut results = self.model.servers.iter().map(|peer| &peer.result);
        self.asked() > 0 && results.all(|result| result.as_ref().is_err_and(failed))
    }

    /// Time since a server last gave a usable answer.
    pub fn answer_age(&self) -> Option<Delta> {
        self.model.last_answer().map(|at| self.now.monotonic - at)
    }

    /// The servers whose last vote is `wanted`.
    pub fn voting(&self, wanted: Vote) -> impl Iterator<Item = &ServerName> {
        let votes = self.model.servers.iter().zip(self.selection.votes());
        votes.filter(move |(_, vote)| **vote == wanted).map(|(peer, _)| &peer.server)
    }

    /// The servers that the others prove wrong, each with the range that it claims.
    pub(crate) fn falsetickers(&self) -> impl Iterator<Item = (&ServerName, Range)> {
        let votes = self.model.servers.iter().zip(self.selection.votes());
        votes
            .filter(|(_, vote)| **vote == Vote::Falseticker)
            .filter_map(|(peer, _)| Some((&peer.server, self.model.range_of(peer, self.now)?)))
    }

    /// What the servers claim where they contradict each other and no majority decides.
    pub(crate) fn contradiction(&self) -> Option<Range> {
        match self.selection {
            Selection::Contradiction(claimed, _) => Some(claimed),
            Selection::Agreed(_) | Selection::Silence(_) => None,
        }
    }

    /// Whether the estimate rests on the kernel alone.
    pub fn rests_on_kernel(&self) -> bool {
        matches!(self.model.belief(self.now), Belief::Kernel(_))
    }

    /// The state of the clock.
    pub fn state(&self) -> ClockState {
        self.estimate.state
    }
}

/// The last step, for a minute, and until the clock was measured after it (or nothing can measure
/// it).
fn reported_step(model: &ClockModel, now: &Reading, estimate: &Estimate) -> Option<Step> {
    let is_reported = |step: &Step| {
        let recent = now.monotonic - step.after.monotonic < STEP_REPORTED;
        recent || (!estimate.assumed && !model.measured_since(step))
    };
    model.last_step.filter(is_reported)
}

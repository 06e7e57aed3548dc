//! The facts about the node's clock at one moment, as the diagnosis needs them.

use super::model::STEP_REPORTED;
use super::{
    Basis, ClockModel, ClockState, Estimate, ExchangeError, Range, Selection, ServerName, Step,
    TimeSource, Vote,
};
use crate::base::time::{Delta, Reading};

/// The clock model, with its estimate at one moment.
#[derive(Clone, Debug)]
pub struct ClockFacts<'a> {
    pub(crate) model: &'a ClockModel,
    now: &'a Reading,
    /// Offset, bound and state.
    pub estimate: Estimate,
    /// The comparison of the servers' answers.
    pub(crate) selection: Selection,
    /// The last step of the wall clock, while it is reported.
    pub step: Option<Step>,
}

impl<'a> ClockFacts<'a> {
    /// The facts at `now`.
    pub fn new(model: &'a ClockModel, now: &'a Reading) -> Self {
        let (estimate, selection) = (model.estimate(now), model.selection(now));
        Self { step: reported_step(model, now, &estimate), model, now, estimate, selection }
    }

    /// Whether the first round has ended. Before that, a missing answer means nothing.
    pub fn is_measured(&self) -> bool {
        self.model.measured_from.is_some()
    }

    /// Whether the grace period of [`super::Limits::grace`] lasts: until its end, an unconfirmed
    /// clock is not a finding.
    pub fn in_grace(&self) -> bool {
        let grace = self.model.limits.grace;
        self.model.measured_from.is_some_and(|from| self.now.monotonic - from < grace)
    }

    /// Whether the offset is beyond its limit by more than the bound.
    pub fn is_off(&self) -> bool {
        self.estimate.is_beyond(self.model.limits.offset)
    }

    /// Whether at least one time server is configured.
    pub fn servers_configured(&self) -> bool {
        self.model.limits.servers_configured
    }

    /// Whether the last step was a leap second.
    pub fn was_leap(&self) -> bool {
        self.model.was_leap
    }

    /// Whether a time daemon disciplines the clock, according to the kernel. Nothing before the
    /// first report.
    pub fn kernel_synchronised(&self) -> Option<bool> {
        self.model.kernel.as_ref().map(|kernel| kernel.synchronised)
    }

    /// The kernel's own error bound (`maxerror`).
    pub fn kernel_max_error(&self) -> Option<Delta> {
        self.model.kernel.as_ref().map(|kernel| kernel.max_error)
    }

    /// The source that confirms the clock.
    pub fn source(&self) -> TimeSource {
        self.model.source(self.now)
    }

    /// Number of servers that the agent queries.
    pub fn server_count(&self) -> usize {
        self.model.servers.len()
    }

    /// Number of servers that agree.
    pub fn agreeing(&self) -> usize {
        self.selection.votes().iter().filter(|vote| **vote == Vote::Agrees).count()
    }

    /// Whether there are servers, and none of their names resolves.
    pub fn no_name_resolves(&self) -> bool {
        let failed = |error: &ExchangeError| matches!(error, ExchangeError::Resolve(_));
        let mut results = self.model.servers.iter().map(|peer| &peer.result);
        self.server_count() > 0 && results.all(|result| result.as_ref().is_err_and(failed))
    }

    /// Time since the last usable answer of any server.
    pub fn answer_age(&self) -> Option<Delta> {
        self.model.last_answer().map(|at| self.now.monotonic - at)
    }

    /// The servers with the vote `wanted`.
    pub fn voting(&self, wanted: Vote) -> impl Iterator<Item = &ServerName> {
        let votes = self.model.servers.iter().zip(self.selection.votes());
        votes.filter(move |(_, vote)| **vote == wanted).map(|(peer, _)| &peer.server)
    }

    /// The falsetickers (RFC 5905, section 11.2.1), each with the range of offsets that it claims.
    pub(crate) fn falsetickers(&self) -> impl Iterator<Item = (&ServerName, Range)> {
        let votes = self.model.servers.iter().zip(self.selection.votes());
        votes
            .filter(|(_, vote)| **vote == Vote::Falseticker)
            .filter_map(|(peer, _)| Some((&peer.server, self.model.range_of(peer, self.now)?)))
    }

    /// The range of all offsets that the servers claim, if they contradict each other without a
    /// majority.
    pub(crate) fn contradiction(&self) -> Option<Range> {
        match self.selection {
            Selection::Contradiction(claimed, _) => Some(claimed),
            Selection::Agreed(_) | Selection::NoAnswer(_) => None,
        }
    }

    /// Whether the estimate is based on the kernel's report alone.
    pub fn rests_on_kernel(&self) -> bool {
        matches!(self.model.basis(self.now), Basis::Kernel(_))
    }

    /// The state of the clock.
    pub fn state(&self) -> ClockState {
        self.estimate.state
    }
}

/// The last step, for [`STEP_REPORTED`], and longer until the clock is measured again or no source
/// confirms it.
fn reported_step(model: &ClockModel, now: &Reading, estimate: &Estimate) -> Option<Step> {
    let is_reported = |step: &Step| {
        let recent = now.monotonic - step.after.monotonic < STEP_REPORTED;
        recent || (!estimate.assumed && !model.measured_since(step))
    };
    model.last_step.filter(is_reported)
}

//! The facts about the node's clock at one moment, as the diagnosis needs them.

use super::model::STEP_REPORTED;
use super::peer::Peer;
use super::{
    Camp, Claim, ClockModel, ClockState, Estimate, ExchangeError, KernelClock, Outcome, Range,
    Selection, ServerName, Smear, Step, TimeSource, Vote, camps, within_a_leap_second,
};
use crate::base::time::{Delta, Monotonic, Reading};

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

    /// Whether the first round has ended, or another source confirms the clock. Before that, a
    /// missing answer means nothing.
    pub fn is_measured(&self) -> bool {
        self.model.measured_from.is_some() || !self.estimate.assumed
    }

    /// Whether the grace period of [`super::Limits::grace`] lasts: until its end, an unconfirmed
    /// clock is not a finding.
    pub fn in_grace(&self) -> bool {
        let grace = self.model.limits.grace;
        self.model.measured_from.is_some_and(|from| self.now.monotonic - from < grace)
    }

    /// Whether the clock was set since the kernel's report, and the next one is not here yet: the
    /// source reports again at once, and at the latest in the time of [`super::Limits::grace`].
    pub fn expects_kernel(&self) -> bool {
        let (now, grace) = (self.now, self.model.limits.grace);
        let is_recent = |kernel: &KernelClock| now.monotonic - kernel.taken.monotonic < grace;
        self.model.kernel.is_some_and(|kernel| is_recent(&kernel) && kernel.is_before_step(now))
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
        self.model.leaps.was_step
    }

    /// Whether a time daemon disciplines the clock, according to the kernel. Nothing before the
    /// first report.
    pub fn kernel_synchronised(&self) -> Option<bool> {
        self.model.kernel.as_ref().map(|kernel| kernel.synchronised)
    }

    /// Whether the kernel has reported for a while that no time daemon disciplines the clock.
    pub fn is_undisciplined(&self) -> bool {
        let (now, hold) = (self.now.monotonic, self.model.limits.grace);
        self.model.discipline.is_some_and(|discipline| !discipline.holds(now, hold))
    }

    /// The error bound of the kernel, if a time daemon maintains it and the servers contradict it.
    pub(crate) fn contradicted_kernel(&self) -> Option<Delta> {
        let servers = Range::around(self.estimate.offset, self.estimate.bound);
        let kernel = self.model.kernel_range(self.now).filter(|kernel| !kernel.meets(&servers))?;
        Some(kernel.half())
    }

    /// To what error the kernel's report confirms the clock, if a time daemon maintains it.
    pub(crate) fn kernel_bound(&self) -> Option<Delta> {
        self.model.kernel_range(self.now).map(|range| range.half())
    }

    /// The kernel's own error bound (`maxerror`).
    pub fn kernel_max_error(&self) -> Option<Delta> {
        self.model.kernel.as_ref().map(|kernel| kernel.max_error)
    }

    /// The source that confirms the clock.
    pub fn source(&self) -> TimeSource {
        self.model.source(self.now)
    }

    /// Number of voters: names that the agent queries, and addresses of pools.
    pub fn voters(&self) -> usize {
        self.selection.ballots.len()
    }

    /// Number of voters that agree.
    pub fn agreeing(&self) -> usize {
        self.selection.agreeing
    }

    /// The voters without a usable answer.
    pub(crate) fn silent(&self) -> impl Iterator<Item = &ServerName> {
        let ballots = self.selection.ballots.iter();
        ballots.filter(|ballot| ballot.claim == Claim::Silent).map(|ballot| &ballot.voter)
    }

    /// The names whose addresses contradict each other, so that they have no vote.
    pub(crate) fn split(&self) -> impl Iterator<Item = &ServerName> {
        let ballots = self.selection.ballots.iter();
        ballots.filter(|ballot| ballot.claim == Claim::Split).map(|ballot| &ballot.voter)
    }

    /// Number of voters with a usable answer.
    pub(crate) fn answering(&self) -> usize {
        self.voters() - self.silent().count()
    }

    /// Whether too few voters answer, and none contradicts another.
    pub(crate) fn are_too_few(&self) -> bool {
        self.selection.outcome == Outcome::TooFew
    }

    /// The addresses of silent voters whose last exchange failed, and why. A name that answers at
    /// another address needs nothing: many networks have no IPv6.
    pub fn failures(&self) -> impl Iterator<Item = (&ServerName, &ExchangeError)> {
        let is_silent =
            |peer: &&Peer| self.silent().any(|name| name.voter() == peer.server.voter());
        let peers = self.model.servers.iter().filter(is_silent);
        peers.filter_map(|peer| Some((&peer.server, peer.result.as_ref().err()?)))
    }

    /// The one configured server, if the estimate is based on it: nothing confirms its answer.
    pub fn only_server(&self) -> Option<&ServerName> {
        let mut usable = self.claims().map(|(server, _)| server);
        let name = self.selection.ballots.first().filter(|_| self.estimate.alone)?;
        let first = usable.next()?;
        Some(if usable.next().is_some() { &name.voter } else { first })
    }

    /// What shows that a smeared leap second may be why these camps are apart.
    pub(crate) fn smear(&self, camps: &[Camp]) -> Option<Smear> {
        let first = camps.first().filter(|_| within_a_leap_second(camps))?;
        self.model.leaps.smear(self.now, self.now.wall + first.range.middle())
    }

    /// The camps of the servers that give usable answers.
    pub(crate) fn camps(&self) -> Vec<Camp> {
        camps(self.claims())
    }

    /// Whether at least two voters agree with each other against the majority.
    pub(crate) fn has_second_camp(&self) -> bool {
        camps(self.falsetickers()).iter().any(|camp| !camp.is_one_voter())
    }

    /// The servers with a usable answer, each with the range of offsets that it claims.
    fn claims(&self) -> impl Iterator<Item = (&ServerName, Range)> {
        let peers = self.model.servers.iter();
        peers.filter_map(|peer| Some((&peer.server, self.model.range_of(peer, self.now)?)))
    }

    /// Time since the last usable answer of any server.
    pub fn answer_age(&self) -> Option<Delta> {
        self.model.last_answer().map(|at| self.now.monotonic - at)
    }

    /// Whether a server has answered since then.
    pub(crate) fn answered_since(&self, at: Monotonic) -> bool {
        self.model.last_answer().is_some_and(|last| last >= at)
    }

    /// The servers with the vote `wanted`.
    pub fn voting(&self, wanted: Vote) -> impl Iterator<Item = &ServerName> {
        let votes = self.model.servers.iter().zip(&self.selection.votes);
        votes.filter(move |(_, vote)| **vote == wanted).map(|(peer, _)| &peer.server)
    }

    /// The falsetickers (RFC 5905, section 11.2.1), each with the range of offsets that it claims.
    pub(crate) fn falsetickers(&self) -> impl Iterator<Item = (&ServerName, Range)> {
        let votes = self.model.servers.iter().zip(&self.selection.votes);
        votes
            .filter(|(_, vote)| **vote == Vote::Falseticker)
            .filter_map(|(peer, _)| Some((&peer.server, self.model.range_of(peer, self.now)?)))
    }

    /// Whether the servers contradict each other without a majority.
    pub(crate) fn is_contradiction(&self) -> bool {
        matches!(self.selection.outcome, Outcome::Contradiction(_))
    }

    /// Whether the estimate is based on the kernel's report alone.
    pub fn rests_on_kernel(&self) -> bool {
        self.source() == TimeSource::Kernel
    }

    /// How far true time is ahead of the node's clock, where time servers show it. The kernel's
    /// report alone is no second witness: it follows the same source as the clock.
    pub(crate) fn truth(&self) -> Option<Range> {
        let is_shown = match self.source() {
            TimeSource::Servers | TimeSource::ServersAndKernel => !self.estimate.assumed,
            TimeSource::Kernel | TimeSource::Nothing => false,
        };
        is_shown.then(|| Range::around(self.estimate.offset, self.estimate.bound))
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

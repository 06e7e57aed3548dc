//! The model of the node's clock: from server samples, the kernel's reports and observed steps to
//! an estimate.

use serde::{Deserialize, Serialize};

use super::bound::{Range, hardware_ppm};
use super::discipline::Discipline;
use super::drift::{History, Point};
use super::estimate::{Estimate, TimeSource};
use super::intersection::{Outcome, Selection, select};
use super::leap::{LeapSeconds, is_leap_second};
use super::peer::Peer;
use super::server::ServerName;
use super::types::{ClockState, ExchangeError, KernelClock, Round, Sample, Step, Vote};
use super::votes::{Answer, Names};
use crate::base::time::{Delta, Monotonic, Reading};

/// A step is reported for at least this long, so that a dashboard that refreshes every minute shows
/// it.
pub(crate) const STEP_REPORTED: Delta = Delta::from_secs(60);

/// Most servers that are kept, far more than any configuration names. It bounds memory if a name
/// resolves to different addresses each time.
const MAX_SERVERS: usize = 64;

/// The limits of a good clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Limit of the offset. Beyond it by more than the bound, the clock is off (`clock.offset`).
    /// Default 500 ms.
    pub offset: Delta,
    /// Error bound that is assumed when no source confirms the clock. Default 300 s.
    pub assumed_bound: Delta,
    /// Age from which a server's answer or the kernel's report is no longer used. Default 1800 s.
    pub max_age: Delta,
    /// Whether a server is configured. If so, an unconfirmed clock is a warning, else info.
    pub servers_configured: bool,
    /// Time after the first round in which an unconfirmed clock is not a finding, because the
    /// network of a starting node comes up late; and how long the kernel must report that nothing,
    /// or something again, disciplines the clock. Default 150 s; zero for a single pass.
    pub grace: Delta,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Far above the error that NTP leaves, and well below the seconds that break leases.
            offset: Delta::from_millis(500),
            assumed_bound: Delta::from_secs(300),
            max_age: Delta::from_secs(1_800),
            servers_configured: false,
            // Two rounds at the default interval of 64 s with jitter, and a margin.
            grace: Delta::from_secs(150),
        }
    }
}

/// A server as `tokenwatch clock` and `check` show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerReport {
    /// The server.
    pub server: ServerName,
    /// Its last sample, or why there is none.
    pub result: Result<Sample, ExchangeError>,
    /// The vote on it in the last round.
    pub vote: Vote,
}

/// The model of the node's clock. Its inputs are rounds, reports of the kernel and steps; its
/// output is an [`Estimate`].
#[derive(Clone, Debug)]
pub struct ClockModel {
    pub(crate) limits: Limits,
    pub(crate) servers: Vec<Peer>,
    names: Names,
    pub(crate) kernel: Option<KernelClock>,
    pub(crate) last_step: Option<Step>,
    pub(crate) leaps: LeapSeconds,
    /// When the first round ended, or the kernel's first report arrived where no server is
    /// configured. Before that, there are no findings about the clock.
    pub(crate) measured_from: Option<Monotonic>,
    /// Whether a time daemon disciplines the clock, according to the kernel's reports.
    pub(crate) discipline: Option<Discipline>,
    /// The votes in the last round, in the order of `servers`.
    votes: Vec<Vote>,
    history: History,
}

impl ClockModel {
    /// A model without measurements.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            servers: Vec::new(),
            names: Names::default(),
            kernel: None,
            last_step: None,
            leaps: LeapSeconds::default(),
            measured_from: None,
            discipline: None,
            votes: Vec::new(),
            history: History::default(),
        }
    }

    /// Takes a round of exchanges that ended.
    pub fn round(&mut self, round: &Round) {
        let ended = &round.ended;
        self.take_exchanges(round);
        self.leaps.round(round);
        self.measured_from.get_or_insert(ended.monotonic);
        let selection = self.selection(ended);
        if let Outcome::Agreed(range) = selection.outcome {
            let (offset, bound) = (range.middle(), range.half());
            self.history.push(Point { monotonic: ended.monotonic, offset, bound });
        }
        self.votes = selection.votes;
    }

    /// Updates the servers of a round. A server that was not queried in it keeps its measurements
    /// until they are too old: servers with a poll limit are queried in some rounds only.
    fn take_exchanges(&mut self, round: &Round) {
        self.names.round(round);
        let mut known = std::mem::take(&mut self.servers);
        for exchange in &round.exchanges {
            let position = known.iter().position(|peer| peer.server == exchange.server);
            let before = position.map(|at| known.swap_remove(at));
            self.servers.push(Peer::after(exchange, before));
        }
        known.retain(|peer| peer.is_recent(&round.ended, self.limits.max_age));
        self.servers.extend(known);
        self.servers.retain(|peer| self.names.count(&peer.server));
        self.servers.truncate(MAX_SERVERS);
    }

    /// Takes a report of the kernel.
    pub fn kernel(&mut self, kernel: &KernelClock) {
        self.kernel = Some(*kernel);
        self.leaps.kernel(kernel);
        let discipline = Discipline::after(self.discipline, kernel, self.limits.grace);
        self.discipline = Some(discipline);
        if !self.limits.servers_configured {
            // There is no other source to wait for.
            self.measured_from.get_or_insert(kernel.taken.monotonic);
        }
    }

    /// Takes a step of the wall clock. Measurements stay valid, because they do not depend on the
    /// wall clock. The history of the drift starts again.
    pub fn step(&mut self, step: &Step) {
        self.last_step = Some(*step);
        self.history = History::default();
        self.leaps.was_step = is_leap_second(step, self.kernel.as_ref());
        if self.leaps.was_step {
            self.servers.iter_mut().for_each(|peer| peer.shift(step.size));
        }
    }

    /// The estimate of the clock's error at `now`.
    pub fn estimate(&self, now: &Reading) -> Estimate {
        let selection = self.selection(now);
        match selection.outcome {
            Outcome::Agreed(range) => self.known(range, selection.ballots.len() == 1),
            Outcome::Witnessed(range) => self.known(range, false),
            // At least as wide as what the servers claim: one of them may be right.
            Outcome::Contradiction(claimed) => {
                self.assumed(ClockState::Disagreeing, claimed.farthest())
            }
            Outcome::TooFew => self.assumed(ClockState::Unknown, Delta::ZERO),
            Outcome::NoAnswer => match self.kernel_range(now) {
                Some(range) => self.known(range, false),
                None => self.assumed(ClockState::Unknown, Delta::ZERO),
            },
        }
    }

    /// The source that [`Self::estimate`] is based on.
    pub fn source(&self, now: &Reading) -> TimeSource {
        match self.selection(now).outcome {
            Outcome::Agreed(_) => TimeSource::Servers,
            Outcome::Witnessed(_) => TimeSource::ServersAndKernel,
            Outcome::NoAnswer if self.kernel_range(now).is_some() => TimeSource::Kernel,
            Outcome::Contradiction(_) | Outcome::TooFew | Outcome::NoAnswer => TimeSource::Nothing,
        }
    }

    /// Every known server, with its last result and vote.
    pub fn servers(&self) -> Vec<ServerReport> {
        let report = |peer: &Peer| ServerReport {
            server: peer.server.clone(),
            result: peer.result.clone(),
            vote: self.vote_of(&peer.server),
        };
        self.servers.iter().map(report).collect()
    }

    /// The kernel's last report.
    pub fn last_kernel(&self) -> Option<&KernelClock> {
        self.kernel.as_ref()
    }

    /// When an estimate or a finding may change next by the passing of time alone: an answer gets
    /// too old, a step is no longer reported, or the grace period ends.
    pub fn next_change(&self, now: &Reading) -> Option<Monotonic> {
        let Limits { max_age, grace, .. } = self.limits;
        let answers = self.servers.iter().filter_map(Peer::answered).map(|at| at + max_age);
        let expiries = |kernel: &KernelClock| {
            let taken = kernel.taken.monotonic;
            [Some(taken + max_age), Some(taken + grace), kernel.expires()]
        };
        let kernel = self.kernel.iter().flat_map(expiries).flatten();
        let step = self.last_step.iter().map(|step| step.after.monotonic + STEP_REPORTED);
        let settled = self.discipline.iter().map(|discipline| discipline.settles(grace));
        let grace = self.measured_from.iter().map(|from| *from + grace);
        answers
            .chain(kernel)
            .chain(step)
            .chain(settled)
            .chain(grace)
            .filter(|at| *at > now.monotonic)
            .min()
    }

    /// The vote on a server in the last round.
    pub(crate) fn vote_of(&self, server: &ServerName) -> Vote {
        let known = self.servers.iter().zip(&self.votes).find(|(peer, _)| peer.server == *server);
        known.map_or(
            Vote::Unusable,
            |(peer, vote)| if peer.result.is_ok() { *vote } else { Vote::Unusable },
        )
    }

    pub(crate) fn selection(&self, now: &Reading) -> Selection {
        let answer = |peer| self.answer_of(peer, now);
        let answers: Vec<Answer<'_>> = self.servers.iter().map(answer).collect();
        let ranges: Vec<_> = answers.iter().map(|answer| answer.range).collect();
        select(self.names.ballots(&answers, now), &ranges, self.kernel_range(now))
    }

    fn answer_of<'a>(&self, peer: &'a Peer, now: &Reading) -> Answer<'a> {
        let range = self.range_of(peer, now);
        Answer { server: &peer.server, queried: peer.last_exchange, range }
    }

    /// The possible offsets at `now` according to one server.
    pub(crate) fn range_of(&self, peer: &Peer, now: &Reading) -> Option<Range> {
        peer.range(now, hardware_ppm(self.kernel.as_ref()), self.limits.max_age)
    }

    pub(crate) fn kernel_range(&self, now: &Reading) -> Option<Range> {
        let fresh = self
            .kernel
            .filter(|kernel| now.monotonic - kernel.taken.monotonic < self.limits.max_age);
        fresh?.range(now)
    }

    /// `alone`: one time server claims it.
    fn known(&self, range: Range, alone: bool) -> Estimate {
        let (offset, bound, state) = (range.middle(), range.half(), ClockState::Synchronised);
        let estimate = Estimate { offset, bound, assumed: false, alone, state };
        Estimate { state: self.known_state(&estimate, &range), ..estimate }
    }

    fn known_state(&self, estimate: &Estimate, range: &Range) -> ClockState {
        if self.last_step.is_some_and(|step| !self.measured_since(&step)) {
            ClockState::Stepped
        } else if estimate.is_beyond(self.limits.offset) {
            ClockState::Off
        } else if self.history.leads_beyond(self.limits.offset, range) {
            ClockState::Drifting
        } else {
            ClockState::Synchronised
        }
    }

    fn assumed(&self, state: ClockState, min_bound: Delta) -> Estimate {
        Estimate {
            offset: Delta::ZERO,
            bound: self.limits.assumed_bound.max(min_bound),
            assumed: true,
            alone: false,
            state,
        }
    }

    /// Whether a server answered, or the kernel confirmed the clock, after `step`.
    pub(crate) fn measured_since(&self, step: &Step) -> bool {
        let answered = self.servers.iter().filter_map(Peer::answered);
        let confirming = self.kernel.iter().filter(|kernel| kernel.expires().is_some());
        let confirmed = confirming.map(|kernel| kernel.taken.monotonic);
        answered.chain(confirmed).any(|at| at >= step.after.monotonic)
    }

    /// When any server last gave a usable answer.
    pub(crate) fn last_answer(&self) -> Option<Monotonic> {
        self.servers.iter().filter_map(Peer::answered).max()
    }
}

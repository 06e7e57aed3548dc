//! What is believed about the clock, from the last samples, the kernel and the steps seen.

use serde::{Deserialize, Serialize};

use super::bound::{Range, hardware_ppm};
use super::drift::{History, Point};
use super::intersection::{Outcome, agree};
use super::leap::is_leap_second;
use super::memory::Memory;
use super::types::{
    Agreement, ClockState, ExchangeError, KernelClock, Round, Sample, ServerName, Step, Vote,
};
use crate::base::time::{Delta, Interval, Monotonic, Reading, Wall};

/// A step is told for at least this long: a dashboard that looks once a minute sees it.
pub(crate) const STEP_TOLD: Delta = Delta::from_secs(60);

/// Far more than any configuration names; a name that resolves differently each time must not grow
/// us.
const SERVERS_KEPT: usize = 64;

/// Where good ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// An offset beyond this, by more than the bound, is clock.offset.
    pub offset: Delta,
    /// Taken as the bound when nothing vouches for the clock.
    pub assumed_bound: Delta,
    /// After this long without a usable answer the servers' last word is worth nothing.
    pub max_age: Delta,
    /// Whether any server is configured: its silence is then a warning rather than a remark.
    pub servers_configured: bool,
    /// For this long after the first round, that nothing vouches is no finding: the network of a
    /// starting node comes up late. Zero for a single look.
    pub grace: Delta,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            offset: Delta::from_millis(500), /* a tenth of what breaks a Kerberos or a lease; far
                                              * above what NTP leaves */
            assumed_bound: Delta::from_secs(300),
            max_age: Delta::from_secs(1_800),
            servers_configured: false,
            grace: Delta::from_secs(150), /* two rounds at the default interval of 64 s and its
                                           * jitter, and a margin */
        }
    }
}

/// What is believed at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// True time minus the wall clock; zero when unknown.
    pub offset: Delta,
    /// How far off that can be; the assumed bound when unknown.
    pub bound: Delta,
    /// Whether the bound is assumed, because nothing vouches for the clock.
    pub assumed: bool,
    /// The state.
    pub state: ClockState,
}

impl Estimate {
    /// The interval that contains true time when the wall clock says `wall`.
    pub fn interval(&self, wall: Wall) -> Interval {
        Interval::new(wall, self.offset, self.bound)
    }

    /// Whether the whole interval lies beyond `limit`.
    pub fn is_beyond(&self, limit: Delta) -> bool {
        !self.assumed && self.offset.abs() - self.bound > limit
    }
}

/// Who answers for an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VouchedBy {
    /// Time servers that agree.
    Servers,
    /// The kernel, on behalf of a daemon.
    Kernel,
    /// Nobody: the bound is assumed.
    Nothing,
}

impl VouchedBy {
    /// As in telemetry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Servers => "servers",
            Self::Kernel => "kernel",
            Self::Nothing => "nothing",
        }
    }
}

/// A server as `tokenwatch clock` and `check` show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerReport {
    /// Which.
    pub server: ServerName,
    /// Its last answer.
    pub result: Result<Sample, ExchangeError>,
    /// What it was worth.
    pub vote: Vote,
}

/// The model.
#[derive(Clone, Debug)]
pub struct ClockModel {
    pub(crate) limits: Limits,
    pub(crate) servers: Vec<Memory>,
    pub(crate) kernel: Option<KernelClock>,
    pub(crate) last_step: Option<Step>,
    /// Whether the last step was a leap second.
    pub(crate) was_leap: bool,
    /// When the first round ended (or, where no server is configured, the kernel first spoke):
    /// before that, nothing is said.
    pub(crate) heard_since: Option<Monotonic>,
    /// The votes at the last round.
    votes: Vec<Vote>,
    history: History,
}

/// Who says what at one moment.
pub(crate) enum Belief {
    Servers(Agreement),
    Kernel(Range),
    Contradiction(Range),
    Nothing,
}

impl ClockModel {
    /// Knows nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            servers: Vec::new(),
            kernel: None,
            last_step: None,
            was_leap: false,
            heard_since: None,
            votes: Vec::new(),
            history: History::default(),
        }
    }

    /// A round of exchanges ended. A server that was not asked in it (some want to be asked rarely)
    /// keeps its word until that is too old.
    pub fn round(&mut self, round: &Round) {
        let mut known = std::mem::take(&mut self.servers);
        for exchange in &round.exchanges {
            let before = known
                .iter()
                .position(|memory| memory.server == exchange.server)
                .map(|at| known.swap_remove(at));
            self.servers.push(Memory::after(exchange, before));
        }
        known.retain(|memory| memory.is_recent(&round.ended, self.limits.max_age));
        self.servers.extend(known);
        self.servers.truncate(SERVERS_KEPT);
        self.heard_since.get_or_insert(round.ended.monotonic);
        let outcome = self.outcome(&round.ended);
        self.votes = outcome.votes().to_vec();
        if let Outcome::Agreed(agreement) = outcome {
            self.history.push(Point {
                monotonic: round.ended.monotonic,
                offset: agreement.offset,
                bound: agreement.bound,
            });
        }
    }

    /// The kernel said something.
    pub fn kernel(&mut self, kernel: &KernelClock) {
        self.kernel = Some(*kernel);
        if !self.limits.servers_configured {
            self.heard_since.get_or_insert(kernel.taken.monotonic); // nobody else will be heard
        }
    }

    /// The wall clock was set. What was measured stays true, for it is not kept by the wall clock;
    /// but how that drifts has to be seen anew.
    pub fn step(&mut self, step: &Step) {
        self.last_step = Some(*step);
        self.history = History::default();
        self.was_leap = is_leap_second(step, self.kernel.as_ref());
        if self.was_leap {
            self.servers.iter_mut().for_each(|memory| memory.follow(step.size));
        }
    }

    /// What is believed at `now`.
    pub fn estimate(&self, now: &Reading) -> Estimate {
        match self.belief(now) {
            Belief::Servers(agreement) => {
                self.known(Range::around(agreement.offset, agreement.bound))
            }
            Belief::Kernel(range) => self.known(range),
            // At least as wide as what the servers claim: one of them may be right.
            Belief::Contradiction(claimed) => {
                self.assumed(ClockState::Disagreeing, claimed.farthest())
            }
            Belief::Nothing => self.assumed(ClockState::Unknown, Delta::ZERO),
        }
    }

    /// Who answers for [`Self::estimate`].
    pub fn vouched_by(&self, now: &Reading) -> VouchedBy {
        match self.belief(now) {
            Belief::Servers(_) => VouchedBy::Servers,
            Belief::Kernel(_) => VouchedBy::Kernel,
            Belief::Contradiction(_) | Belief::Nothing => VouchedBy::Nothing,
        }
    }

    /// The servers of the last round.
    pub fn servers(&self) -> Vec<ServerReport> {
        let report = |memory: &Memory| ServerReport {
            server: memory.server.clone(),
            result: memory.result.clone(),
            vote: self.vote_of(&memory.server),
        };
        self.servers.iter().map(report).collect()
    }

    /// The kernel's last word.
    pub fn last_kernel(&self) -> Option<&KernelClock> {
        self.kernel.as_ref()
    }

    /// When the answer to any of the above changes by itself next (the servers' word gets too old,
    /// a step is forgotten).
    pub fn next_change(&self, now: &Reading) -> Option<Monotonic> {
        let answers =
            self.servers.iter().filter_map(Memory::answered).map(|boot| boot + self.limits.max_age);
        let kernel = self
            .kernel
            .iter()
            .flat_map(|kernel| {
                [Some(kernel.taken.monotonic + self.limits.max_age), kernel.expires()]
            })
            .flatten();
        let step = self.last_step.iter().map(|step| step.after.monotonic + STEP_TOLD);
        let grace = self.heard_since.iter().map(|boot| *boot + self.limits.grace);
        answers.chain(kernel).chain(step).chain(grace).filter(|boot| *boot > now.monotonic).min()
    }

    /// What a server's answer was worth in the last round.
    pub(crate) fn vote_of(&self, server: &ServerName) -> Vote {
        let known =
            self.servers.iter().zip(&self.votes).find(|(memory, _)| memory.server == *server);
        known.map_or(
            Vote::Unusable,
            |(memory, vote)| if memory.result.is_ok() { *vote } else { Vote::Unusable },
        )
    }

    pub(crate) fn belief(&self, now: &Reading) -> Belief {
        match self.outcome(now) {
            Outcome::Agreed(agreement) => Belief::Servers(agreement),
            Outcome::Contradiction(claimed, _) => Belief::Contradiction(claimed),
            Outcome::Silence(_) => self.kernel_range(now).map_or(Belief::Nothing, Belief::Kernel),
        }
    }

    pub(crate) fn outcome(&self, now: &Reading) -> Outcome {
        let ranges: Vec<_> = self.servers.iter().map(|memory| self.range_of(memory, now)).collect();
        agree(&ranges)
    }

    /// What a server's answers still prove.
    pub(crate) fn range_of(&self, memory: &Memory, now: &Reading) -> Option<Range> {
        memory.range(now, hardware_ppm(self.kernel.as_ref()), self.limits.max_age)
    }

    fn kernel_range(&self, now: &Reading) -> Option<Range> {
        let fresh = self
            .kernel
            .filter(|kernel| now.monotonic - kernel.taken.monotonic < self.limits.max_age);
        fresh?.range(now)
    }

    fn known(&self, range: Range) -> Estimate {
        let mut estimate = Estimate {
            offset: range.middle(),
            bound: range.half(),
            assumed: false,
            state: ClockState::Synchronised,
        };
        estimate.state = if self.last_step.is_some_and(|step| !self.measured_since(&step)) {
            ClockState::Stepped
        } else if estimate.is_beyond(self.limits.offset) {
            ClockState::Off
        } else if self.history.leads_beyond(self.limits.offset, &range) {
            ClockState::Drifting
        } else {
            ClockState::Synchronised
        };
        estimate
    }

    fn assumed(&self, state: ClockState, at_least: Delta) -> Estimate {
        Estimate {
            offset: Delta::ZERO,
            bound: self.limits.assumed_bound.max(at_least),
            assumed: true,
            state,
        }
    }

    /// Whether a server was heard, or the kernel vouched, after the step.
    pub(crate) fn measured_since(&self, step: &Step) -> bool {
        let answered = self.servers.iter().filter_map(Memory::answered);
        let vouched = self
            .kernel
            .iter()
            .filter(|kernel| kernel.expires().is_some())
            .map(|kernel| kernel.taken.monotonic);
        answered.chain(vouched).any(|boot| boot >= step.after.monotonic)
    }

    /// When any server last gave a usable answer.
    pub(crate) fn last_answer(&self) -> Option<Monotonic> {
        self.servers.iter().filter_map(Memory::answered).max()
    }
}

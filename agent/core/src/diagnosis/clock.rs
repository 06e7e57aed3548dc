//! What is wrong with the clock, and who: the node or a server.

use crate::base::schema;
use crate::base::time::{Delta, Reading};
use crate::base::value::Attributes;
use crate::findings::{Code, Remedy, Severity};
use crate::world::clocks::{
    Belief, ClockModel, ClockState, Estimate, ExchangeError, Outcome, Range, STEP_TOLD, Step, Vote,
};

/// The API server's leeway: a node that is further off sees good tokens refused, and bad ones as
/// good.
const CRITICAL_OFFSET: Delta = Delta::from_secs(60);
/// A step below kubelet's jitter changes no rotation that anybody would notice.
const NOTABLE_STEP: Delta = Delta::from_secs(10);

/// A clock finding before it has a subject's name and a remedy in context.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockFinding {
    /// One of clock.*.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// The server it is about, or nothing for the node.
    pub server: Option<String>,
    /// A sentence.
    pub summary: String,
    /// The facts.
    pub evidence: Attributes,
    /// What to do.
    pub remedy: Remedy,
}

/// What is wrong at `now`. Nothing before the first round was heard: silence is not yet an answer.
pub fn findings(model: &ClockModel, now: &Reading) -> Vec<ClockFinding> {
    let Some(since) = model.heard_since else { return Vec::new() };
    let graced = now.monotonic - since < model.limits.grace;
    let scene = Scene { model, now, estimate: model.estimate(now), outcome: model.outcome(now) };
    let of_node = [scene.offset(), scene.stepped(), scene.disagreement()];
    // That no daemon keeps the clock is one of the reasons that clock.unknown gives: one cause is
    // said once.
    let of_absence = if graced { None } else { scene.unknown().or_else(|| scene.unsynchronized()) };
    of_node.into_iter().flatten().chain(of_absence).chain(scene.falsetickers()).collect()
}

/// Everything a finding is made from.
struct Scene<'a> {
    model: &'a ClockModel,
    now: &'a Reading,
    estimate: Estimate,
    outcome: Outcome,
}

impl Scene<'_> {
    fn is_off(&self) -> bool {
        self.estimate.is_beyond(self.model.limits.offset)
    }

    fn offset(&self) -> Option<ClockFinding> {
        let Estimate { offset, bound, .. } = self.estimate;
        let severity =
            if offset.abs() >= CRITICAL_OFFSET { Severity::Critical } else { Severity::Warning };
        let cause =
            self.told_step().map(|step| format!(" It was {}.", set_by(&step))).unwrap_or_default();
        self.is_off().then(|| ClockFinding {
            code: Code::ClockOffset,
            severity,
            server: None,
            summary: format!(
                "This node's clock is {} (±{bound}), according to {}. The node is wrong.{cause}",
                off_by(offset),
                self.witnesses()
            ),
            evidence: self.evidence(),
            remedy: remedy(
                "Repair time synchronisation on this node: look at its time daemon's sources, \
                 then let it step the clock.",
                "chronyc tracking || timedatectl timesync-status || ntpq -p",
            ),
        })
    }

    fn unsynchronized(&self) -> Option<ClockFinding> {
        self.model.kernel.as_ref().filter(|kernel| !kernel.synchronised).map(|_| ClockFinding {
            code: Code::ClockUnsynchronized,
            severity: Severity::Info, /* where it has done harm, clock.offset or clock.unknown
                                       * says so */
            server: None,
            summary: "No time daemon keeps this node's clock, says the kernel: it will not stay \
                      right by itself. The node is at fault."
                .to_owned(),
            evidence: self.evidence(),
            remedy: remedy(
                "Start chrony, ntpd or systemd-timesyncd on this node.",
                "timedatectl set-ntp true",
            ),
        })
    }

    fn stepped(&self) -> Option<ClockFinding> {
        let step = self.told_step()?;
        if self.model.was_leap {
            return Some(self.leap_second(&step));
        }
        let is_small = step.size.abs() < NOTABLE_STEP;
        let after =
            if self.is_off() { "It is wrong since, see clock.offset" } else { self.after_step() };
        Some(ClockFinding {
            code: Code::ClockStepped,
            // Beside clock.offset this is the cause of what is already said.
            severity: if is_small || self.is_off() { Severity::Info } else { Severity::Warning },
            server: None,
            summary: format!(
                "This node's clock was {}. {after}. Tokens may look older or newer than they are.",
                set_by(&step)
            ),
            evidence: self.evidence(),
            remedy: remedy(
                "Find what set the clock: a time daemon's first synchronisation, a resumed \
                 virtual machine, or a person.",
                "journalctl --since -15m -u chrony -u chronyd -u ntpd -u ntpsec -u \
                 systemd-timesyncd",
            ),
        })
    }

    fn leap_second(&self, step: &Step) -> ClockFinding {
        ClockFinding {
            code: Code::ClockStepped,
            severity: Severity::Info,
            server: None,
            summary: format!(
                "This node's clock was {}: the leap second that its time daemon had announced.",
                set_by(step)
            ),
            evidence: self.evidence(),
            remedy: Remedy {
                text: "Nothing is to be done: a leap second is right.".to_owned(),
                command: None,
            },
        }
    }

    fn after_step(&self) -> &'static str {
        match self.estimate.state {
            ClockState::Stepped => "It has not been measured since",
            ClockState::Unknown | ClockState::Disagreeing => {
                "Nothing tells whether it is right now"
            }
            _ => "It is right now",
        }
    }

    fn unknown(&self) -> Option<ClockFinding> {
        let configured = self.model.limits.servers_configured;
        matches!(self.estimate.state, ClockState::Unknown).then(|| ClockFinding {
            code: Code::ClockUnknown,
            severity: if configured { Severity::Warning } else { Severity::Info },
            server: None,
            summary: format!(
                "Nothing vouches for this node's clock: {}. Tokens are judged as if it were right \
                 to ±{}.",
                self.silence(),
                self.estimate.bound
            ),
            evidence: self.evidence(),
            remedy: if self.no_name_resolves() {
                remedy(
                    "Repair name resolution on this node, or set clock.servers to addresses \
                     instead of names.",
                    "tokenwatch clock --server ADDRESS",
                )
            } else if configured {
                remedy(
                    "Open UDP port 123 from this node to its time servers, or set clock.servers \
                     to some that it reaches.",
                    "tokenwatch clock",
                )
            } else {
                remedy(
                    "Set clock.servers to time servers that this node reaches, or start a time \
                     daemon on it.",
                    "tokenwatch clock --server HOST",
                )
            },
        })
    }

    fn no_name_resolves(&self) -> bool {
        let servers = &self.model.servers;
        !servers.is_empty()
            && servers.iter().all(|memory| matches!(memory.result, Err(ExchangeError::Resolve(_))))
    }

    fn silence(&self) -> String {
        let kernel = match &self.model.kernel {
            Some(kernel) if kernel.synchronised => "the kernel's own bound is too wide or too old",
            Some(_) => "the kernel says that no daemon keeps it",
            None => "the kernel does not tell",
        };
        match (self.model.servers.len(), self.answer_age()) {
            (0, _) if self.model.limits.servers_configured => {
                format!("no time server answers, and {kernel}")
            }
            (0, _) => format!("no time server is configured, and {kernel}"),
            (asked, None) => {
                format!("none of {asked} time servers gave a usable answer, and {kernel}")
            }
            (asked, Some(age)) => {
                format!("none of {asked} time servers gave a usable answer for {age}, and {kernel}")
            }
        }
    }

    fn disagreement(&self) -> Option<ClockFinding> {
        let Outcome::Contradiction(claims, _) = &self.outcome else { return None };
        Some(ClockFinding {
            code: Code::ClockServersDisagree,
            severity: Severity::Warning,
            server: None,
            summary: format!(
                "The time servers contradict each other by {} and no majority decides: at least \
                 one of {} is wrong, and it cannot be told whether this node is.",
                claims.hi - claims.lo,
                self.named(Vote::Undecided).join(", "),
            ),
            evidence: self.evidence(),
            remedy: remedy(
                "Configure at least three time servers, so that one that is wrong is outvoted.",
                "tokenwatch clock",
            ),
        })
    }

    fn falsetickers(&self) -> Vec<ClockFinding> {
        let is_false = |(_, vote): &(_, &Vote)| **vote == Vote::Falseticker;
        let wrong = self.model.servers.iter().zip(self.outcome.votes()).filter(is_false);
        wrong
            .filter_map(|(memory, _)| {
                Some(
                    self.falseticker(
                        memory.server.to_string(),
                        self.model.range_of(memory, self.now)?,
                    ),
                )
            })
            .collect()
    }

    fn falseticker(&self, server: String, claim: Range) -> ClockFinding {
        let error = claim.middle() - self.estimate.offset;
        ClockFinding {
            code: Code::ClockServersDisagree,
            severity: Severity::Warning,
            summary: format!(
                "Time server {server} is {}, according to {}. The server is wrong, and is ignored.",
                direction(error),
                self.witnesses()
            ),
            evidence: self
                .evidence()
                .with(schema::NTP_OFFSET, claim.middle())
                .with(schema::NTP_ROOT_DISTANCE, claim.half()),
            remedy: remedy(
                "Repair this server, or take it out of clock.servers and of the time daemon's \
                 configuration.",
                "tokenwatch clock",
            ),
            server: Some(server),
        }
    }

    fn named(&self, wanted: Vote) -> Vec<String> {
        let votes = self.model.servers.iter().zip(self.outcome.votes());
        votes
            .filter(|(_, vote)| **vote == wanted)
            .map(|(memory, _)| memory.server.to_string())
            .collect()
    }

    /// Who vouches, for a sentence.
    fn witnesses(&self) -> String {
        let agreeing = self.outcome.votes().iter().filter(|vote| **vote == Vote::Agrees).count();
        match self.model.belief(self.now) {
            Belief::Servers(_) => {
                format!("{agreeing} of {} time servers", self.model.servers.len())
            }
            Belief::Kernel(_) => "the kernel's time before the clock was set".to_owned(),
            Belief::Contradiction(_) | Belief::Nothing => "nobody".to_owned(),
        }
    }

    /// The last step, while it is told: for a minute, and until the clock was measured after it (or
    /// nothing can measure it).
    fn told_step(&self) -> Option<Step> {
        let told = |step: &Step| {
            let recent = self.now.monotonic - step.after.monotonic < STEP_TOLD;
            recent || (!self.estimate.assumed && !self.model.measured_since(step))
        };
        self.model.last_step.filter(told)
    }

    fn answer_age(&self) -> Option<Delta> {
        self.model.last_answer().map(|boot| self.now.monotonic - boot)
    }

    fn evidence(&self) -> Attributes {
        let known = (!self.estimate.assumed).then_some(self.estimate.offset);
        let kernel = self.model.kernel.as_ref();
        let step = self.told_step();
        clock_attributes(&self.estimate, known, &self.outcome)
            .with(schema::CLOCK_FALSETICKERS, self.named(Vote::Falseticker).as_slice())
            .with(schema::CLOCK_SOURCE, self.model.vouched_by(self.now).name())
            .with_some(schema::CLOCK_ANSWER_AGE, self.answer_age())
            .with_some(schema::CLOCK_KERNEL_SYNCHRONISED, kernel.map(|kernel| kernel.synchronised))
            .with_some(schema::CLOCK_KERNEL_MAX_ERROR, kernel.map(|kernel| kernel.max_error))
            .with_some(schema::CLOCK_STEP, step.map(|step| step.size))
            .with_some(schema::CLOCK_STEP_AT, step.map(|step| step.after.wall))
    }
}

/// What findings and spans say of the whole.
pub(crate) fn clock_attributes(
    estimate: &Estimate,
    offset: Option<Delta>,
    outcome: &Outcome,
) -> Attributes {
    let agreeing = outcome.votes().iter().filter(|vote| **vote == Vote::Agrees).count();
    Attributes::new()
        .with_some(schema::CLOCK_OFFSET, offset)
        .with(schema::CLOCK_ERROR_BOUND, estimate.bound)
        .with(schema::CLOCK_STATE, estimate.state.name())
        .with(schema::CLOCK_AGREEING, agreeing)
        .with(schema::CLOCK_SERVERS, outcome.votes().len())
}

fn remedy(text: &str, command: &str) -> Remedy {
    Remedy { text: text.to_owned(), command: Some(command.to_owned()) }
}

/// A clock whose time true time is `offset` ahead of.
fn off_by(offset: Delta) -> String {
    direction(-offset)
}

fn direction(ahead: Delta) -> String {
    let side = if ahead < Delta::ZERO { "behind" } else { "ahead of" };
    format!("{} {side} true time", ahead.abs())
}

fn set_by(step: &Step) -> String {
    let side = if step.size < Delta::ZERO { "back" } else { "forward" };
    format!("set {side} by {} at {}", step.size.abs(), step.after.wall.clock_time())
}

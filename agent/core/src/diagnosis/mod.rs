//! Facts to findings; one root cause suppresses its symptoms.

mod agent;
pub mod clock;
mod ending;
mod remedy;
mod token;

pub use agent::{blind, delivery};
pub use ending::{Ending, ended};
pub use token::{ClockEffect, Judged, account_of, in_question, judge, next_change};

use self::clock::ClockFinding;
use crate::base::time::{Delta, Monotonic, Wall};
use crate::findings::{Finding, Subject};
use crate::world::clocks::Estimate;
use crate::world::cluster::{AccountLoss, Known, Pod};
use crate::world::tokens::{Deadlines, State};

/// What a token is judged by besides itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The clock as it is believed to be.
    pub clock: &'a Estimate,
    /// How long a file may be unreadable or broken before that is worth saying.
    pub settle: Delta,
    /// What kubelet has to catch up with, while it may.
    pub catching_up: Option<CatchingUp>,
    /// What the cluster knows of the token's pod.
    pub known: Option<Known<'a>>,
    /// What became of the token's service account, if that is why the API server refuses it.
    pub lost: Option<AccountLoss>,
}

/// The node's clock was set forward: only from then on does kubelet see what has come due
/// meanwhile, and it needs its time for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatchingUp {
    /// How far the clock was set forward.
    pub size: Delta,
    /// A healthy kubelet has caught up by then.
    pub until: Monotonic,
}

/// The tokens on which the clock has an effect of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Affected {
    /// Healthy, and wrong only by the node's clock.
    pub look_wrong: usize,
    /// Refused by the API server, and good by the node's clock: kubelet does not replace them.
    pub refused: usize,
}

impl Context<'_> {
    /// Whether the token came to be late by the setting of the clock alone.
    pub fn excuses(&self, deadlines: &Deadlines, now: Wall) -> bool {
        let before = self.catching_up.map(|step| deadlines.state(now - step.size));
        before.is_some_and(|state| !matches!(state, State::Late | State::Stalled | State::Expired))
    }

    /// The pod, if the cluster knows it.
    pub fn pod(&self) -> Option<&Pod> {
        self.known.map(|known| known.pod)
    }

    /// By when the pod's containers are killed, if it is going.
    pub fn deletion(&self) -> Option<Wall> {
        self.pod().and_then(|pod| pod.deletion)
    }

    /// The time by which findings are checked for being mere symptoms of the clock: true time where
    /// it is known to differ, else nothing.
    pub fn corrected(&self, node_now: Wall) -> Option<Wall> {
        use crate::world::clocks::ClockState::{Drifting, Off, Stepped};
        let differs = matches!(self.clock.state, Off | Drifting | Stepped)
            && self.clock.offset != Delta::ZERO;
        differs.then(|| node_now + self.clock.offset)
    }
}

/// A clock finding with its subject, and with the tokens it has an effect on.
pub fn of_clock(node: &str, finding: ClockFinding, affected: Affected) -> Finding {
    let affected = if finding.server.is_none() { affected } else { Affected::default() };
    let summary = format!(
        "{}{}{}",
        finding.summary,
        looking_wrong(affected.look_wrong),
        refused(affected.refused)
    );
    let some = |tokens: usize| (tokens > 0).then_some(tokens);
    Finding {
        code: finding.code,
        severity: finding.severity,
        subject: finding
            .server
            .map_or_else(|| Subject::node(node), |server| Subject::Server { server }),
        summary,
        deadline: None,
        evidence: finding
            .evidence
            .with_some("tokens_affected", some(affected.look_wrong))
            .with_some("tokens_refused", some(affected.refused)),
        remedy: finding.remedy,
        trace: None,
    }
}

fn looking_wrong(tokens: usize) -> String {
    match tokens {
        0 => String::new(),
        1 => " It makes 1 healthy token look wrong.".to_owned(),
        n => format!(" It makes {n} healthy tokens look wrong."),
    }
}

fn refused(tokens: usize) -> String {
    match tokens {
        0 => String::new(),
        1 => " The API server refuses 1 token that has expired by true time, and kubelet, which \
              goes by this clock, does not replace it."
            .to_owned(),
        n => format!(
            " The API server refuses {n} tokens that have expired by true time, and kubelet, \
             which goes by this clock, does not replace them."
        ),
    }
}

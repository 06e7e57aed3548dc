//! Facts to findings; one root cause suppresses its symptoms.

mod agent;
mod ending;
mod remedy;
mod token;

pub use agent::{blind, delivery};
pub use ending::{Ending, ended};
pub use token::{Judged, judge, next_change};

use crate::clock::{ClockFinding, Estimate};
use crate::findings::{Finding, Subject};
use crate::time::{Delta, Wall};

/// What a token is judged by besides itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The clock as it is believed to be.
    pub clock: &'a Estimate,
    /// How long a file may be unreadable or broken before that is worth saying.
    pub settle: Delta,
}

impl Context<'_> {
    /// The time by which findings are checked for being mere symptoms of the clock: true time where it is known to differ, else nothing.
    pub fn corrected(&self, node_now: Wall) -> Option<Wall> {
        use crate::clock::ClockState::{Drifting, Off, Stepped};
        let differs = matches!(self.clock.state, Off | Drifting | Stepped) && self.clock.offset != Delta::ZERO;
        differs.then(|| node_now + self.clock.offset)
    }
}

/// A clock finding with its subject, and with the token findings it accounts for.
pub fn clock(node: &str, finding: ClockFinding, tokens_affected: usize) -> Finding {
    let about_node = finding.server.is_none();
    let affected = (about_node && tokens_affected > 0).then_some(tokens_affected);
    let summary = match affected {
        Some(1) => format!("{} It makes 1 healthy token look wrong.", finding.summary),
        Some(n) => format!("{} It makes {n} healthy tokens look wrong.", finding.summary),
        None => finding.summary,
    };
    Finding {
        code: finding.code,
        severity: finding.severity,
        subject: finding.server.map_or_else(|| Subject::node(node), |server| Subject::Server { server }),
        summary,
        deadline: None,
        evidence: finding.evidence.with_some("tokens_affected", affected),
        remedy: finding.remedy,
        trace: None,
    }
}

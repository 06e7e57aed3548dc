//! Whether a warning had named the pods whose requests an API server refuses.

use super::Ledger;
use crate::base::time::Reading;
use crate::findings::{Code, Finding, Severity, Subject};
use crate::world::World;

/// Findings about the node that stand for the failing tokens of its pods.
const OF_ALL: [Code; 4] =
    [Code::KeyUnknown, Code::KubeletStalled, Code::ApiserverSkew, Code::ClockOffset];

impl Ledger {
    /// Notes for each pod of this node whose requests are refused whether an active warning names
    /// it. Without one, the agent has missed it: info wakes nobody.
    pub fn judge_refusals(&self, now: &Reading, world: &mut World) {
        if world.startup.tokens_ready_at(now).is_none() {
            world.judge_refusals(now, |uid| self.active().any(|finding| names(finding, uid)));
        }
    }
}

/// Whether a finding warns that the tokens of this pod fail, or will.
fn names(finding: &Finding, uid: &str) -> bool {
    let is_about = match &finding.subject {
        Subject::Token { pod, .. } => pod.uid == uid,
        Subject::Node { .. } => OF_ALL.contains(&finding.code),
        Subject::Server { .. } | Subject::File { .. } => false,
    };
    is_about && finding.severity >= Severity::Warning
}

//! What is wrong in one scope now, and how to understand that something else is no longer.

use crate::base::ids::TraceContext;
use crate::diagnosis::ClockEffect;
use crate::findings::{Finding, Resolution};
use crate::world::clocks::ClockState;

/// The whole judgement on one scope.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
    /// What it means that an earlier finding is missing.
    pub missing: Missing,
}

/// What it means that an earlier finding is missing from a judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The token is there.
    Token {
        /// The trace of the generation in the file, if there is one.
        current: Option<TraceContext>,
        /// What the node's clock does to it.
        effect: ClockEffect,
    },
    /// The token's file is gone.
    Gone,
    /// The clock is in this state.
    Clock(ClockState),
    /// Alerts get out; so many never did.
    Delivered {
        /// Since the agent started.
        lost: u64,
    },
    /// It is simply no longer so.
    Recovered,
}

impl Judgement {
    /// The judgement on a token whose file is gone.
    pub fn gone() -> Self {
        Self { findings: Vec::new(), missing: Missing::Gone }
    }
}

impl Missing {
    /// How `finding`, which is missing, was resolved.
    pub(super) fn resolution(&self, finding: &Finding) -> Resolution {
        match self {
            // A finding about another generation than the one in the file ended with that one.
            Self::Token { current, .. } if finding.trace.is_some() && finding.trace != *current => {
                Resolution::Replaced
            }
            Self::Token { effect: ClockEffect::LooksWrong, .. } => Resolution::ClockToBlame,
            Self::Token { effect: ClockEffect::None | ClockEffect::Refused, .. } => {
                Resolution::Recovered
            }
            Self::Gone => Resolution::Gone,
            Self::Clock(state) => Resolution::Clock(*state),
            Self::Delivered { lost } => Resolution::Delivered { lost: *lost },
            Self::Recovered => Resolution::Recovered,
        }
    }
}

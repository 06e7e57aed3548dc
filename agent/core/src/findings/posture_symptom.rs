//! Symptoms of what works, and should not be relied on.

use std::collections::BTreeSet;

use super::Code;
use crate::base::time::{Delta, Wall};
use crate::world::cluster::PodRef;

/// Tokens of the node that work, and should not be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostureSymptom {
    /// Why.
    pub fault: PostureFault,
    /// Each of them.
    pub items: BTreeSet<PostureItem>,
}

/// Why a token should not be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostureFault {
    /// Somebody holds it past the time at which the API server would refuse it without the
    /// extension of its expiry.
    ExtendedOnly {
        /// When it would have refused the first one.
        from: Wall,
    },
    /// It comes from a Secret, and has no expiry.
    Legacy,
    /// It lives long.
    LifetimeLong {
        /// The longest of them.
        longest: Delta,
    },
}

impl PostureFault {
    /// The code of the finding.
    pub fn code(self) -> Code {
        match self {
            Self::ExtendedOnly { .. } => Code::ExtendedOnly,
            Self::Legacy => Code::Legacy,
            Self::LifetimeLong { .. } => Code::LifetimeLong,
        }
    }
}

/// One token of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PostureItem {
    /// The pod that has it.
    pub pod: PodRef,
    /// The name of its volume.
    pub volume: String,
    /// What is to be known of it: its Secret, or how long it lives.
    pub what: String,
}

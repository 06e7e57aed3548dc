//! Typed symptoms: what is wrong, before it is put into words.

use super::{Code, Severity};
use crate::base::time::{Delta, Wall};
use crate::world::clocks::{ServerName, Step};
use crate::world::cluster::AccountLoss;

/// What is wrong with one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenSymptom {
    /// What.
    pub fault: TokenFault,
    /// How bad now.
    pub severity: Severity,
}

/// Everything that can be wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// It should have been replaced a while ago.
    RotationLate,
    /// It should have been replaced long ago; or its account is lost and it never will be.
    RotationStalled(Option<AccountLoss>),
    /// It is past `exp`.
    Expired(Option<AccountLoss>),
    /// It is before `nbf` less the API server's leeway.
    NotYetValid,
    /// It was issued after the node's own time.
    FutureDated,
    /// It expires before its pod, which is terminating, has to end.
    PodTerminating {
        /// When the pod's containers are killed at the latest.
        deletion: Wall,
    },
    /// Its file does not hold a token.
    Malformed,
    /// Its file cannot be read.
    Unreadable,
}

impl TokenFault {
    /// The code of the finding.
    pub fn code(self) -> Code {
        match self {
            Self::RotationLate => Code::RotationLate,
            Self::RotationStalled(_) => Code::RotationStalled,
            Self::Expired(_) => Code::Expired,
            Self::NotYetValid => Code::NotYetValid,
            Self::FutureDated => Code::FutureDated,
            Self::PodTerminating { .. } => Code::PodTerminating,
            Self::Malformed => Code::Malformed,
            Self::Unreadable => Code::Unreadable,
        }
    }

    /// What became of the service account, where that is the reason.
    pub fn lost(self) -> Option<AccountLoss> {
        match self {
            Self::RotationStalled(lost) | Self::Expired(lost) => lost,
            Self::RotationLate
            | Self::NotYetValid
            | Self::FutureDated
            | Self::PodTerminating { .. }
            | Self::Malformed
            | Self::Unreadable => None,
        }
    }
}

/// What is wrong with the node's clock or with a time server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockSymptom {
    /// What.
    pub fault: ClockFault,
    /// How bad now.
    pub severity: Severity,
}

/// Everything that can be wrong with a clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClockFault {
    /// The node's clock is off by more than its limit.
    Offset,
    /// No time daemon disciplines the node's clock.
    Unsynchronized,
    /// The node's clock was set.
    Stepped(Step),
    /// A leap second was inserted or left out.
    LeapSecond(Step),
    /// No source confirms the node's clock.
    Unknown,
    /// The servers contradict each other by this much, and no majority decides.
    Contradiction {
        /// From the earliest to the latest time that they claim.
        spread: Delta,
    },
    /// The other servers prove this one wrong.
    Falseticker {
        /// Which.
        server: ServerName,
        /// The offset that it claims.
        claim: Delta,
        /// The bound that it claims.
        bound: Delta,
    },
}

impl ClockFault {
    /// The code of the finding.
    pub fn code(&self) -> Code {
        match self {
            Self::Offset => Code::ClockOffset,
            Self::Unsynchronized => Code::ClockUnsynchronized,
            Self::Stepped(_) | Self::LeapSecond(_) => Code::ClockStepped,
            Self::Unknown => Code::ClockUnknown,
            Self::Contradiction { .. } | Self::Falseticker { .. } => Code::ClockServersDisagree,
        }
    }
}

/// The tokens that a wrong clock of the node has an effect of its own on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Affected {
    /// Healthy, and wrong only by the node's clock.
    pub look_wrong: usize,
    /// Refused by the API server, and good by the node's clock: kubelet does not replace them.
    pub refused: usize,
}

//! Typed symptoms: the result of a diagnosis, before it is put into words.

use std::collections::BTreeSet;

use super::{Code, Severity};
use crate::base::time::{Delta, Wall};
use crate::world::Misfit;
use crate::world::clocks::{ServerName, Step};
use crate::world::cluster::{AccountLoss, Deleted, Phase};
use crate::world::kubelet::Silence;
use crate::world::kubelet::errors::ErrorCause;
use crate::world::tokens::TokenKey;

/// A symptom of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenSymptom {
    /// What is wrong.
    pub fault: TokenFault,
    /// Its severity now.
    pub severity: Severity,
}

/// What can be wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// kubelet should have replaced it by now.
    RotationLate,
    /// kubelet has stopped rotating it.
    RotationStalled,
    /// kubelet does not sync its volume, and so will not replace it.
    Unsynced(Silence),
    /// It is past `exp`.
    Expired,
    /// Its service account was deleted, or replaced under the same name.
    SubjectReplaced(AccountLoss),
    /// It is before `nbf` less the API server's leeway.
    NotYetValid,
    /// Its `iat` is ahead of the node's clock.
    FutureDated,
    /// Its pod comes to its end, and kubelet does not replace the token any more.
    PodTerminating(PodEnd),
    /// Its file does not hold a token.
    Malformed,
    /// Its file cannot be read.
    Unreadable,
    /// A container mounts it by `subPath`, and keeps the generation of its start.
    Subpath,
    /// A container keeps an earlier generation.
    ReaderStale,
    /// A container has an old mount of its volume.
    MountFrozen,
    /// The client that reads it gives it to a verifier of another audience.
    Audience(Misfit),
}

/// How a pod comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodEnd {
    /// The pod is terminating, and may run longer than the token is valid.
    Ahead {
        /// When kubelet kills the pod's containers at the latest.
        deletion: Wall,
    },
    /// The pod should have ended, and its files are still on the node.
    Overdue {
        /// When kubelet should have killed the pod's containers.
        deletion: Wall,
    },
    /// The API server does not know the pod, and its files are still on the node.
    Deleted(Deleted),
    /// The pod's containers have ended, and its files are still on the node.
    Ended(Phase),
}

impl TokenFault {
    /// The code of the finding.
    pub fn code(self) -> Code {
        match self {
            Self::RotationLate => Code::RotationLate,
            Self::RotationStalled | Self::Unsynced(_) => Code::RotationStalled,
            Self::Expired => Code::Expired,
            Self::SubjectReplaced(_) => Code::SubjectReplaced,
            Self::NotYetValid => Code::NotYetValid,
            Self::FutureDated => Code::FutureDated,
            Self::PodTerminating(_) => Code::PodTerminating,
            Self::Malformed => Code::Malformed,
            Self::Unreadable => Code::Unreadable,
            Self::Subpath => Code::Subpath,
            Self::ReaderStale => Code::ReaderStale,
            Self::MountFrozen => Code::MountFrozen,
            Self::Audience(_) => Code::AudienceUnknown,
        }
    }

    /// How the service account was lost, if that is what is wrong.
    pub fn lost(self) -> Option<AccountLoss> {
        match self {
            Self::SubjectReplaced(lost) => Some(lost),
            Self::RotationLate
            | Self::RotationStalled
            | Self::Unsynced(_)
            | Self::Expired
            | Self::NotYetValid
            | Self::FutureDated
            | Self::PodTerminating(_)
            | Self::Malformed
            | Self::Unreadable
            | Self::Subpath
            | Self::ReaderStale
            | Self::MountFrozen
            | Self::Audience(_) => None,
        }
    }
}

/// A symptom of the node's clock or of a time server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockSymptom {
    /// What is wrong.
    pub fault: ClockFault,
    /// Its severity now.
    pub severity: Severity,
}

/// What can be wrong with a clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClockFault {
    /// The node's clock is off by more than its limit.
    Offset,
    /// No time daemon disciplines the node's clock.
    Unsynchronized,
    /// The node's clock was set.
    Stepped(Step),
    /// A leap second was inserted or deleted.
    LeapSecond(Step),
    /// No source confirms the node's clock.
    Unknown,
    /// The servers contradict each other, and no majority decides.
    Contradiction,
    /// At least two servers agree with each other, and contradict the majority.
    SecondCamp,
    /// The other servers prove this one wrong.
    Falseticker {
        /// The server.
        server: ServerName,
        /// The offset that it claims.
        claim: Delta,
        /// The error bound that it claims.
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
            Self::Contradiction | Self::SecondCamp | Self::Falseticker { .. } => {
                Code::ClockServersDisagree
            }
        }
    }
}

/// The symptom of an API server's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkewSymptom {
    /// Whose clock is wrong.
    pub wrong: WrongClock,
    /// How far the API server's clock is ahead: of true time, of another API server's, or of the
    /// node's, whichever `wrong` compares it with.
    pub ahead: Delta,
    /// The largest error of `ahead`.
    pub bound: Delta,
    /// How far it is ahead of the node's clock.
    pub ahead_of_node: Delta,
    /// What shows it.
    pub shown_by: ShownBy,
    /// The names in the certificates of the API servers that are meant, where they are some of
    /// several, and the others' certificates do not have these names.
    pub names: Vec<String>,
    /// What it breaks, now or when the clock is corrected.
    pub effects: Vec<SkewEffect>,
    /// Its severity now.
    pub severity: Severity,
}

/// What shows the clock of an API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownBy {
    /// The `Date` of so many answers: from both sides.
    Answers(u32),
    /// The `iat` of so many tokens that kubelet got: it is at least so far ahead.
    Tokens(u32),
}

/// Whose clock is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongClock {
    /// The API server's, against true time.
    ApiServer,
    /// That of one of several API servers, against true time.
    OneApiServer,
    /// That of one of two API servers, against each other: no time source shows which.
    EitherApiServer,
    /// The node's or the API server's: no time source shows which.
    NodeOrApiServer,
}

impl WrongClock {
    /// Those that are found without a time source.
    pub(crate) const EVEN_WITHOUT_TRUTH: [Self; 2] = [Self::EitherApiServer, Self::NodeOrApiServer];

    /// The name in JSON and in telemetry.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiServer => "api_server",
            Self::OneApiServer => "one_api_server",
            Self::EitherApiServer => "either_api_server",
            Self::NodeOrApiServer => "node_or_api_server",
        }
    }
}

/// What a clock of an API server breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkewEffect {
    /// Its new tokens are not valid yet for verifiers whose clock is right. When it is corrected,
    /// that holds for itself, and kubelet does not replace them.
    NotYetValid,
    /// These tokens are refused before kubelet replaces them.
    DeadBeforeRefresh(usize),
    /// kubelet requests these tokens again with each sync.
    RefreshedEachSync(usize),
    /// These tokens are dated in the future: kubelet replaces them as much later.
    FutureDated(usize),
}

/// The symptom of a kubelet that replaces no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeletSymptom {
    /// How it is seen.
    pub sign: StallSign,
    /// Since when.
    pub since: Wall,
    /// The tokens that kubelet should have replaced since, or will not replace.
    pub tokens: BTreeSet<TokenKey>,
    /// The highest severity of these tokens.
    pub severity: Severity,
}

/// What shows that kubelet is stalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StallSign {
    /// It replaces no token: the newest one on the node has the `iat` that the stall began with.
    ReplacesNothing,
    /// It syncs no volume: its last sync is the begin of the stall.
    SyncsNothing,
    /// It logged one cause of the node for the tokens of several pods that are late: the first of
    /// them was due at the begin of the stall.
    Fails(ErrorCause),
}

/// A symptom of a copied token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopySymptom {
    /// What is wrong.
    pub fault: CopyFault,
    /// Its severity now.
    pub severity: Severity,
}

/// What can be wrong with a copy of a token on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFault {
    /// It is past `exp` and the API server's leeway.
    Expired,
    /// The pod that it is bound to does not exist any more.
    PodGone,
    /// Its signature does not fit the key that it names.
    Damaged,
    /// An API server does not have the key that signed it.
    KeyUnknown,
    /// It was made from the token of a pod that is not the plugin's.
    OtherPod,
    /// It is of a pod that is not known to be the plugin's.
    UnknownPod,
    /// kubelet replaced the token that it was made from, and nobody wrote the copy again.
    Behind,
    /// It is too old for a token that somebody renews.
    NotRenewed,
}

impl CopySymptom {
    /// The code of the finding.
    pub fn code(self) -> Code {
        Code::CopyStale
    }
}

/// Most pods that the evidence of one finding names. The counts beside them are complete.
pub const MAX_NAMED: usize = 10;

/// The tokens that a wrong node clock affects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affected {
    /// Tokens that are good, and look wrong by the node's clock.
    pub look_wrong: usize,
    /// Tokens that the API server rejects, and that look good by the node's clock: kubelet does not
    /// replace them.
    pub refused: usize,
    /// The pods of the first refused tokens, each as `namespace/name`.
    pub refused_pods: Vec<String>,
}

/// Empty volumes of pods about which nobody can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmptyVolumes {
    /// The tokens that they should hold.
    pub keys: Vec<TokenKey>,
    /// Number of their pods.
    pub pods: usize,
    /// Since when the agent knows.
    pub since: Wall,
    /// Whether no pod of the node has a token. kubelet then sets up no volume; else it has left
    /// some behind.
    pub no_token: bool,
}

impl EmptyVolumes {
    /// One pod alone may be a leftover.
    pub fn severity(&self) -> Severity {
        if self.no_token && self.pods > 1 { Severity::Warning } else { Severity::Info }
    }
}

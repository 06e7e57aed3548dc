//! Whose findings are judged together.

use crate::findings::{Code, Finding, Subject};
use crate::world::tokens::TokenKey;

/// Whose findings are judged together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// One token.
    Token(TokenKey),
    /// The node's clock and its servers.
    Clock,
    /// What the agent cannot see.
    Visibility,
    /// What the agent cannot deliver.
    Delivery,
}

impl Scope {
    /// The scope that such a finding is judged in.
    pub(super) fn of(finding: &Finding) -> Self {
        match &finding.subject {
            Subject::Token { pod, volume, path } => Self::Token(TokenKey {
                pod_uid: pod.uid.clone(),
                volume: volume.clone(),
                path: path.clone(),
            }),
            Subject::Server { .. } => Self::Clock,
            Subject::Node { .. } => match finding.code {
                Code::AgentBlind => Self::Visibility,
                Code::DeliveryDelayed => Self::Delivery,
                Code::RotationLate
                | Code::RotationStalled
                | Code::Expired
                | Code::NotYetValid
                | Code::FutureDated
                | Code::Malformed
                | Code::Unreadable
                | Code::ReaderStale
                | Code::MountFrozen
                | Code::Subpath
                | Code::PodTerminating
                | Code::KeyUnknown
                | Code::IssuerMismatch
                | Code::AudienceUnknown
                | Code::SubjectReplaced
                | Code::ExtendedOnly
                | Code::Legacy
                | Code::LifetimeLong
                | Code::CopyStale
                | Code::ClockOffset
                | Code::ClockUnsynchronized
                | Code::ClockStepped
                | Code::ClockUnknown
                | Code::ClockServersDisagree
                | Code::ApiserverSkew
                | Code::ApiserverRejecting
                | Code::TokenControllerDown => Self::Clock,
            },
        }
    }

    /// The token, if it is the scope of one.
    pub(super) fn token(&self) -> Option<&TokenKey> {
        match self {
            Self::Token(key) => Some(key),
            Self::Clock | Self::Visibility | Self::Delivery => None,
        }
    }
}

//! Scopes: each diagnosis is complete for one scope.

use crate::findings::{Code, Finding, Subject};
use crate::world::tokens::TokenKey;

/// A set of findings that are diagnosed together. A finding that is missing from a diagnosis of its
/// scope is resolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// One token.
    Token(TokenKey),
    /// The node's clock and its servers.
    Clock,
    /// The API server's clock.
    Verifier,
    /// The keys and issuers of the API servers.
    Keys,
    /// The controller manager.
    Controller,
    /// Tokens that work, and should not be relied on.
    Posture,
    /// The requests that the API servers refuse.
    Refusals,
    /// The node's kubelet.
    Kubelet,
    /// What the agent cannot see.
    Visibility,
    /// Volumes that kubelet has not set up.
    Volumes,
    /// What the agent cannot deliver.
    Delivery,
    /// A file on the host with copies of tokens, by its path.
    File(String),
}

impl Scope {
    /// The scope of `finding`.
    pub(super) fn of(finding: &Finding) -> Self {
        match &finding.subject {
            Subject::Token { pod, volume, path } => Self::Token(TokenKey {
                pod_uid: pod.uid.clone(),
                volume: volume.clone(),
                path: path.clone(),
            }),
            Subject::Server { .. } => Self::Clock,
            Subject::File { path, .. } => Self::File(path.clone()),
            Subject::Node { .. } => Self::of_node(finding.code),
        }
    }

    /// The scope of a finding with this code about the node.
    pub(super) fn of_node(code: Code) -> Self {
        match code {
            Code::KubeletStalled => Self::Kubelet,
            Code::ApiserverSkew => Self::Verifier,
            Code::KeyUnknown | Code::IssuerMismatch => Self::Keys,
            Code::TokenControllerDown => Self::Controller,
            Code::ExtendedOnly | Code::Legacy | Code::LifetimeLong => Self::Posture,
            // Of the node: readers on other nodes.
            Code::ApiserverRejecting | Code::ReaderStale => Self::Refusals,
            Code::AgentBlind => Self::Visibility,
            Code::DeliveryDelayed => Self::Delivery,
            Code::Missing => Self::Volumes,
            Code::RotationLate
            | Code::RotationStalled
            | Code::Expired
            | Code::NotYetValid
            | Code::FutureDated
            | Code::Malformed
            | Code::Unreadable
            | Code::MountFrozen
            | Code::Subpath
            | Code::PodTerminating
            | Code::AudienceUnknown
            | Code::SubjectReplaced
            | Code::CopyStale
            | Code::ClockOffset
            | Code::ClockUnsynchronized
            | Code::ClockStepped
            | Code::ClockUnknown
            | Code::ClockServersDisagree => Self::Clock,
        }
    }

    /// The token, if this is the scope of a token.
    pub(super) fn token(&self) -> Option<&TokenKey> {
        self.about().0
    }

    /// The path of the file, if this is the scope of a file.
    pub(super) fn file(&self) -> Option<&str> {
        self.about().1
    }

    fn about(&self) -> (Option<&TokenKey>, Option<&str>) {
        match self {
            Self::Token(key) => (Some(key), None),
            Self::File(path) => (None, Some(path)),
            Self::Clock
            | Self::Verifier
            | Self::Keys
            | Self::Controller
            | Self::Posture
            | Self::Refusals
            | Self::Kubelet
            | Self::Visibility
            | Self::Volumes
            | Self::Delivery => (None, None),
        }
    }
}

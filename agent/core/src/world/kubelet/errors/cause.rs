//! The causes that kubelet's errors name.

use serde::{Deserialize, Serialize};

/// Why kubelet got no token, or did not write it, by the text of its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCause {
    /// The node authorizer does not know that the pod runs on this node.
    NodeAuthorizer,
    /// The service account does not exist.
    AccountMissing,
    /// The service account was deleted and created again.
    AccountReplaced,
    /// The API server does not know the pod.
    PodMissing,
    /// The pod was deleted and created again under the same name.
    PodReplaced,
    /// By the API server, the pod runs on another node.
    OtherNode,
    /// No volume of the pod has the audience.
    Audience,
    /// The API server does not accept kubelet's own certificate.
    Credentials,
    /// kubelet does not accept the certificate of the API server.
    ServerCertificate,
    /// The API server limits the rate of requests.
    Throttled,
    /// kubelet does not reach the API server.
    ApiServerAway,
    /// A ConfigMap or a Secret of the volume is missing.
    SourceMissing,
    /// kubelet's cache of ConfigMaps and Secrets has not synced.
    CacheNotSynced,
    /// A PersistentVolumeClaim of the pod is being deleted.
    ClaimDeleted,
    /// kubelet could not write the files.
    NotWritten,
    /// None of these.
    Other,
}

impl ErrorCause {
    /// Every cause.
    pub const ALL: [Self; 16] = [
        Self::NodeAuthorizer,
        Self::AccountMissing,
        Self::AccountReplaced,
        Self::PodMissing,
        Self::PodReplaced,
        Self::OtherNode,
        Self::Audience,
        Self::Credentials,
        Self::ServerCertificate,
        Self::Throttled,
        Self::ApiServerAway,
        Self::SourceMissing,
        Self::CacheNotSynced,
        Self::ClaimDeleted,
        Self::NotWritten,
        Self::Other,
    ];

    /// The name in evidence, and in the table of texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::NodeAuthorizer => "node_authorizer",
            Self::AccountMissing => "account_missing",
            Self::AccountReplaced => "account_replaced",
            Self::PodMissing => "pod_missing",
            Self::PodReplaced => "pod_replaced",
            Self::OtherNode => "other_node",
            Self::Audience => "audience",
            Self::Credentials => "kubelet_credentials",
            Self::ServerCertificate => "server_certificate",
            Self::Throttled => "throttled",
            Self::ApiServerAway => "api_server_away",
            Self::SourceMissing => "source_missing",
            Self::CacheNotSynced => "cache_not_synced",
            Self::ClaimDeleted => "claim_deleted",
            Self::NotWritten => "not_written",
            Self::Other => "other",
        }
    }

    /// The cause with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == name)
    }

    /// Whether it is a cause of the node, and no pod's: every request of kubelet meets it.
    pub fn is_of_node(self) -> bool {
        matches!(
            self,
            Self::Credentials
                | Self::ServerCertificate
                | Self::Throttled
                | Self::ApiServerAway
                | Self::CacheNotSynced
        )
    }
}

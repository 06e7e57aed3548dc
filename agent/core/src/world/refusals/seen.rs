//! The observation of what an API server on this node logged about tokens.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::base::ids::stable_id;
use crate::base::time::{Delta, Wall};
use crate::world::cluster::AccountName;
use crate::world::tokens::GenerationId;

/// What the logs showed since the report before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerLogSeen {
    /// Refused requests (401) by reason, from the server's own log. A line of it names nobody.
    pub reasons: Vec<(RefusalReason, u64)>,
    /// Refused requests by who may have sent them.
    pub refused: Vec<(Suspect, u64)>,
    /// Refused requests of the audit log beyond those in `refused`.
    pub others: u64,
    /// Accepted requests from the audit log, each user of an address once in a while.
    pub accepted: Vec<Accepted>,
    /// Refused requests with their times.
    #[serde(default, skip_serializing_if = "TimedRefusals::is_empty")]
    pub timed: TimedRefusals,
    /// Tokens that kubelets have requested, from the audit log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issued: Vec<IssuedToken>,
}

/// Refused requests with their times by the API server's clock. They are counted in
/// [`ServerLogSeen::reasons`] and [`ServerLogSeen::refused`], too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedRefusals {
    /// Lines of the server's own log: when, and why.
    pub logged: Vec<(Wall, RefusalReason)>,
    /// Audit events.
    pub audited: Vec<AuditedRefusal>,
    /// The first and the last time of those that are not listed.
    pub unlisted: Option<(Wall, Wall)>,
}

impl TimedRefusals {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An audit event of a refused request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditedRefusal {
    /// The address that the connection came from.
    pub address: Option<IpAddr>,
    /// When the API server received the request.
    pub received: Wall,
    /// When it answered.
    pub answered: Wall,
}

/// A token that a kubelet has requested for a pod (TokenRequest, at level Request or above).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedToken {
    /// The UID of the pod that it is bound to.
    pub pod_uid: String,
    /// A hash of its audiences and its lifetime: kubelet replaces a token by one with the same.
    pub request: String,
    /// Its lifetime.
    pub lifetime: Delta,
    /// Its generation: the annotation `authentication.kubernetes.io/issued-credential-id`.
    pub generation: GenerationId,
    /// When it was requested, by the API server's clock.
    pub at: Wall,
}

impl IssuedToken {
    /// The hash for these audiences and this lifetime.
    pub fn request_of(audiences: &[&str], lifetime: Delta) -> String {
        let lifetime = lifetime.as_nanos().to_string();
        stable_id("tokenwatch/request/1", &[&[lifetime.as_str()], audiences].concat())
    }
}

/// Why an API server refused a request: the texts of pkg/serviceaccount/claims.go and jwt.go,
/// which are the same from Kubernetes 1.25 to 1.36.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// The token is past `exp`.
    Expired,
    /// The token is before `nbf`, or `iat` is in the future.
    NotYetValid,
    /// The object that the token is bound to was deleted.
    Invalidated,
    /// The object that the token is bound to was created again under the same name.
    ObjectReplaced,
    /// The service account does not exist any more.
    AccountDeleted,
    /// The service account was created again under the same name.
    AccountReplaced,
    /// The token is for another audience.
    Audience,
    /// The token names another issuer.
    Issuer,
    /// The API server does not have the key, or the signature is wrong.
    Signature,
    /// A client certificate was refused: no token.
    Certificate,
    /// Another reason.
    Other,
}

impl RefusalReason {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::Expired,
        Self::NotYetValid,
        Self::Invalidated,
        Self::ObjectReplaced,
        Self::AccountDeleted,
        Self::AccountReplaced,
        Self::Audience,
        Self::Issuer,
        Self::Signature,
        Self::Certificate,
        Self::Other,
    ];

    /// The name in evidence and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Invalidated => "invalidated",
            Self::ObjectReplaced => "object_replaced",
            Self::AccountDeleted => "account_deleted",
            Self::AccountReplaced => "account_replaced",
            Self::Audience => "audience",
            Self::Issuer => "issuer",
            Self::Signature => "signature",
            Self::Certificate => "certificate",
            Self::Other => "other",
        }
    }
}

/// What an API server logged about the sender of a refused request. An audit event of a refused
/// request has no user, and a line of the log has no address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspect {
    /// The address that the connection came from (audit log).
    Address(IpAddr),
    /// The pod that the token is bound to (log level 4).
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The service account of the token (log level 4).
    Account(AccountName),
}

/// A request that an API server accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The address that the connection came from.
    pub address: Option<IpAddr>,
    /// The user, if it is a service account.
    pub user: Option<AcceptedAccount>,
    /// When it was received, by the API server's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Wall>,
    /// The begin of its user agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// The user of an accepted request (KEP-4193, `user.extra` of the audit event).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedAccount {
    /// The service account.
    pub account: AccountName,
    /// The pod that the token is bound to: `authentication.kubernetes.io/pod-name` and `pod-uid`.
    pub pod: Option<AcceptedPod>,
    /// The node of that pod: `authentication.kubernetes.io/node-name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The generation of the token: `authentication.kubernetes.io/credential-id`, Kubernetes 1.30.
    pub generation: Option<GenerationId>,
    /// How long the token was past `warnafter`: the annotation
    /// `authentication.k8s.io/stale-token`.
    pub stale_for: Option<Delta>,
}

/// The pod of an accepted request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AcceptedPod {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

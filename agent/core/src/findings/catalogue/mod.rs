//! The closed list of finding codes. `tokenwatch findings` and the runbooks are generated from it.

mod agent;
mod clock;
mod cluster;
mod copy;
mod token;

use serde::{Deserialize, Serialize};

/// The documentation of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CodeInfo {
    /// One line.
    pub title: &'static str,
    /// What the finding means for the pod or the node.
    pub meaning: &'static str,
    /// How the agent detects it.
    pub found_by: &'static str,
    /// Its severities, and when each applies.
    pub severity: &'static str,
    /// What to do.
    pub action: &'static str,
}

/// The documentation of a code, without its title.
struct Entry {
    meaning: &'static str,
    found_by: &'static str,
    severity: &'static str,
    action: &'static str,
}

macro_rules! codes {
    ($(
        $(#[doc = $doc:literal])*
        $variant:ident = $code:literal in $family:ident::$entry:ident;
    )*) => {
        /// What can be wrong. The list is closed: a new code needs a meaning, evidence, a remedy
        /// and a test.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub enum Code { $($(#[doc = $doc])* #[serde(rename = $code)] $variant),* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code as scripts and dashboards use it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }

            /// The documentation of this code.
            pub fn info(self) -> CodeInfo {
                match self {
                    $(Self::$variant => CodeInfo {
                        title: concat!($($doc),*).trim_ascii(),
                        meaning: $family::$entry.meaning,
                        found_by: $family::$entry.found_by,
                        severity: $family::$entry.severity,
                        action: $family::$entry.action,
                    }),*
                }
            }
        }
    };
}

codes! {
    #[doc = "kubelet is late in rotating this token"]
    RotationLate = "token.rotation_late" in token::ROTATION_LATE;
    #[doc = "kubelet has stopped rotating this token"]
    RotationStalled = "token.rotation_stalled" in token::ROTATION_STALLED;
    #[doc = "the token in the file has expired"]
    Expired = "token.expired" in token::EXPIRED;
    #[doc = "the token is not valid yet"]
    NotYetValid = "token.not_yet_valid" in token::NOT_YET_VALID;
    #[doc = "the token's issue time is in the future"]
    FutureDated = "token.future_dated" in token::FUTURE_DATED;
    #[doc = "a file that should contain a token does not parse"]
    Malformed = "token.malformed" in token::MALFORMED;
    #[doc = "the agent cannot read a token file"]
    Unreadable = "token.unreadable" in token::UNREADABLE;
    #[doc = "a token that should be there is missing"]
    Missing = "token.missing" in token::MISSING;
    #[doc = "a process still uses a token that was replaced"]
    ReaderStale = "token.reader_stale" in token::READER_STALE;
    #[doc = "a container sees an old copy of the volume"]
    MountFrozen = "token.mount_frozen" in token::MOUNT_FROZEN;
    #[doc = "a token is mounted through subPath and never changes"]
    Subpath = "token.subpath" in token::SUBPATH;
    #[doc = "the pod is terminating and its token will not be refreshed"]
    PodTerminating = "token.pod_terminating" in token::POD_TERMINATING;
    #[doc = "the API server no longer serves the key that signed the token"]
    KeyUnknown = "token.key_unknown" in token::KEY_UNKNOWN;
    #[doc = "the token's issuer is not the cluster's"]
    IssuerMismatch = "token.issuer_mismatch" in token::ISSUER_MISMATCH;
    #[doc = "the token's audience does not fit the client that reads it"]
    AudienceUnknown = "token.audience_unknown" in token::AUDIENCE_UNKNOWN;
    #[doc = "the token's service account was deleted, or replaced under the same name"]
    SubjectReplaced = "token.subject_replaced" in token::SUBJECT_REPLACED;
    #[doc = "a token works only because of expiry extension"]
    ExtendedOnly = "token.extended_only" in token::EXTENDED_ONLY;
    #[doc = "a Secret-based token that never expires"]
    Legacy = "token.legacy" in token::LEGACY;
    #[doc = "a token lives longer than is usual"]
    LifetimeLong = "token.lifetime_long" in token::LIFETIME_LONG;
    #[doc = "a copy of a token on the host is stale"]
    CopyStale = "copy.stale" in copy::COPY_STALE;
    #[doc = "the node's clock is off"]
    ClockOffset = "clock.offset" in clock::CLOCK_OFFSET;
    #[doc = "no time daemon synchronises the node's clock"]
    ClockUnsynchronized = "clock.unsynchronized" in clock::CLOCK_UNSYNCHRONIZED;
    #[doc = "the node's clock was set"]
    ClockStepped = "clock.stepped" in clock::CLOCK_STEPPED;
    #[doc = "no time source confirms the node's clock"]
    ClockUnknown = "clock.unknown" in clock::CLOCK_UNKNOWN;
    #[doc = "time servers contradict each other"]
    ClockServersDisagree = "clock.servers_disagree" in clock::CLOCK_SERVERS_DISAGREE;
    #[doc = "kubelet on this node replaces no token"]
    KubeletStalled = "kubelet.stalled" in cluster::KUBELET_STALLED;
    #[doc = "the API server's clock differs"]
    ApiserverSkew = "apiserver.skew" in cluster::APISERVER_SKEW;
    #[doc = "the API server refuses tokens"]
    ApiserverRejecting = "apiserver.rejecting" in cluster::APISERVER_REJECTING;
    #[doc = "kube-controller-manager does not renew its lease"]
    TokenControllerDown = "controlplane.token_controller_down" in cluster::TOKEN_CONTROLLER_DOWN;
    #[doc = "the agent cannot see some volumes"]
    AgentBlind = "agent.blind" in agent::AGENT_BLIND;
    #[doc = "alerts do not reach the collector"]
    DeliveryDelayed = "agent.delivery_delayed" in agent::DELIVERY_DELAYED;
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Code {
    /// Codes whose meaning is fixed, but which the agent does not detect yet.
    const RESERVED: [Self; 0] = [];

    /// The family of the code. Findings of one family about one subject are one finding, which gets
    /// worse or better: a late rotation that becomes an expired token is not a second incident.
    pub fn family(self) -> &'static str {
        match self {
            Self::RotationLate
            | Self::RotationStalled
            | Self::Expired
            | Self::PodTerminating
            | Self::SubjectReplaced => "token.lifecycle",
            Self::NotYetValid | Self::FutureDated => "token.early",
            Self::Malformed
            | Self::Unreadable
            | Self::Missing
            | Self::ReaderStale
            | Self::MountFrozen
            | Self::Subpath
            | Self::KeyUnknown
            | Self::IssuerMismatch
            | Self::AudienceUnknown
            | Self::ExtendedOnly
            | Self::Legacy
            | Self::LifetimeLong
            | Self::CopyStale
            | Self::ClockOffset
            | Self::ClockUnsynchronized
            | Self::ClockStepped
            | Self::ClockUnknown
            | Self::ClockServersDisagree
            | Self::KubeletStalled
            | Self::ApiserverSkew
            | Self::ApiserverRejecting
            | Self::TokenControllerDown
            | Self::AgentBlind
            | Self::DeliveryDelayed => self.as_str(),
        }
    }

    /// Whether the agent does not detect this code yet.
    pub fn is_reserved(self) -> bool {
        Self::RESERVED.contains(&self)
    }
}

impl std::str::FromStr for Code {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_named_as_they_parse() {
        for code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}

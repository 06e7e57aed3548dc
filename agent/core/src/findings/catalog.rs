//! The one list of finding codes: what each means, how it is found, what to do. Runbooks and
//! `tokenwatch findings` come from here.

use serde::{Deserialize, Serialize};

/// What people need to know about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CodeInfo {
    /// One line.
    pub title: &'static str,
    /// What it means for the pod or the node.
    pub meaning: &'static str,
    /// How it is found.
    pub found_by: &'static str,
    /// Its severities, in words.
    pub severity: &'static str,
    /// What to do.
    pub action: &'static str,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $code:literal { meaning: $meaning:literal, found_by: $found_by:literal, severity: $severity:literal, action: $action:literal })*) => {
        /// What can be wrong. Closed: a new code comes with its meaning, evidence, remedy and a test.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code { $($(#[doc = $doc])* #[serde(rename = $code)] $variant),* }

        impl Code {
            /// Every code, in the order of the contract.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// As scripts know it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }

            /// What people need to know about it.
            pub fn info(self) -> CodeInfo {
                match self { $(Self::$variant => CodeInfo { title: concat!($($doc),*).trim_ascii(), meaning: $meaning, found_by: $found_by, severity: $severity, action: $action }),* }
            }
        }
    };
}

codes! {
    #[doc = "kubelet is later with a rotation than a healthy one is"]
    RotationLate = "token.rotation_late" {
        meaning: "The token should have been replaced by now. It still works; kubelet may be busy, restarting or cut off from the API server.",
        found_by: "The file still holds a generation whose due time (iat + min(80 % of its lifetime, 24 h)) passed min(120 s, 80 % of the slack) ago, on the node's clock.",
        severity: "info",
        action: "Nothing yet. If it becomes token.rotation_stalled, look at kubelet and at its way to the API server."
    }
    #[doc = "kubelet has stopped rotating this token"]
    RotationStalled = "token.rotation_stalled" {
        meaning: "kubelet tried or should have tried several times and the file did not change. When the effective deadline passes, requests with this token are refused (or, for an extended token, only work thanks to the extension).",
        found_by: "Due + min(300 s, 92 % of the slack) has passed on the node's clock and the generation is the same; or the token is late and its service account is gone or was made anew, as the API server says where it may be asked (evidence service_account_state: missing, replaced).",
        severity: "warning; critical in the last third of the slack, after the effective deadline of a token without extension, and where the service account is gone",
        action: "Look for \"Couldn't update token\" and MountVolume.SetUp errors in kubelet's log on this node, and for FailedMount events on the pod; check that kubelet reaches the API server and that the service account and every source of the volume (kube-root-ca.crt, Secrets, ConfigMaps) exist."
    }
    #[doc = "the token in the file has expired"]
    Expired = "token.expired" {
        meaning: "Every request with this token gets 401 once the API server's 60 s leeway (and up to 10 s of its cache) is over.",
        found_by: "exp has passed on the node's clock and the file still holds this generation.",
        severity: "critical",
        action: "Get kubelet to write a new token: repair its way to the API server or the failing source of the volume, then delete the pod if the file does not change within two sync periods."
    }
    #[doc = "the token is not valid yet"]
    NotYetValid = "token.not_yet_valid" {
        meaning: "The API server refuses the token (\"not valid yet\") until its clock reaches nbf - 60 s, and kubelet does not replace it, because by kubelet's rule it is fresh.",
        found_by: "nbf - 60 s is still ahead on the node's clock.",
        severity: "critical",
        action: "Compare the clocks of the API server hosts and of the node. Once they agree, restart kubelet or delete the pod: kubelet does not replace a token that looks new."
    }
    #[doc = "the token was issued in the future"]
    FutureDated = "token.future_dated" {
        meaning: "The clock that signed the token was ahead of this node's, or this node's clock is behind. Rotation will come late by the same amount, and if the API server's clock is set back, the token becomes not valid yet.",
        found_by: "iat is ahead of the node's clock by more than 10 s plus the error bound.",
        severity: "info up to 60 s, warning above",
        action: "Run `tokenwatch clock` on the node: if the node is right, the API server's clock is ahead."
    }
    #[doc = "a file that should hold a token does not parse"]
    Malformed = "token.malformed" {
        meaning: "The pod presents bytes that no API server accepts.",
        found_by: "A file in a place where a token was, or that starts like one, does not decode as a service-account token.",
        severity: "warning",
        action: "Look at who writes the file; if it is kubelet's projected volume, delete the pod to have it written anew."
    }
    #[doc = "a token file cannot be read"]
    Unreadable = "token.unreadable" {
        meaning: "The agent cannot judge this token.",
        found_by: "Opening or reading the file failed for longer than a file that is being replaced can explain, or the volume's ..data leads out of it.",
        severity: "warning",
        action: "Give the agent CAP_DAC_READ_SEARCH (or root) and the kubelet directory read-only with HostToContainer propagation."
    }
    #[doc = "a process still uses a token that was replaced"]
    ReaderStale = "token.reader_stale" { meaning: "The process read an older generation and did not come back.", found_by: "Not looked for yet.", severity: "warning", action: "Update the client library, or restart the container." }
    #[doc = "a container sees an old copy of the volume"]
    MountFrozen = "token.mount_frozen" { meaning: "kubelet mounted a new tmpfs; the running container still has the old one.", found_by: "Not looked for yet.", severity: "critical", action: "Delete the pod." }
    #[doc = "a token is mounted through subPath and never changes"]
    Subpath = "token.subpath" { meaning: "A subPath mount pins the file of the first generation.", found_by: "Not looked for yet.", severity: "warning", action: "Mount the whole volume." }
    #[doc = "the pod is going and its token will not be refreshed"]
    PodTerminating = "token.pod_terminating" {
        meaning: "kubelet does not replace the tokens of a pod that is being deleted. Its containers may still work for as long as the grace period lasts, and requests with this token fail before that is over.",
        found_by: "The API server says that the pod is being deleted (deletionTimestamp, which includes the grace period), and the token's effective deadline comes before. Needs access to the Kubernetes API.",
        severity: "warning; critical once the deadline has passed",
        action: "Let the pod end before the token does: shorten terminationGracePeriodSeconds or what the container does on SIGTERM, or give the token a longer expirationSeconds. To end it now, delete the pod again with a shorter --grace-period."
    }
    #[doc = "the key that signed the token is not served any more"]
    KeyUnknown = "token.key_unknown" { meaning: "The API server cannot verify the signature.", found_by: "Not looked for yet.", severity: "critical", action: "Restore the key, or delete the pods that hold such tokens." }
    #[doc = "the token's issuer is not the cluster's"]
    IssuerMismatch = "token.issuer_mismatch" { meaning: "The API server does not accept this issuer.", found_by: "Not looked for yet.", severity: "critical", action: "Add the old issuer to --service-account-issuer until all tokens are replaced." }
    #[doc = "nobody accepts the token's audience"]
    AudienceUnknown = "token.audience_unknown" { meaning: "The audience is not the API server's and no known verifier's.", found_by: "Not looked for yet.", severity: "info", action: "Check the audience in the pod's volume." }
    #[doc = "the pod or service account was replaced under the same name"]
    SubjectReplaced = "token.subject_replaced" { meaning: "The UID in the token is not the object's any more.", found_by: "Not looked for yet.", severity: "critical", action: "Delete the pod." }
    #[doc = "the token works only thanks to expiry extension"]
    ExtendedOnly = "token.extended_only" { meaning: "Without --service-account-extend-token-expiration it would be refused.", found_by: "Not looked for yet.", severity: "info", action: "Make the client re-read the file." }
    #[doc = "a legacy token that never expires"]
    Legacy = "token.legacy" { meaning: "A Secret-based token without expiry.", found_by: "Not looked for yet.", severity: "info", action: "Use a projected token." }
    #[doc = "the token lives longer than policy allows"]
    LifetimeLong = "token.lifetime_long" { meaning: "A long-lived credential is on the node.", found_by: "Not looked for yet.", severity: "info", action: "Ask for a shorter expirationSeconds." }
    #[doc = "a copy of a token on the host is stale"]
    CopyStale = "copy.stale" { meaning: "A kubeconfig written by a CNI plugin holds an old token.", found_by: "Not looked for yet.", severity: "critical", action: "Restart the CNI plugin's pod on this node." }
    #[doc = "the node's clock is off"]
    ClockOffset = "clock.offset" {
        meaning: "This node's clock differs from true time by more than the limit. kubelet rotates by this clock, so rotations come early or late by as much, and what the node says about times is wrong.",
        found_by: "The servers agree on an interval for the offset that lies wholly beyond the limit (default 500 ms).",
        severity: "warning; critical from 60 s on, the API server's leeway",
        action: "Repair time synchronisation on the node: `chronyc tracking` and `chronyc sources`, or `timedatectl timesync-status`."
    }
    #[doc = "nothing disciplines the node's clock"]
    ClockUnsynchronized = "clock.unsynchronized" {
        meaning: "The kernel says that no time daemon keeps this clock. It may be right now, and will not stay so.",
        found_by: "adjtimex(2) reports STA_UNSYNC or TIME_ERROR, and time servers tell how right the clock is.",
        severity: "info: where it has done harm, clock.offset says so; where nothing else vouches, clock.unknown does",
        action: "Start chrony, ntpd or systemd-timesyncd on the node."
    }
    #[doc = "the node's clock was set"]
    ClockStepped = "clock.stepped" {
        meaning: "The wall clock jumped. Tokens may look expired or issued in the future although nothing happened to them.",
        found_by: "The kernel cancelled a timer that watches for the clock being set (TFD_TIMER_CANCEL_ON_SET); the size is the wall clock's move against CLOCK_BOOTTIME.",
        severity: "info below 10 s, and beside clock.offset, which then carries the warning; warning above",
        action: "Find what set the clock: a time daemon's first synchronisation, a resumed virtual machine, or a person."
    }
    #[doc = "nothing vouches for the node's clock"]
    ClockUnknown = "clock.unknown" {
        meaning: "Tokens are judged with an assumed error bound. Verdicts near a deadline are uncertain.",
        found_by: "No configured server gave a usable answer for long enough, and the kernel does not vouch either.",
        severity: "info where no server is configured; warning where a configured one stopped answering",
        action: "Set clock.servers to servers that this node reaches, and open UDP port 123 to them."
    }
    #[doc = "time servers contradict each other"]
    ClockServersDisagree = "clock.servers_disagree" {
        meaning: "At least one server is wrong. With a majority against it, it is named and ignored; without one, nobody can say who is right.",
        found_by: "The intervals of the servers' answers do not all intersect (RFC 5905, section 11.2.1).",
        severity: "warning",
        action: "Remove or repair the server named; ask at least three."
    }
    #[doc = "the API server's clock differs"]
    ApiserverSkew = "apiserver.skew" { meaning: "The verifier's clock is not the node's.", found_by: "Not looked for yet.", severity: "warning", action: "Repair time synchronisation on the control plane." }
    #[doc = "the API server rejects good tokens"]
    ApiserverRejecting = "apiserver.rejecting" { meaning: "Tokens that should work get 401.", found_by: "Not looked for yet.", severity: "critical", action: "Compare signing and verification keys." }
    #[doc = "the token controller is down"]
    TokenControllerDown = "controlplane.token_controller_down" { meaning: "Secret tokens and root CA ConfigMaps are not made.", found_by: "Not looked for yet.", severity: "warning", action: "Look at kube-controller-manager." }
    #[doc = "the agent cannot see some volumes"]
    AgentBlind = "agent.blind" {
        meaning: "kubelet has volumes, or a whole root directory, that this agent cannot see into: tokens there are not watched.",
        found_by: "For ten seconds, a pod's projected volume is an empty directory for the agent although kubelet says it is set up, or the agent may not enter it, or the pods of a kubelet root cannot be listed.",
        severity: "warning",
        action: "Mount the kubelet directory into the agent with mountPropagation: HostToContainer, give it CAP_DAC_READ_SEARCH, and name the directory with --root where it is an unusual one."
    }
    #[doc = "alerts do not reach the collector"]
    DeliveryDelayed = "agent.delivery_delayed" {
        meaning: "Alerts wait on this node because no collector accepts them. They are kept in memory (alerts.memory) and sent when one does; when that is full, reminders are given up first, then what is only info, then the oldest.",
        found_by: "The oldest undelivered alert has waited longer than the limit (default 60 s).",
        severity: "warning",
        action: "Check the OTLP endpoint, its certificate and the collector's own health; the last error is in the evidence."
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Code {
    /// Codes that are named so that their meaning is fixed, and that nothing looks for yet.
    const RESERVED: [Self; 14] = [
        Self::ReaderStale,
        Self::MountFrozen,
        Self::Subpath,
        Self::KeyUnknown,
        Self::IssuerMismatch,
        Self::AudienceUnknown,
        Self::SubjectReplaced,
        Self::ExtendedOnly,
        Self::Legacy,
        Self::LifetimeLong,
        Self::CopyStale,
        Self::ApiserverSkew,
        Self::ApiserverRejecting,
        Self::TokenControllerDown,
    ];

    /// Whether nothing looks for it yet.
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

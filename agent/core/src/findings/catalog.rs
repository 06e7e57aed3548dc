//! The closed list of finding codes. `tokenwatch findings` and the runbooks are generated from it.

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

macro_rules! codes {
    ($(
        $(#[doc = $doc:literal])*
        $variant:ident = $code:literal {
            meaning: $meaning:literal,
            found_by: $found_by:literal,
            severity: $severity:literal,
            action: $action:literal
        }
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
                        meaning: $meaning,
                        found_by: $found_by,
                        severity: $severity,
                        action: $action,
                    }),*
                }
            }
        }
    };
}

codes! {
    #[doc = "kubelet is late in rotating this token"]
    RotationLate = "token.rotation_late" {
        meaning:
            "kubelet should have replaced this token by now. The token still works. kubelet may be \
            busy, restarting, or unable to reach the API server.",
        found_by:
            "The file still holds the same generation min(120 s, 80 % of the slack) after its due \
            time, by the node's clock. The due time is iat + min(80 % of the lifetime, 24 h). The \
            slack is the time from the due time to the effective deadline.",
        severity: "info",
        action:
            "No action yet. If the finding becomes token.rotation_stalled, check kubelet and its \
            connection to the API server."
    }
    #[doc = "kubelet has stopped rotating this token"]
    RotationStalled = "token.rotation_stalled" {
        meaning:
            "kubelet tried several times to replace this token, or should have, and the file did \
            not change. After the effective deadline, verifiers reject requests with this token. \
            An extended token still works then, but only because of the extension.",
        found_by:
            "The file still holds the same generation min(300 s, 92 % of the slack) after its due \
            time, by the node's clock. Or the token is late and its service account was deleted or \
            recreated. The agent checks the service account if it has access to the API server. \
            The evidence is service_account_state: missing or replaced.",
        severity:
            "warning; critical in the last third of the slack, after the effective deadline of a \
            token without extension, or if the service account was deleted or recreated",
        action:
            "In kubelet's log on this node, look for \"Couldn't update token\" and \
            MountVolume.SetUp errors. On the pod, look for FailedMount events. Check that kubelet \
            reaches the API server. Check that the service account and every source of the volume \
            (kube-root-ca.crt, Secrets, ConfigMaps) exist."
    }
    #[doc = "the token in the file has expired"]
    Expired = "token.expired" {
        meaning:
            "The API server answers 401 to every request with this token, once its leeway (60 s) \
            and its cache (up to 10 s) have run out.",
        found_by: "The node's clock is past exp, and the file still holds this generation.",
        severity: "critical",
        action:
            "Repair kubelet's connection to the API server, or the failing source of the volume, \
            so that kubelet writes a new token. If the file does not change within two sync \
            periods, delete the pod."
    }
    #[doc = "the token is not valid yet"]
    NotYetValid = "token.not_yet_valid" {
        meaning:
            "The API server rejects the token (\"not valid yet\") until its own clock reaches nbf \
            - 60 s. kubelet does not replace the token, because by kubelet's rule it is fresh.",
        found_by: "The node's clock has not reached nbf - 60 s.",
        severity: "critical",
        action:
            "Compare the clocks of the API server hosts and the node. When they agree, restart \
            kubelet or delete the pod: kubelet does not replace a token that looks new."
    }
    #[doc = "the token's issue time is in the future"]
    FutureDated = "token.future_dated" {
        meaning:
            "The clock that signed the token was ahead of this node's clock, or this node's clock \
            is behind. kubelet will rotate the token late by the same amount. If the API server's \
            clock is set back, the token becomes not valid yet.",
        found_by:
            "The token's iat is ahead of the node's clock by more than 10 s plus the error bound \
            of the clock.",
        severity: "info up to 60 s, warning above",
        action:
            "Run `tokenwatch clock` on the node. If the node's clock is right, the API server's \
            clock is ahead."
    }
    #[doc = "a file that should contain a token does not parse"]
    Malformed = "token.malformed" {
        meaning: "The pod presents bytes that no API server accepts.",
        found_by:
            "The file does not decode as a service-account token, although the same path held a \
            token before or the content starts like a token.",
        severity: "warning",
        action:
            "Find out what writes the file. If the file is in kubelet's projected volume, delete \
            the pod: kubelet then writes a new file."
    }
    #[doc = "the agent cannot read a token file"]
    Unreadable = "token.unreadable" {
        meaning: "The agent cannot judge this token.",
        found_by:
            "The agent fails to open or read the file, for longer than a replacement of the file \
            takes. Or the volume's ..data link leads out of the volume.",
        severity: "warning",
        action:
            "Give the agent CAP_DAC_READ_SEARCH, or run it as root. Mount the kubelet directory \
            into it, read-only and with HostToContainer propagation."
    }
    #[doc = "a process still uses a token that was replaced"]
    ReaderStale = "token.reader_stale" {
        meaning: "The process read an older generation and has not read the file since.",
        found_by: "The agent does not detect this yet.",
        severity: "warning",
        action: "Update the client library, or restart the container."
    }
    #[doc = "a container sees an old copy of the volume"]
    MountFrozen = "token.mount_frozen" {
        meaning: "kubelet mounted a new tmpfs. The running container still has the old one.",
        found_by: "The agent does not detect this yet.",
        severity: "critical",
        action: "Delete the pod."
    }
    #[doc = "a token is mounted through subPath and never changes"]
    Subpath = "token.subpath" {
        meaning: "A subPath mount pins the file of the first generation.",
        found_by: "The agent does not detect this yet.",
        severity: "warning",
        action: "Mount the whole volume."
    }
    #[doc = "the pod is terminating and its token will not be refreshed"]
    PodTerminating = "token.pod_terminating" {
        meaning:
            "kubelet does not replace the tokens of a terminating pod. Its containers may run \
            until the grace period ends. Requests with this token fail before that.",
        found_by:
            "The API server reports that the pod is being deleted. The token's effective deadline \
            is before the end of the pod (deletionTimestamp, which includes the grace period). The \
            agent needs access to the Kubernetes API for this.",
        severity: "warning; critical after the effective deadline of a token without extension",
        action:
            "Let the pod end before its token does. Shorten terminationGracePeriodSeconds, or the \
            work that the container does on SIGTERM. Or give the token a longer expirationSeconds. \
            To end the pod now, delete it again with a shorter --grace-period."
    }
    #[doc = "the API server no longer serves the key that signed the token"]
    KeyUnknown = "token.key_unknown" {
        meaning: "The API server cannot verify the signature.",
        found_by: "The agent does not detect this yet.",
        severity: "critical",
        action: "Restore the key, or delete the pods that hold such tokens."
    }
    #[doc = "the token's issuer is not the cluster's"]
    IssuerMismatch = "token.issuer_mismatch" {
        meaning: "The API server does not accept this issuer.",
        found_by: "The agent does not detect this yet.",
        severity: "critical",
        action: "Add the old issuer to --service-account-issuer until all tokens are replaced."
    }
    #[doc = "no known verifier accepts the token's audience"]
    AudienceUnknown = "token.audience_unknown" {
        meaning: "The audience is neither the API server's nor that of a known verifier.",
        found_by: "The agent does not detect this yet.",
        severity: "info",
        action: "Check the audience in the pod's volume."
    }
    #[doc = "the pod or service account was replaced under the same name"]
    SubjectReplaced = "token.subject_replaced" {
        meaning: "The UID in the token is no longer the UID of the object.",
        found_by: "The agent does not detect this yet.",
        severity: "critical",
        action: "Delete the pod."
    }
    #[doc = "the token works only because of expiry extension"]
    ExtendedOnly = "token.extended_only" {
        meaning:
            "Without --service-account-extend-token-expiration, the API server would reject the \
            token.",
        found_by: "The agent does not detect this yet.",
        severity: "info",
        action: "Make the client re-read the file."
    }
    #[doc = "a legacy token that never expires"]
    Legacy = "token.legacy" {
        meaning: "The token comes from a Secret and has no expiry.",
        found_by: "The agent does not detect this yet.",
        severity: "info",
        action: "Use a projected token."
    }
    #[doc = "the token lives longer than policy allows"]
    LifetimeLong = "token.lifetime_long" {
        meaning: "A long-lived credential is on the node.",
        found_by: "The agent does not detect this yet.",
        severity: "info",
        action: "Set a shorter expirationSeconds."
    }
    #[doc = "a copy of a token on the host is stale"]
    CopyStale = "copy.stale" {
        meaning: "A kubeconfig that a CNI plugin wrote holds an old token.",
        found_by: "The agent does not detect this yet.",
        severity: "critical",
        action: "Restart the CNI plugin's pod on this node."
    }
    #[doc = "the node's clock is off"]
    ClockOffset = "clock.offset" {
        meaning:
            "This node's clock differs from true time by more than the limit. kubelet rotates \
            tokens by this clock, so rotations come early or late by the same amount. Timestamps \
            from this node are wrong.",
        found_by:
            "The time servers agree on an interval for the offset, and the whole interval is \
            beyond the limit (clock.offset_limit, default 500 ms).",
        severity: "warning; critical from 60 s on, which is the API server's leeway",
        action:
            "Repair time synchronisation on the node. Start with `chronyc tracking` and `chronyc \
            sources`, or `timedatectl timesync-status`."
    }
    #[doc = "no time daemon synchronises the node's clock"]
    ClockUnsynchronized = "clock.unsynchronized" {
        meaning:
            "The kernel reports that no time daemon synchronises this clock. The clock may be \
            right now, but it will drift.",
        found_by:
            "adjtimex(2) reports STA_UNSYNC or TIME_ERROR, while time servers confirm the clock's \
            offset.",
        severity:
            "info; a clock that is off raises clock.offset, and a clock that no time source \
            confirms raises clock.unknown",
        action: "Start chrony, ntpd or systemd-timesyncd on the node."
    }
    #[doc = "the node's clock was set"]
    ClockStepped = "clock.stepped" {
        meaning:
            "The wall clock jumped. Tokens may look expired or issued in the future, although \
            nothing happened to them.",
        found_by:
            "The kernel cancelled a timer that watches for changes of the clock \
            (TFD_TIMER_CANCEL_ON_SET). The size of the step is the wall clock's change against \
            CLOCK_BOOTTIME.",
        severity:
            "info below 10 s, warning from 10 s on; always info while clock.offset is active, \
            which then carries the warning",
        action:
            "Find out what set the clock: a time daemon's first synchronisation, a resumed virtual \
            machine, or a person."
    }
    #[doc = "no time source confirms the node's clock"]
    ClockUnknown = "clock.unknown" {
        meaning:
            "The agent judges tokens with an assumed error bound (clock.assumed_bound, default 5 \
            min). Verdicts near a deadline are uncertain.",
        found_by:
            "No configured time server gave a usable answer for long enough, and the kernel does \
            not confirm the clock either.",
        severity:
            "info if no server is configured; warning if a configured server stopped answering",
        action:
            "Set clock.servers to servers that this node can reach, and open UDP port 123 to them."
    }
    #[doc = "time servers contradict each other"]
    ClockServersDisagree = "clock.servers_disagree" {
        meaning:
            "At least one time server is wrong. If a majority contradicts it, the agent names that \
            server and ignores it. Without a majority, the agent cannot decide which server is \
            right.",
        found_by:
            "The intervals of the servers' answers do not all intersect (RFC 5905, section \
            11.2.1).",
        severity: "warning",
        action:
            "Repair or remove the server that the finding names. Configure at least three servers."
    }
    #[doc = "the API server's clock differs"]
    ApiserverSkew = "apiserver.skew" {
        meaning: "The verifier's clock differs from the node's clock.",
        found_by: "The agent does not detect this yet.",
        severity: "warning",
        action: "Repair time synchronisation on the control plane."
    }
    #[doc = "the API server rejects good tokens"]
    ApiserverRejecting = "apiserver.rejecting" {
        meaning: "The API server answers 401 to tokens that should work.",
        found_by: "The agent does not detect this yet.",
        severity: "critical",
        action: "Compare the signing keys with the verification keys."
    }
    #[doc = "the token controller is down"]
    TokenControllerDown = "controlplane.token_controller_down" {
        meaning: "Nothing creates Secret tokens and root CA ConfigMaps.",
        found_by: "The agent does not detect this yet.",
        severity: "warning",
        action: "Check kube-controller-manager."
    }
    #[doc = "the agent cannot see some volumes"]
    AgentBlind = "agent.blind" {
        meaning:
            "kubelet has volumes, or a whole root directory, that this agent cannot see into. The \
            agent does not watch the tokens there.",
        found_by:
            "For ten seconds, the agent cannot see into a pod's projected volume, or cannot list \
            the pods of a kubelet root. Either the volume is empty for the agent although kubelet \
            has set it up, or the agent may not enter it.",
        severity: "warning",
        action:
            "Mount the kubelet directory into the agent with mountPropagation: HostToContainer. \
            Give the agent CAP_DAC_READ_SEARCH. If kubelet's directory is in an unusual place, \
            name it with --root."
    }
    #[doc = "alerts do not reach the collector"]
    DeliveryDelayed = "agent.delivery_delayed" {
        meaning:
            "Alerts wait on this node because no collector accepts them. The agent keeps them in \
            memory (alerts.memory) and sends them when a collector accepts them. When the memory \
            is full, the agent drops reminders first, then info findings, then the oldest alerts.",
        found_by:
            "The oldest undelivered alert has waited longer than the limit (alerts.delivery_limit, \
            default 60 s).",
        severity: "warning",
        action:
            "Check the OTLP endpoint, its certificate and the health of the collector. The \
            evidence contains the last error."
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Code {
    /// Codes whose meaning is fixed, but which the agent does not detect yet.
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

//! Texts of resolved findings. They contain no facts that are true only at one moment.

use super::names;
use super::unsynced::UNSYNCED_SINCE;
use crate::base::schema;
use crate::base::text::shown;
use crate::base::time::Delta;
use crate::findings::{Code, Finding, Subject};
use crate::world::clocks::ClockState;

/// Evidence that is true only at the moment of a report.
const MOMENTARY: [&str; 3] = ["seconds_left", "cluster_age", schema::CLOCK_ANSWER_AGE];

/// How a finding was resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// A new generation replaced the one that the finding was about.
    Replaced,
    /// The token file no longer exists, alone or with its pod or volume.
    Gone,
    /// The agent tracks the token no more: nothing shows that it is good.
    LeftOut,
    /// The finding was replaced by another one with this code.
    Became(Code),
    /// The token is good. It only looked wrong, because the node's clock is wrong.
    ClockToBlame,
    /// The clock is in this state now.
    Clock(ClockState),
    /// kubelet is no longer stalled.
    Kubelet {
        /// Whether it replaced a token. Else none that it should have replaced is left.
        replaced: bool,
    },
    /// kubelet syncs again what it did not sync.
    Resumed,
    /// Alerts are delivered again.
    Delivered {
        /// Number of alerts that were lost since the agent started.
        lost: u64,
    },
    /// The condition ended, without further detail.
    Recovered,
}

impl Resolution {
    /// Whether the resolution was observed, and is not only concluded from missing evidence.
    pub fn is_certain(self) -> bool {
        match self {
            Self::Replaced | Self::Gone | Self::LeftOut | Self::Became(_) | Self::Resumed => true,
            Self::ClockToBlame
            | Self::Clock(_)
            | Self::Kubelet { .. }
            | Self::Delivered { .. }
            | Self::Recovered => false,
        }
    }
}

/// The finding as it is reported when it is resolved, `lasted` after it was raised. Its summary
/// says how it was resolved. Evidence that was true only at one moment is left out.
#[must_use]
pub fn resolved(finding: &Finding, resolution: Resolution, lasted: Delta) -> Finding {
    let mut last = finding.clone();
    let (now, before) = (what_happened(finding, resolution), what_was_found(finding.code));
    last.summary = format!("{now}, {lasted} after {before}.");
    last.evidence.0.retain(|(name, _)| !MOMENTARY.contains(&name.as_ref()));
    last.evidence = last.evidence.with("lasted", lasted);
    last
}

fn what_happened(finding: &Finding, resolution: Resolution) -> String {
    match &finding.subject {
        Subject::Token { pod, volume, path } => {
            let token = names::token(pod, volume, path);
            if resolution == Resolution::Recovered && is_unsynced(finding) {
                return format!("{token} ends with its pod");
            }
            of_token(&token, finding.code, resolution)
        }
        Subject::Node { node } => of_node(&shown(node), finding.code, resolution),
        Subject::Server { server } => {
            format!("Time server {} no longer stands alone against the others", shown(server))
        }
        Subject::File { node, path } => of_file(&shown(node), &shown(path), resolution),
    }
}

/// Whether a finding is about what kubelet does not sync.
pub(crate) fn is_unsynced(finding: &Finding) -> bool {
    finding.evidence.get(UNSYNCED_SINCE).is_some()
}

fn of_token(token: &str, code: Code, resolution: Resolution) -> String {
    match resolution {
        // These findings are about an older token than the one in the file.
        Resolution::Replaced if is_of_old_token(code) => format!("{token} {}", good_state(code)),
        Resolution::Replaced => format!("{token} was replaced by a new token"),
        Resolution::Gone => format!("{token} was removed with its pod or volume"),
        Resolution::LeftOut => format!(
            "{token} is not followed any more, because its pod has more tokens than its share (see \
             agent.blind). Nothing shows that it is good. This finding was closed"
        ),
        Resolution::Became(successor) => {
            format!("The finding about {} became {successor}", names::lower_first(token))
        }
        Resolution::ClockToBlame => {
            format!("{token} is good and only looked wrong by this node's clock (see clock.*)")
        }
        Resolution::Resumed => format!("{token} is in a volume that kubelet syncs again"),
        Resolution::Clock(_)
        | Resolution::Kubelet { .. }
        | Resolution::Delivered { .. }
        | Resolution::Recovered => {
            format!("{token} {}", good_state(code))
        }
    }
}

fn is_of_old_token(code: Code) -> bool {
    code == Code::ReaderStale || code == Code::MountFrozen
}

/// The state of a token without another finding, and with the same generation.
fn good_state(code: Code) -> &'static str {
    match code {
        Code::Malformed => "now holds a token",
        Code::Unreadable => "can be read now",
        Code::NotYetValid => "has become valid, or its pod ends",
        Code::PodTerminating => "no longer expires before its pod ends",
        Code::FutureDated => "is no longer ahead of this node's clock, or its pod ends",
        Code::RotationLate | Code::RotationStalled | Code::Expired => {
            "is within its lifetime again by this node's clock"
        }
        Code::SubjectReplaced => "belongs to an account that exists, or its pod ends",
        Code::Missing => "is there again",
        Code::Subpath => "is no longer mounted by subPath",
        Code::ReaderStale => "has no reader left that keeps an old one",
        Code::MountFrozen => "is in no old mount of a container any more",
        Code::AudienceUnknown => "has an audience that fits its client, or its pod ends",
        Code::KeyUnknown
        | Code::IssuerMismatch
        | Code::ExtendedOnly
        | Code::Legacy
        | Code::LifetimeLong
        | Code::CopyStale
        | Code::ClockOffset
        | Code::ClockUnsynchronized
        | Code::ClockStepped
        | Code::ClockUnknown
        | Code::ClockServersDisagree
        | Code::KubeletStalled
        | Code::ApiserverSkew
        | Code::ApiserverRejecting
        | Code::TokenControllerDown
        | Code::AgentBlind
        | Code::DeliveryDelayed => "is no longer affected",
    }
}

fn of_file(node: &str, path: &str, resolution: Resolution) -> String {
    let file = format!("File {path} on node {node}");
    match resolution {
        Resolution::Replaced => format!("{file} was written again with another token"),
        Resolution::Gone => format!("{file} was removed, or holds no token any more"),
        Resolution::LeftOut
        | Resolution::Became(_)
        | Resolution::ClockToBlame
        | Resolution::Clock(_)
        | Resolution::Kubelet { .. }
        | Resolution::Resumed
        | Resolution::Delivered { .. }
        | Resolution::Recovered => format!("The token in {path} on node {node} is not stale"),
    }
}

fn of_node(node: &str, code: Code, resolution: Resolution) -> String {
    match resolution {
        Resolution::Delivered { lost: 0 } => {
            format!("The collector accepts the alerts of node {node} again")
        }
        Resolution::Delivered { lost } => format!(
            "The collector accepts the alerts of node {node} again (lost since the agent started: \
             {lost})"
        ),
        Resolution::Clock(state) => of_clock(code, state).to_owned(),
        Resolution::Kubelet { replaced: true } => {
            format!("kubelet on node {node} replaces tokens again")
        }
        Resolution::Resumed => format!("kubelet on node {node} syncs volumes again"),
        Resolution::Kubelet { replaced: false } => {
            format!("The tokens that kubelet on node {node} did not replace are gone")
        }
        Resolution::Recovered if code == Code::AgentBlind => {
            format!("The agent sees all projected volumes on node {node} again")
        }
        Resolution::Recovered if code == Code::ApiserverSkew => {
            format!("The API server that answers node {node} now agrees")
        }
        Resolution::Recovered if code == Code::ApiserverRejecting => {
            format!("The API server on node {node} has refused no request for 10 minutes")
        }
        Resolution::Recovered if code == Code::KeyUnknown => {
            format!(
                "No token file on node {node} is left whose key the API servers that answer lack \
                 (a client that keeps an old token is refused until it reads again)"
            )
        }
        Resolution::Recovered if code == Code::IssuerMismatch => {
            format!("No token on node {node} is left that names another issuer than new ones")
        }
        Resolution::Gone if code == Code::TokenControllerDown => {
            format!("Node {node} does not see the lease of kube-controller-manager any more")
        }
        Resolution::Recovered if code == Code::TokenControllerDown => {
            format!("kube-controller-manager renews its lease again, as node {node} sees it")
        }
        Resolution::Recovered if code == Code::ExtendedOnly => {
            format!("No token on node {node} is left that works only because of expiry extension")
        }
        Resolution::Recovered if code == Code::Legacy => {
            format!("No pod on node {node} is left that mounts a Secret-based token")
        }
        Resolution::Recovered if code == Code::LifetimeLong => {
            format!("No token on node {node} is left that lives longer than is usual")
        }
        Resolution::Recovered if code == Code::Missing => {
            format!("No volume of a token on node {node} is left empty")
        }
        Resolution::Recovered
        | Resolution::Replaced
        | Resolution::Gone
        | Resolution::LeftOut
        | Resolution::Became(_)
        | Resolution::ClockToBlame => format!("{code} on node {node} is resolved"),
    }
}

fn of_clock(code: Code, state: ClockState) -> &'static str {
    let unconfirmed = matches!(state, ClockState::Unknown | ClockState::Disagreeing);
    match code {
        Code::ClockOffset if unconfirmed => "No time source confirms this node's clock now",
        Code::ClockOffset => "This node's clock is within its limit again",
        Code::ClockUnsynchronized if is_carried_elsewhere(state) => {
            "Another finding about this node's clock covers this now"
        }
        Code::ClockUnsynchronized => {
            "The kernel reports that a time daemon disciplines this node's clock"
        }
        Code::ClockStepped if unconfirmed || state == ClockState::Stepped => {
            "This node's clock was set, and no source has measured it since"
        }
        Code::ClockStepped => "This node's clock has been measured since it was set",
        Code::ClockUnknown if unconfirmed => "Time servers answer again, and contradict each other",
        Code::ClockUnknown => "A time source confirms this node's clock again",
        Code::ClockServersDisagree => {
            "The time servers no longer form camps that contradict each other"
        }
        Code::RotationLate
        | Code::RotationStalled
        | Code::Expired
        | Code::NotYetValid
        | Code::FutureDated
        | Code::Malformed
        | Code::Unreadable
        | Code::Missing
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
        | Code::KubeletStalled
        | Code::ApiserverSkew
        | Code::ApiserverRejecting
        | Code::TokenControllerDown
        | Code::AgentBlind
        | Code::DeliveryDelayed => "The clock is no longer affected",
    }
}

/// Whether clock.offset or clock.unknown may now report that no daemon disciplines the clock.
fn is_carried_elsewhere(state: ClockState) -> bool {
    matches!(state, ClockState::Off | ClockState::Stepped | ClockState::Unknown)
}

fn what_was_found(code: Code) -> &'static str {
    match code {
        // One finding may have had several of these codes since it was raised.
        Code::RotationLate
        | Code::RotationStalled
        | Code::Expired
        | Code::PodTerminating
        | Code::SubjectReplaced
        | Code::NotYetValid
        | Code::FutureDated => "it was first reported",
        Code::Malformed => "it was reported as malformed",
        Code::Unreadable => "it was reported as unreadable",
        Code::Missing => "it was reported as missing",
        Code::Subpath => "its mount by subPath was reported",
        Code::ReaderStale | Code::MountFrozen => "one was reported",
        Code::CopyStale => "it was reported as stale",
        Code::ClockOffset => "its offset was reported",
        Code::ClockStepped => "the step was reported",
        Code::DeliveryDelayed => "their delay was reported",
        Code::KeyUnknown
        | Code::IssuerMismatch
        | Code::AudienceUnknown
        | Code::ExtendedOnly
        | Code::Legacy
        | Code::LifetimeLong
        | Code::ClockUnsynchronized
        | Code::ClockUnknown
        | Code::ClockServersDisagree
        | Code::KubeletStalled
        | Code::ApiserverSkew
        | Code::ApiserverRejecting
        | Code::TokenControllerDown
        | Code::AgentBlind => "this was reported",
    }
}

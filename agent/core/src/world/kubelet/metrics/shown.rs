//! What kubelet's metrics show of the reason why it replaces no token. They are about the node, and
//! a cause that they name is a likely one.

use super::seen::{KubeletCounters, RequestCounts};
use crate::base::time::{Delta, Monotonic};
use crate::world::kubelet::errors::ErrorCause;

/// Requests from which they show something: kubelet sends more than five in a minute, to renew its
/// lease every 10 s and for its status.
const ENOUGH: u64 = 3;

/// What kubelet's metrics show now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsShown<'a> {
    /// The likely cause, if they show one.
    pub sign: Option<MetricsSign>,
    /// The last look.
    pub(super) look: &'a Look,
    /// Whether this agent reaches the API server; none: it does not ask it.
    pub reaches_api: Option<bool>,
}

impl<'a> MetricsShown<'a> {
    /// What was counted between the last two looks, if there were two.
    pub fn increase(&self) -> Option<&'a Increase> {
        self.look.increase.as_ref()
    }

    /// For how long the sign is seen.
    pub fn lasts(&self) -> Delta {
        self.look.at - self.look.since
    }
}

/// What a look showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) sign: Option<MetricsSign>,
    pub(super) increase: Option<Increase>,
    /// Since when the sign is seen.
    pub(super) since: Monotonic,
    pub(super) at: Monotonic,
}

/// What was counted between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Increase {
    /// The counts.
    pub counted: KubeletCounters,
    /// In which time.
    pub over: Delta,
}

/// A likely cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsSign {
    /// kubelet's client certificate has expired, by the node's clock.
    CertificateExpired,
    /// The API server answers 401 to all requests of kubelet.
    Unauthorized,
    /// No request of kubelet gets an answer, or none but errors of the server.
    Unanswered,
    /// Most requests of kubelet are answered 429.
    Throttled,
    /// kubelet accepted the agent's token before, and does not any more, although the API server
    /// does: kubelet cannot ask the API server about it.
    CannotVerify,
    /// kubelet answered before, and nothing listens at its port any more.
    NotRunning,
}

impl MetricsSign {
    /// The name in evidence.
    pub fn name(self) -> &'static str {
        match self {
            Self::CertificateExpired => "certificate_expired",
            Self::Unauthorized => "unauthorized",
            Self::Unanswered => "unanswered",
            Self::Throttled => "throttled",
            Self::CannotVerify => "cannot_verify_tokens",
            Self::NotRunning => "not_running",
        }
    }

    /// The cause that it stands for, if it is one that kubelet logs, too.
    pub fn cause(self) -> Option<ErrorCause> {
        match self {
            Self::CertificateExpired | Self::Unauthorized => Some(ErrorCause::Credentials),
            Self::Unanswered => Some(ErrorCause::ApiServerAway),
            Self::Throttled => Some(ErrorCause::Throttled),
            Self::CannotVerify | Self::NotRunning => None,
        }
    }

    /// Whether it counts only once it lasts: a restart of the API server or of kubelet shows it.
    pub(super) fn passes(self) -> bool {
        match self {
            Self::Unanswered | Self::CannotVerify | Self::NotRunning => true,
            Self::CertificateExpired | Self::Unauthorized | Self::Throttled => false,
        }
    }

    /// What the counters show: `now` those of the last look, `counted` since the one before.
    pub(super) fn of(now: &KubeletCounters, counted: Option<&KubeletCounters>) -> Option<Self> {
        let requests = counted.map(|counted| counted.requests).unwrap_or_default();
        let has_expired = now.certificate_left.is_some_and(|left| left < Delta::ZERO);
        Self::of_requests(&requests)
            .or_else(|| (has_expired && requests.known() == 0).then_some(Self::CertificateExpired))
    }

    fn of_requests(requests: &RequestCounts) -> Option<Self> {
        let limited = requests.throttled >= ENOUGH && requests.throttled >= requests.all() / 2;
        match requests.known() {
            _ if limited => Some(Self::Throttled),
            0 => Self::of_failures(requests),
            _ => None,
        }
    }

    /// Where no request was accepted.
    fn of_failures(requests: &RequestCounts) -> Option<Self> {
        match requests.unauthorized {
            0 => (requests.lost() >= ENOUGH).then_some(Self::Unanswered),
            refused => (refused >= ENOUGH).then_some(Self::Unauthorized),
        }
    }
}

impl Increase {
    /// Whether the counts rule out that all requests of kubelet fail: it reaches the API server,
    /// and that accepts its credential.
    pub fn rules_out_connection(&self) -> bool {
        let requests = &self.counted.requests;
        let others = [requests.unauthorized, requests.throttled, requests.lost()];
        requests.accepted >= ENOUGH && others == [0; 3]
    }
}

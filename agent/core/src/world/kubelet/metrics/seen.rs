//! What the agent reads of kubelet's metrics. The counters are those of the whole node: they name
//! no pod, and hold no text from outside.

use serde::{Deserialize, Serialize};

use crate::base::time::{Delta, Wall};

/// What kubelet answered to a request for its metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricsSeen {
    /// Its counters.
    Counters(KubeletCounters),
    /// It did not accept the agent's token, with this HTTP status. kubelet asks the API server
    /// about the token, and keeps an answer for two minutes.
    Refused(u16),
    /// Nothing listens at its port.
    Closed,
}

/// Some of kubelet's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)] // a recording of an older agent lacks newer counters
pub struct KubeletCounters {
    /// When kubelet was started, on the node's clock (`process_start_time_seconds`). Counters begin
    /// with that.
    pub started: Option<Wall>,
    /// Its requests to the API server (`rest_client_requests_total`).
    pub requests: RequestCounts,
    /// Projected volumes of which kubelet failed to write the files
    /// (`storage_operation_duration_seconds`).
    pub failed_mounts: u64,
    /// Syncs of pods that ended (`kubelet_pod_worker_duration_seconds`).
    pub pod_syncs: u64,
    /// Failed renewals of its client certificate
    /// (`kubelet_certificate_manager_client_expiration_renew_errors`).
    pub renew_errors: u64,
    /// How long its client certificate is still valid, by the node's clock; none if it has none
    /// (`kubelet_certificate_manager_client_ttl_seconds`).
    pub certificate_left: Option<Delta>,
}

/// Requests of kubelet to the API server, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestCounts {
    /// The API server accepted who asks: any status that is not named below.
    pub accepted: u64,
    /// 401.
    pub unauthorized: u64,
    /// 403 to a POST, as for a token.
    pub forbidden: u64,
    /// 429, with those that kubelet repeated because of it.
    pub throttled: u64,
    /// 500 or more: of the API server, or of a load balancer before it.
    pub failed: u64,
    /// No answer.
    pub unanswered: u64,
}

impl RequestCounts {
    /// All of them.
    pub fn all(&self) -> u64 {
        let Self { accepted, unauthorized, forbidden, throttled, failed, unanswered } = *self;
        [accepted, unauthorized, forbidden, throttled, failed, unanswered]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Those that show that the API server accepts kubelet's credential.
    pub(super) fn known(&self) -> u64 {
        self.accepted.saturating_add(self.forbidden).saturating_add(self.throttled)
    }

    /// Those that got no answer of an API server that works.
    pub(super) fn lost(&self) -> u64 {
        self.failed.saturating_add(self.unanswered)
    }

    fn since(&self, before: &Self) -> Option<Self> {
        Some(Self {
            accepted: self.accepted.checked_sub(before.accepted)?,
            unauthorized: self.unauthorized.checked_sub(before.unauthorized)?,
            forbidden: self.forbidden.checked_sub(before.forbidden)?,
            throttled: self.throttled.checked_sub(before.throttled)?,
            failed: self.failed.checked_sub(before.failed)?,
            unanswered: self.unanswered.checked_sub(before.unanswered)?,
        })
    }
}

/// How far two starts of one kubelet may be apart: the kernel's time of its own start, to which the
/// start is added, follows the wall clock by whole seconds.
const SAME_START: Delta = Delta::from_secs(5);

impl KubeletCounters {
    /// What was counted since an earlier look; none if kubelet was started again.
    pub(super) fn since(&self, before: &Self) -> Option<Self> {
        let starts = self.started.zip(before.started);
        let is_other = starts.is_some_and(|(now, before)| (now - before).abs() > SAME_START);
        if is_other { None } else { self.less(before) }
    }

    fn less(&self, before: &Self) -> Option<Self> {
        let requests = self.requests.since(&before.requests)?;
        let failed_mounts = self.failed_mounts.checked_sub(before.failed_mounts)?;
        let pod_syncs = self.pod_syncs.checked_sub(before.pod_syncs)?;
        let renew_errors = self.renew_errors.checked_sub(before.renew_errors)?;
        Some(Self { requests, failed_mounts, pod_syncs, renew_errors, ..*self })
    }
}

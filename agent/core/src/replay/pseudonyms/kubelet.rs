//! The errors of kubelet without names, and its metrics.

use super::Pseudonyms;
use super::names::Kind;
use super::text::Own;
use crate::world::kubelet::errors::{ErrorPod, ErrorScope, KubeletError};
use crate::world::kubelet::metrics::{KubeletCounters, MetricsSeen, RequestCounts};

impl Pseudonyms {
    pub(super) fn kubelet_error(&self, error: KubeletError) -> KubeletError {
        let KubeletError { pod, of, cause, text, at, by } = error;
        let text = self.text_without(&text, &own_names(&pod, &of));
        let (pod, of) = (self.error_pod(pod), self.error_scope(of));
        KubeletError { pod, of, cause, text, at, by }
    }

    fn error_pod(&self, pod: ErrorPod) -> ErrorPod {
        match pod {
            ErrorPod::Uid(uid) => ErrorPod::Uid(self.name(Kind::Uid, &uid)),
            ErrorPod::Name { namespace, name } => ErrorPod::Name {
                namespace: self.name(Kind::Namespace, &namespace),
                name: self.name(Kind::Pod, &name),
            },
        }
    }

    fn error_scope(&self, of: ErrorScope) -> ErrorScope {
        match of {
            ErrorScope::Volume(volume) => ErrorScope::Volume(self.name(Kind::Volume, &volume)),
            ErrorScope::Pod { volume } => {
                ErrorScope::Pod { volume: self.name(Kind::Volume, &volume) }
            }
            ErrorScope::Request { audiences, lifetime } => {
                let name = |audience: &String| self.name(Kind::Audience, audience);
                ErrorScope::Request { audiences: audiences.iter().map(name).collect(), lifetime }
            }
        }
    }
}

/// The names of what the error is about.
fn own_names(pod: &ErrorPod, of: &ErrorScope) -> Own {
    let mut own = Own::default();
    match pod {
        ErrorPod::Uid(uid) => own.add([uid.as_str()]),
        ErrorPod::Name { namespace, name } => own.add([namespace.as_str(), name]),
    }
    match of {
        ErrorScope::Volume(volume) | ErrorScope::Pod { volume } => own.add([volume.as_str()]),
        ErrorScope::Request { audiences, .. } => own.add(audiences.iter().map(String::as_str)),
    }
    own
}

/// Numbers alone: taken apart, so that a new field is looked at.
pub(super) fn metrics(seen: MetricsSeen) -> MetricsSeen {
    let counters = match seen {
        MetricsSeen::Counters(counters) => counters,
        MetricsSeen::Refused(_) | MetricsSeen::Closed => return seen,
    };
    let KubeletCounters {
        started,
        requests,
        failed_mounts,
        pod_syncs,
        renew_errors,
        certificate_left,
    } = counters;
    let RequestCounts { accepted, unauthorized, forbidden, throttled, failed, unanswered } =
        requests;
    MetricsSeen::Counters(KubeletCounters {
        started,
        requests: RequestCounts {
            accepted,
            unauthorized,
            forbidden,
            throttled,
            failed,
            unanswered,
        },
        failed_mounts,
        pod_syncs,
        renew_errors,
        certificate_left,
    })
}

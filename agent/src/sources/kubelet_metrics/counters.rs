//! The few families of kubelet's metrics that tell causes apart, in Kubernetes 1.29 to 1.36
//! (component-base/metrics/prometheus/restclient, pkg/volume/util/metrics.go,
//! pkg/kubelet/metrics, cmd/kubelet/app/server.go).

use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::world::kubelet::metrics::{KubeletCounters, RequestCounts};

use super::sample::{Sample, sample};

/// Plugin of projected volumes, with tokens or without.
const PROJECTED: &str = "kubernetes.io/projected";

/// Takes a line. All but a few are dropped at once.
pub(super) fn take(counters: &mut KubeletCounters, line: &[u8]) {
    let Some(sample) = sample(line) else { return };
    match sample.name {
        "rest_client_requests_total" => request(&mut counters.requests, &sample),
        "rest_client_request_retries_total" if sample.label("code") == Some("429") => {
            add(&mut counters.requests.throttled, &sample);
        }
        "storage_operation_duration_seconds_count" if is_failed_mount(&sample) => {
            add(&mut counters.failed_mounts, &sample);
        }
        "kubelet_pod_worker_duration_seconds_count" => add(&mut counters.pod_syncs, &sample),
        "kubelet_certificate_manager_client_expiration_renew_errors" => {
            add(&mut counters.renew_errors, &sample);
        }
        "kubelet_certificate_manager_client_ttl_seconds" => {
            counters.certificate_left = seconds(&sample); // infinite: kubelet has none
        }
        "process_start_time_seconds" => {
            let start = seconds(&sample).map(|since| Wall::from_secs(0) + since);
            counters.started = start;
        }
        _ => {}
    }
}

fn seconds(sample: &Sample<'_>) -> Option<Delta> {
    sample.number.is_finite().then(|| Delta::from_secs_f64(sample.number))
}

fn add(to: &mut u64, sample: &Sample<'_>) {
    *to = to.saturating_add(sample.count());
}

/// client-go's code is the status, or `<error>` where there was no answer.
fn request(requests: &mut RequestCounts, sample: &Sample<'_>) {
    let (code, is_post) = (sample.label("code"), sample.label("method") == Some("POST"));
    let of = match code {
        Some("401") => &mut requests.unauthorized,
        Some("403") if is_post => &mut requests.forbidden,
        Some("429") => &mut requests.throttled,
        Some(code) if code.len() == 3 && code.starts_with('5') => &mut requests.failed,
        Some(code) if code.bytes().all(|byte| byte.is_ascii_digit()) => &mut requests.accepted,
        Some(_) | None => &mut requests.unanswered,
    };
    add(of, sample);
}

/// A volume whose files kubelet could not write. Other operations are those of disks.
fn is_failed_mount(sample: &Sample<'_>) -> bool {
    let has = |name, value| sample.label(name) == Some(value);
    has("operation_name", "volume_mount")
        && has("volume_plugin", PROJECTED)
        && sample.label("status").is_some_and(|status| status.starts_with("fail"))
}

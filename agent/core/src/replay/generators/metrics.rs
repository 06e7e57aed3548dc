//! What kubelet's metrics show.

use proptest::option;
use proptest::prelude::*;

use crate::base::time::{Delta, Reading};
use crate::world::kubelet::metrics::{KubeletCounters, MetricsSeen, RequestCounts};

pub(super) fn seen(now: Reading) -> impl Strategy<Value = MetricsSeen> {
    prop_oneof![
        4 => counters(now).prop_map(MetricsSeen::Counters),
        1 => prop_oneof![Just(401), Just(403), Just(500)].prop_map(MetricsSeen::Refused),
        1 => Just(MetricsSeen::Closed),
    ]
}

fn counters(now: Reading) -> impl Strategy<Value = KubeletCounters> {
    let started = option::of((0..3i64).prop_map(move |age| now.wall - Delta::from_secs(age * 60)));
    let left = option::of((-9_000..9_000i64).prop_map(Delta::from_secs));
    (started, requests(), 0..9u64, 0..99u64, 0..3u64, left).prop_map(
        |(started, requests, failed_mounts, pod_syncs, renew_errors, certificate_left)| {
            KubeletCounters {
                started,
                requests,
                failed_mounts,
                pod_syncs,
                renew_errors,
                certificate_left,
            }
        },
    )
}

fn requests() -> impl Strategy<Value = RequestCounts> {
    let few = || prop_oneof![8 => 0..30u64, 1 => Just(u64::MAX)];
    (few(), few(), few(), few(), few(), few()).prop_map(
        |(accepted, unauthorized, forbidden, throttled, failed, unanswered)| RequestCounts {
            accepted,
            unauthorized,
            forbidden,
            throttled,
            failed,
            unanswered,
        },
    )
}

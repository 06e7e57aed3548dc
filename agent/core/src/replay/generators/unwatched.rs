//! Volumes that a source leaves out, or does not see.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{name, reason};
use crate::world::observation::{BlindSpot, Unknown, Unwatched, UnwatchedPod};

pub(super) fn unwatched() -> impl Strategy<Value = Unwatched> {
    let pod = (name("uid"), 1_usize..3_000)
        .prop_map(|(pod_uid, volumes)| UnwatchedPod { pod_uid, volumes });
    let unknown = vec![Unknown::Changes, Unknown::Opens, Unknown::Processes, Unknown::Mounts];
    (proptest::sample::select(unknown), vec(pod, 0..3))
        .prop_map(|(unknown, pods)| Unwatched { unknown, pods })
}

pub(super) fn blind_spot() -> impl Strategy<Value = BlindSpot> {
    let all = |kind| prop_oneof![name(kind), Just(BlindSpot::ALL.to_owned())];
    (all("uid"), all("volume"), name("directory"), reason(), any::<bool>()).prop_map(
        |(pod_uid, volume, directory, reason, is_partly)| BlindSpot {
            pod_uid,
            volume,
            directory,
            reason,
            is_partly,
        },
    )
}

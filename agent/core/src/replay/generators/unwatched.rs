//! Volumes that a source of readers leaves out.

use proptest::collection::vec;
use proptest::prelude::*;

use super::name;
use crate::world::observation::{Unknown, Unwatched, UnwatchedPod};

pub(super) fn unwatched() -> impl Strategy<Value = Unwatched> {
    let pod = (name("uid"), 1_usize..3_000)
        .prop_map(|(pod_uid, volumes)| UnwatchedPod { pod_uid, volumes });
    let unknown = vec![Unknown::Changes, Unknown::Opens, Unknown::Processes];
    (proptest::sample::select(unknown), vec(pod, 0..3))
        .prop_map(|(unknown, pods)| Unwatched { unknown, pods })
}

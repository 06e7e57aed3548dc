//! What the syncs of kubelet say about a token.

use super::lifetime::time_left;
use crate::base::time::{Delta, Wall};
use crate::base::value::Attributes;
use crate::world::kubelet::{Extent, Silence};
use crate::world::tokens::Generation;

/// The evidence that a finding is about a volume that kubelet does not sync.
pub(crate) const UNSYNCED_SINCE: &str = "unsynced_since";

/// Failed renewals that are no chance: at the first one, the token may just have become due.
const CERTAIN: u32 = 2;

pub(super) fn summary(token: &str, silence: &Silence, of: &Generation, now: Wall) -> String {
    let (what, although) = (what(silence.extent), although(silence.extent));
    let least = if silence.is_exact { "" } else { "at least " };
    let (age, when) = (silence.age, due(of.deadlines.due - now));
    let left = time_left(of, now);
    format!(
        "{token} will not be replaced: kubelet has not synced {what} for {least}{age}{although}. \
         {when}. {left}"
    )
}

fn due(left: Delta) -> String {
    if left > Delta::ZERO {
        format!("It is due in {left}")
    } else {
        format!("It has been due for {}", -left)
    }
}

fn what(extent: Extent) -> &'static str {
    match extent {
        Extent::Volume | Extent::VolumeOrPod | Extent::Unknown => "its volume",
        Extent::Pod => "the volumes of its pod",
        Extent::Most => "the volumes of most pods of this node",
        Extent::Node => "any volume of this node",
    }
}

fn although(extent: Extent) -> &'static str {
    match extent {
        Extent::Volume => ", although it syncs another volume of the pod",
        Extent::Pod | Extent::VolumeOrPod => ", although it syncs those of other pods",
        Extent::Unknown | Extent::Most | Extent::Node => "",
    }
}

pub(super) fn evidence(silence: &Silence) -> Attributes {
    let extent = match silence.extent {
        Extent::Volume => "volume",
        Extent::Pod => "pod",
        Extent::VolumeOrPod => "volume or pod",
        Extent::Unknown => "unknown",
        Extent::Most => "most pods",
        Extent::Node => "node",
    };
    Attributes::new()
        .with(UNSYNCED_SINCE, silence.since)
        .with("last_sync_seen", silence.is_exact)
        .with("unsynced_extent", extent)
}

/// What kubelet did since the token was due; empty if that is not known.
pub(super) fn renewals(failed: Option<u32>) -> String {
    match failed {
        Some(failed) if failed >= CERTAIN => format!(
            "It has synced the volume {failed} times since and got no new token: it does not reach \
             the API server, or that refuses. "
        ),
        Some(_) | None => String::new(),
    }
}

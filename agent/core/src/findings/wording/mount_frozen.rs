//! The finding about a container that has an old mount of a volume.

use super::{held, names};
use crate::base::text::shown;
use crate::base::time::Wall;
use crate::base::value::Attributes;
use crate::findings::CONTAINER;
use crate::world::cluster::PodRef;
use crate::world::readers::FrozenMount;
use crate::world::tokens::TokenKey;

/// The text of the finding. It comes when kubelet has mounted the volume again, and both mounts may
/// still hold the same token.
pub(super) fn summary(pod: &PodRef, key: &TokenKey, frozen: &FrozenMount, now: Wall) -> String {
    let container = match &frozen.container {
        Some(name) => format!("Container {}", shown(name)),
        None => "A container".to_owned(),
    };
    let others = match frozen.others {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    format!(
        "{container}{others} of {} has an old mount of volume {} at {}: kubelet has mounted the \
         volume again, and the container never sees another token. {}",
        names::pod(pod),
        shown(&key.volume),
        shown(&frozen.mount_path),
        held::death(&frozen.held, now),
    )
}

/// Where the mount is, and the token in it.
pub(super) fn evidence(frozen: &FrozenMount) -> Attributes {
    Attributes::new()
        .with_some(CONTAINER, frozen.container.as_ref())
        .with("mount_path", &frozen.mount_path)
        .with("seen_since", frozen.since)
        .with("other_containers", frozen.others)
        .and(held::evidence(&frozen.held))
}

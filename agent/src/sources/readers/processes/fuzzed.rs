//! Any bytes as the mounts of the agent and of a container.

use std::ffi::OsStr;

use tokenwatch_core::world::readers::MountKind;

use super::volumes::{self, SUBPATHS, VolumeId, Volumes};
use crate::proc::{self, Mount};
use crate::sources::names;

/// Most mounts of one input: each is compared with each.
const MAX_MOUNTS: usize = 32;

/// A mount is of the pod and the volume that its path names, and a mount in a container is of a
/// volume of the pod.
pub(crate) fn mounts(bytes: &[u8]) {
    let mounts: Vec<Mount> = proc::fuzzed::mounts(bytes).take(MAX_MOUNTS).collect();
    let mut volumes = Volumes::default();
    volumes.update(&mounts);
    let mut named: Vec<VolumeId> = Vec::new();
    for mount in &mounts {
        let (whole, part) = (volumes::volume_at(&mount.point), volumes::subpath_at(&mount.point));
        let below: Vec<&OsStr> = mount.point.iter().rev().collect();
        assert!(whole.as_ref().is_none_or(|id| is_volume(id, &below)), "{mount:?}: {whole:?}");
        assert!(part.as_ref().is_none_or(|id| is_subpath(id, &below)), "{mount:?}: {part:?}");
        assert!(whole.is_none() && part.is_none() || !volumes::is_candidate(mount), "{mount:?}");
        named.extend(whole.into_iter().chain(part));
    }
    for pod in volumes.pods() {
        for mount in &mounts {
            of_pod(&volumes, pod, mount, (&mounts, &named));
        }
    }
    let _ = volumes.pod_of(&mounts);
    volumes.leave_out_own(&mounts);
}

/// `…/pods/UID/volumes/kubernetes.io~projected/NAME`, from its end.
fn is_volume(id: &VolumeId, below: &[&OsStr]) -> bool {
    let [name, _, _, uid, pods, ..] = below else { return false };
    is_named(id, uid, name) && *pods == "pods"
}

/// `…/pods/UID/volume-subpaths/NAME/CONTAINER/INDEX`, from its end.
fn is_subpath(id: &VolumeId, below: &[&OsStr]) -> bool {
    let [_, _, name, subpaths, uid, pods, ..] = below else { return false };
    is_named(id, uid, name) && *subpaths == SUBPATHS && *pods == "pods"
}

fn is_named(id: &VolumeId, uid: &OsStr, name: &OsStr) -> bool {
    id.pod_uid == names::text(uid) && id.name == names::text(name)
}

fn of_pod(volumes: &Volumes, pod: &str, mount: &Mount, (all, named): (&[Mount], &[VolumeId])) {
    let Some((name, kind)) = volumes.identify(pod, mount, all) else { return };
    let is_of_pod = |id: &VolumeId| id.pod_uid == pod && id.name == name;
    assert!(named.iter().any(is_of_pod), "{mount:?} is no volume {name} of {pod}");
    if let MountKind::Subpath { directory, path, .. } = kind {
        let length = directory.len() + path.len();
        let is_part = directory.starts_with("..") && length <= mount.root.as_os_str().len();
        assert!(is_part, "{mount:?}: {directory} {path}");
    }
}

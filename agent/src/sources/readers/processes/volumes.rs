//! The projected volumes that are mounted on the node, by the device of each, and what a mount in a
//! container is of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use tokenwatch_core::base::shares::{Tenant, fitting};
use tokenwatch_core::world::readers::MountKind;
use tokenwatch_core::world::tokens;

use crate::discovery::roots::PROJECTED;
use crate::proc::{Device, Error, Mount};
use crate::sources::names;

/// Volumes that are followed: more than the core keeps tokens. Where there are more, the pod that
/// has most loses of its own.
const MAX_VOLUMES: usize = 16_384;
/// Looks for which the devices of a pod without a volume are kept: some two minutes.
const MAX_ABSENT: u32 = 24;
/// Ends the root of a mount whose file or directory was deleted.
const DELETED: &str = "//deleted";
/// Where kubelet binds what a container mounts by `subPath`, below the pod's directory, with
/// VOLUME/CONTAINER/INDEX below (pkg/kubelet/kubelet_getters.go).
pub(super) const SUBPATHS: &str = "volume-subpaths";
/// Directories at the top in which no container has a volume. Container runtimes cover files there
/// with empty read-only tmpfs.
const SYSTEM: [&str; 3] = ["proc", "sys", "dev"];
/// Where the admission plugin mounts the pod's own token (plugin/pkg/admission/serviceaccount).
/// `/var/run` is a link in most images.
const API_ACCESS: [&str; 2] =
    ["/var/run/secrets/kubernetes.io/serviceaccount", "/run/secrets/kubernetes.io/serviceaccount"];

/// A projected volume of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct VolumeId {
    pub(super) pod_uid: String,
    pub(super) name: String,
}

/// The volumes of the node.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    /// Those that kubelet has mounted, as the agent sees them.
    current: BTreeMap<Device, VolumeId>,
    /// The same, and those that are hidden by another mount, or that kubelet has replaced since. A
    /// container may still have one.
    all: BTreeMap<Device, VolumeId>,
    /// Pods without a volume that had one, and for how many looks.
    absent: BTreeMap<String, u32>,
    /// Every device that the host has mounted.
    mounted: BTreeSet<Device>,
    /// Where the agent sees each volume.
    points: BTreeMap<VolumeId, PathBuf>,
    /// How many volumes of a pod are not followed, by its UID.
    left_out: BTreeMap<String, usize>,
}

impl Volumes {
    /// Takes the mounts that the agent sees.
    pub(super) fn update(&mut self, mounts: &[Mount]) {
        let whole = mounts.iter().filter(|mount| mount.root == Path::new("/"));
        let volumes = whole.filter_map(|mount| Some((mount, volume_at(&mount.point)?)));
        let volumes = self.fitting(volumes.collect());
        self.mounted = mounts.iter().map(|mount| mount.device).collect();
        self.points = volumes.iter().map(|(mount, id)| (id.clone(), mount.point.clone())).collect();
        let bound = mounts.iter().filter_map(|one| Some((one.device, subpath_at(&one.point)?)));
        self.all.extend(bound);
        self.all.extend(volumes.iter().map(|(mount, id)| (mount.device, id.clone())));
        // Of two mounts at one place the later one is visible.
        let last: BTreeMap<VolumeId, Device> =
            volumes.into_iter().map(|(mount, id)| (id, mount.device)).collect();
        self.current = last.into_iter().map(|(id, device)| (device, id)).collect();
        self.forget_pods();
    }

    /// Those for which there is room.
    fn fitting<'a>(&mut self, found: Vec<(&'a Mount, VolumeId)>) -> Vec<(&'a Mount, VolumeId)> {
        self.left_out.clear();
        if found.len() <= MAX_VOLUMES {
            return found;
        }
        // The source does not know the namespace.
        let tenant = |id: &VolumeId| Tenant { namespace: None, pod: Some(id.pod_uid.clone()) };
        let items: Vec<_> = found.iter().map(|(_, id)| (tenant(id), 1)).collect();
        let mut fits = fitting(MAX_VOLUMES, &items).into_iter();
        let mut kept = found;
        kept.retain(|(_, id)| {
            let has_room = fits.next().unwrap_or_default();
            if !has_room {
                *self.left_out.entry(id.pod_uid.clone()).or_default() += 1;
            }
            has_room
        });
        kept
    }

    /// How many volumes of the pod are not followed.
    pub(super) fn left_out(&self, pod_uid: &str) -> usize {
        self.left_out.get(pod_uid).copied().unwrap_or_default()
    }

    /// How many of its volumes are followed.
    pub(super) fn count(&self, pod_uid: &str) -> usize {
        self.of_pod(pod_uid).count()
    }

    /// What a device was is known while its pod has a volume, and for some looks longer: kubelet
    /// may be about to mount another one.
    fn forget_pods(&mut self) {
        let mut all = std::mem::take(&mut self.all);
        let absent = all.values().filter(|id| !self.has_pod(&id.pod_uid));
        let looks = |id: &VolumeId| self.absent.get(&id.pod_uid).map_or(1, |looks| looks + 1);
        self.absent = absent.map(|id| (id.pod_uid.clone(), looks(id))).collect();
        all.retain(|_, id| self.absent.get(&id.pod_uid).is_none_or(|looks| *looks < MAX_ABSENT));
        self.all = all;
    }

    /// The pods that have a volume.
    pub(super) fn pods(&self) -> BTreeSet<&str> {
        self.points.keys().map(|id| id.pod_uid.as_str()).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.current.is_empty()
    }

    pub(super) fn has_pod(&self, uid: &str) -> bool {
        self.of_pod(uid).next().is_some()
    }

    /// The pod's volumes.
    fn of_pod<'a>(&'a self, uid: &'a str) -> impl Iterator<Item = (&'a VolumeId, &'a PathBuf)> {
        let first = VolumeId { pod_uid: uid.to_owned(), name: String::new() };
        self.points.range(first..).take_while(move |(id, _)| id.pod_uid == uid)
    }

    /// The pod of a process with these mounts, where one is a volume of a pod. A process that sees
    /// the volumes of several pods, as an agent of the node does, has none.
    pub(super) fn pod_of(&self, mounts: &[Mount]) -> Option<&str> {
        let inside = mounts.iter().filter(|mount| volume_at(&mount.point).is_none());
        let pods: BTreeSet<&str> = inside
            .filter_map(|mount| Some(self.current.get(&mount.device)?.pod_uid.as_str()))
            .collect();
        pods.first().copied().filter(|_| pods.len() == 1)
    }

    /// Where the agent sees the pod's volumes.
    pub(super) fn points<'a>(&'a self, pod_uid: &'a str) -> impl Iterator<Item = &'a Path> {
        self.of_pod(pod_uid).map(|(_, point)| point.as_path())
    }

    /// The volume of the pod that a container's `mount` shows, and how. `others`: all mounts of the
    /// container.
    pub(super) fn identify(
        &self,
        pod_uid: &str,
        mount: &Mount,
        others: &[Mount],
    ) -> Option<(String, MountKind)> {
        let is_current = self.current.get(&mount.device).is_some_and(|id| id.pod_uid == pod_uid);
        let name = self.named(pod_uid, mount).or_else(|| self.guessed(pod_uid, mount, others))?;
        match pinned(&mount.root) {
            Some(pinned) => Some((name, pinned)),
            None if is_current => Some((name, MountKind::Current)),
            // Without a volume to compare with, the pod is being removed.
            None => self.has_volume(pod_uid, &name).then_some((name, MountKind::Frozen)),
        }
    }

    fn named(&self, pod_uid: &str, mount: &Mount) -> Option<String> {
        let id = self.all.get(&mount.device).filter(|id| id.pod_uid == pod_uid)?;
        Some(id.name.clone())
    }

    fn has_volume(&self, pod_uid: &str, name: &str) -> bool {
        self.of_pod(pod_uid).any(|(id, _)| id.name == name)
    }

    /// A volume that kubelet replaced before the agent started is known by its place alone: the
    /// pod's own token has a fixed one, and else it is the only volume that the container lacks.
    fn guessed(&self, pod_uid: &str, mount: &Mount, others: &[Mount]) -> Option<String> {
        if !self.is_unknown(mount) || self.all.contains_key(&mount.device) {
            return None;
        }
        let is_alone = others.iter().filter(|other| self.is_unknown(other)).count() == 1;
        let has =
            |id: &VolumeId| others.iter().any(|other| self.all.get(&other.device) == Some(id));
        let lacking = self.of_pod(pod_uid).map(|(id, _)| id).filter(|id| !has(id));
        let is_api_access = API_ACCESS.iter().any(|at| mount.point == Path::new(at));
        let fits = |id: &&VolumeId| id.name.starts_with(tokens::API_ACCESS) == is_api_access;
        let mut fitting = lacking.filter(fits);
        let first = fitting.next().filter(|_| is_api_access || is_alone)?;
        fitting.next().is_none().then(|| first.name.clone())
    }

    /// The agent's own pod, if it runs in one with a volume: the agent sees its own volumes where a
    /// container has them.
    pub(super) fn leave_out_own(&mut self, mounts: &[Mount]) {
        if let Some(own) = self.pod_of(mounts).map(ToOwned::to_owned) {
            self.current.retain(|_, id| id.pod_uid != own);
            self.points.retain(|id, _| id.pod_uid != own);
        }
    }

    /// Whether a container's mount can be of a projected volume of its pod: of one that the host
    /// has or had, or of one that the agent does not know. Node agents have the mounts of the host.
    pub(super) fn may_show(&self, pod_uid: &str, mount: &Mount) -> bool {
        self.named(pod_uid, mount).is_some() || self.is_unknown(mount)
    }

    /// Whether a container's mount is of a device that the host does not have mounted. It is either
    /// one that kubelet has replaced, or one that it mounted a moment ago. A container's mount of a
    /// projected volume is always read-only.
    pub(super) fn is_unknown(&self, mount: &Mount) -> bool {
        mount.is_read_only && !self.mounted.contains(&mount.device)
    }
}

/// The mounts of tmpfs among those that `read` hands over: a projected volume is one. What else a
/// machine has mounted says nothing, and is much.
pub(super) fn tmpfs_of(
    read: impl FnOnce(&mut dyn FnMut(Mount)) -> Result<(), Error>,
) -> Result<Vec<Mount>, Error> {
    let mut found = Vec::new();
    read(&mut |mount| found.extend(Some(mount).filter(|mount| mount.is_tmpfs)))?;
    Ok(found)
}

/// Whether a mount in a container may be of a projected volume: kubelet makes them tmpfs.
pub(super) fn is_candidate(mount: &Mount) -> bool {
    let top = mount.point.components().nth(1).map(Component::as_os_str);
    let is_system = SYSTEM.iter().any(|system| top == Some(OsStr::new(system)));
    let is_part = mount.root == Path::new("/") || pinned(&mount.root).is_some();
    // An agent of the node sees the volumes of all pods where kubelet has them.
    let is_hosts = volume_at(&mount.point).is_some() || subpath_at(&mount.point).is_some();
    mount.is_tmpfs && is_part && !is_system && !is_hosts
}

/// What a mount by `subPath` shows: its root is in a generation's directory.
fn pinned(root: &Path) -> Option<MountKind> {
    let text = root.to_str()?.strip_prefix('/')?;
    let (whole, deleted) = match text.strip_suffix(DELETED) {
        Some(whole) => (whole, true),
        None => (text, false),
    };
    let (directory, path) = whole.split_once('/').unwrap_or((whole, ""));
    let [directory, path] = [directory, path].map(ToOwned::to_owned);
    directory.starts_with("..").then_some(MountKind::Subpath { directory, path, deleted })
}

/// `…/pods/UID/volumes/kubernetes.io~projected/NAME`.
pub(super) fn volume_at(point: &Path) -> Option<VolumeId> {
    let volumes = point.parent()?;
    let pod = volumes.ends_with(PROJECTED).then(|| volumes.ancestors().nth(2))??;
    id(pod, point)
}

/// `…/pods/UID/volume-subpaths/NAME/CONTAINER/INDEX`.
pub(super) fn subpath_at(point: &Path) -> Option<VolumeId> {
    let volume = point.ancestors().nth(2)?;
    let pod = volume.parent().filter(|all| all.ends_with(SUBPATHS))?.parent()?;
    id(pod, volume)
}

fn id(pod: &Path, volume: &Path) -> Option<VolumeId> {
    pod.parent().filter(|pods| pods.ends_with("pods"))?;
    Some(VolumeId { pod_uid: name(pod)?, name: name(volume)? })
}

/// The last part of a path as text.
fn name(path: &Path) -> Option<String> {
    let Component::Normal(name) = path.components().next_back()? else { return None };
    Some(names::text(name).into_owned())
}

#[cfg(test)]
#[path = "volumes_tests.rs"]
mod tests;

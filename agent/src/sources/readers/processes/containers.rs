//! The containers of a pod, from its processes and their mounts.

use std::collections::BTreeMap;

use tokenwatch_core::world::readers::{MountKind, RunningContainer, SeenMount};

use super::table::Member;
use super::volumes::{Volumes, is_candidate};
use crate::proc::{Instance, Mount, ProcFs};
use crate::sources::names;

/// Containers that are reported of a pod.
const MAX_CONTAINERS: usize = 64;
/// Bytes that the mounts of a pod's containers take, as [`bytes`] counts: 128 usual ones.
const OF_POD: usize = 32 << 10;
/// Bytes for each container whatever the others take: four usual mounts.
const OF_CONTAINER: usize = 1 << 10;
/// Names of the program that holds a pod's namespaces and does nothing: containerd's and CRI-O's.
const INFRA: [&str; 2] = ["pause", "pod"];

/// The first process of each container of a pod, by the container's id. What the runtime starts
/// later, for `kubectl exec` or a probe, is not reported.
#[derive(Clone, Debug, Default)]
pub(super) struct Firsts<'a> {
    by_id: BTreeMap<&'a str, Member<'a>>,
    /// A container is left out.
    is_more: bool,
}

impl<'a> Firsts<'a> {
    fn take(&mut self, member: Member<'a>) {
        let id = member.place.container.as_str();
        if self.by_id.len() >= MAX_CONTAINERS && !self.by_id.contains_key(id) {
            self.is_more = true;
            return;
        }
        let first = self.by_id.entry(id).or_insert(member);
        *first = std::cmp::min_by_key(*first, member, |one| (one.ticks, one.pid));
    }

    /// The first process of the pod.
    pub(super) fn first(&self) -> Option<Member<'a>> {
        self.by_id.values().copied().min_by_key(|first| (first.ticks, first.pid))
    }
}

/// The first process of each container, by pod.
pub(super) fn firsts<'a>(
    members: impl Iterator<Item = Member<'a>>,
) -> BTreeMap<&'a str, Firsts<'a>> {
    let mut pods: BTreeMap<&str, Firsts<'_>> = BTreeMap::new();
    members.for_each(|member| pods.entry(&member.place.pod_uid).or_default().take(member));
    pods
}

/// What was read of each container: its program, and the mounts that may be of projected volumes.
#[derive(Debug, Default)]
pub(super) struct Mounts(BTreeMap<String, Read>);

#[derive(Debug)]
struct Read {
    of: Instance,
    program: String,
    mounts: Vec<Mount>,
    /// Mounts are left out.
    is_more: bool,
    /// How often it was read of this process. The first time, the mounts may be incomplete.
    times: usize,
}

impl Mounts {
    /// Reads the mounts of containers that are new, and again of those with a mount that may be
    /// deleted. Forgets the others.
    pub(super) fn update(&mut self, proc: &ProcFs, pods: &BTreeMap<&str, Firsts<'_>>) {
        let mut former = std::mem::take(&mut self.0);
        for firsts in pods.values() {
            let mut room = OF_POD;
            for (id, first) in &firsts.by_id {
                let known = former.remove(*id).filter(|known| known.of == first.instance);
                let read = match known {
                    Some(known) if !known.may_change() => Some(known),
                    known => Read::new(proc, *first, known, room.max(OF_CONTAINER)),
                };
                room = room.saturating_sub(read.as_ref().map_or(0, Read::bytes));
                self.0.extend(read.map(|read| ((*id).to_owned(), read)));
            }
        }
    }

    /// None where they could not be read: the process has just ended.
    fn of(&self, container: &str) -> Option<&Read> {
        self.0.get(container)
    }

    /// Whether a container has a mount that the host does not have.
    pub(super) fn has_unknown(&self, volumes: &Volumes) -> bool {
        self.0.values().flat_map(|read| &read.mounts).any(|mount| volumes.is_unknown(mount))
    }

    /// Whether a container of the pod is left out, or a mount of one.
    pub(super) fn are_more(&self, firsts: &Firsts<'_>) -> bool {
        firsts.is_more || firsts.by_id.keys().any(|id| self.of(id).is_some_and(|read| read.is_more))
    }
}

impl Read {
    /// With mounts that take so many bytes at most.
    fn new(proc: &ProcFs, of: Member<'_>, known: Option<Self>, room: usize) -> Option<Self> {
        let (mut mounts, mut free, mut is_more) = (Vec::new(), room, false);
        let read = proc.mounts(of.pid, |mount| {
            if !is_candidate(&mount) {
                return;
            }
            match free.checked_sub(bytes(&mount)) {
                Some(left) => {
                    free = left;
                    mounts.push(mount);
                }
                None => is_more = true,
            }
        });
        if read.is_err() {
            return known;
        }
        let times = known.as_ref().map_or(0, |known| known.times) + 1;
        let program = match known {
            Some(known) if known.times > 1 => known.program, // it may call itself anything since
            Some(_) | None => proc.stat(of.pid).ok()?.name,
        };
        Some(Self { of: of.instance, program, mounts, is_more, times })
    }

    /// A directory or file that is mounted is deleted some time, and there may be room for what is
    /// left out. Nothing else changes in a container's mounts.
    fn may_change(&self) -> bool {
        let whole = std::path::Path::new("/");
        self.times < 2 || self.is_more || self.mounts.iter().any(|mount| mount.root != whole)
    }

    fn bytes(&self) -> usize {
        self.mounts.iter().map(bytes).sum()
    }
}

/// What a mount takes here, and where it is reported: the two paths twice, and some room for each.
fn bytes(mount: &Mount) -> usize {
    let paths = mount.root.as_os_str().len() + mount.point.as_os_str().len();
    2 * (paths + std::mem::size_of::<Mount>())
}

/// The containers of a pod that run, without the one that only holds its namespaces. None if one
/// has just ended: the next look knows more.
pub(super) fn running(
    pod_uid: &str,
    firsts: &Firsts<'_>,
    mounts: &Mounts,
    volumes: &Volumes,
) -> Option<Vec<RunningContainer>> {
    let container = |(id, first): (&&str, &Member<'_>)| {
        let read = mounts.of(id)?;
        Some(RunningContainer {
            id: (*id).to_owned(),
            started: first.started,
            program: read.program.clone(),
            mounts: seen(pod_uid, read, volumes),
            library: None,
        })
    };
    let mut all: Vec<RunningContainer> =
        firsts.by_id.iter().map(container).collect::<Option<_>>()?;
    all.retain(|container| !is_infra(container));
    Some(all)
}

fn is_infra(container: &RunningContainer) -> bool {
    container.mounts.is_empty() && INFRA.contains(&container.program.as_str())
}

/// Until the runtime has entered the container's root, its process has the node's mounts, of which
/// any may look like an old one of the pod. So an old one is reported from the second look on.
fn seen(pod_uid: &str, read: &Read, volumes: &Volumes) -> Vec<SeenMount> {
    let mounts = &read.mounts;
    let found = mounts.iter().filter_map(|mount| {
        let (volume, kind) = volumes.identify(pod_uid, mount, mounts)?;
        if kind == MountKind::Frozen && read.times < 2 {
            return None;
        }
        let mount_path = names::text(mount.point.as_os_str()).into_owned();
        Some(SeenMount { volume, mount_path, kind })
    });
    let mut found: Vec<SeenMount> = found.collect();
    // The kernel lists mounts in an order that says nothing.
    found.sort_by(|one, other| key(one).cmp(&key(other)));
    found
}

fn key(mount: &SeenMount) -> (&str, &str, bool) {
    (&mount.mount_path, &mount.volume, mount.kind == MountKind::Current)
}

//! The containers of a pod, from its processes and their mounts.

use std::collections::BTreeMap;

use tokenwatch_core::world::readers::{MountKind, RunningContainer, SeenMount};

use super::table::Member;
use super::volumes::{Volumes, is_candidate};
use crate::proc::{Instance, Mount, ProcFs};

/// Containers that are reported of a pod, and mounts of a container.
const MAX_CONTAINERS: usize = 64;
const MAX_MOUNTS: usize = 64;
/// Names of the program that holds a pod's namespaces and does nothing: containerd's and CRI-O's.
const INFRA: [&str; 2] = ["pause", "pod"];

/// The first process of each container of a pod, by the container's id. What the runtime starts
/// later, for `kubectl exec` or a probe, is not reported.
pub(super) type Firsts<'a> = BTreeMap<&'a str, &'a Member>;

/// The first process of each container, by pod and container id.
pub(super) fn firsts<'a>(
    members: impl Iterator<Item = &'a Member>,
) -> BTreeMap<&'a str, Firsts<'a>> {
    let mut pods: BTreeMap<&str, Firsts<'_>> = BTreeMap::new();
    for member in members {
        let (pod, id) = (pods.entry(&member.pod_uid).or_default(), member.container.as_str());
        if pod.len() < MAX_CONTAINERS || pod.contains_key(id) {
            let first = pod.entry(id).or_insert(member);
            *first = std::cmp::min_by_key(*first, member, |one| (one.stat.started, one.pid));
        }
    }
    pods
}

/// The mounts of each container that may be of projected volumes, as they were read.
#[derive(Debug, Default)]
pub(super) struct Mounts(BTreeMap<String, Read>);

#[derive(Debug)]
struct Read {
    of: Instance,
    mounts: Vec<Mount>,
    /// How often it was read of this process. The first time, the mounts may be incomplete.
    times: usize,
}

impl Mounts {
    /// Reads the mounts of containers that are new, and again of those with a mount that may be
    /// deleted. Forgets the others.
    pub(super) fn update<'a>(
        &mut self,
        proc: &ProcFs,
        groups: impl Iterator<Item = (&'a str, &'a Member)>,
    ) {
        let mut former = std::mem::take(&mut self.0);
        for (id, oldest) in groups {
            let known = former.remove(id).filter(|known| known.of == oldest.instance);
            let read = match known {
                Some(known) if !known.may_change() => Some(known),
                known => Read::new(proc, oldest, known),
            };
            self.0.extend(read.map(|read| (id.to_owned(), read)));
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
}

impl Read {
    fn new(proc: &ProcFs, of: &Member, known: Option<Self>) -> Option<Self> {
        let Ok(mut mounts) = proc.mounts(of.pid) else { return known };
        mounts.retain(is_candidate);
        mounts.truncate(MAX_MOUNTS);
        let times = known.map_or(0, |known| known.times) + 1;
        Some(Self { of: of.instance, mounts, times })
    }

    /// A directory or file that is mounted is deleted some time. Nothing else changes in a
    /// container's mounts.
    fn may_change(&self) -> bool {
        let whole = std::path::Path::new("/");
        self.times < 2 || self.mounts.iter().any(|mount| mount.root != whole)
    }
}

/// The containers of a pod that run, without the one that only holds its namespaces. None if one
/// has just ended: the next look knows more.
pub(super) fn running(
    pod_uid: &str,
    firsts: &Firsts<'_>,
    mounts: &Mounts,
    volumes: &Volumes,
) -> Option<Vec<RunningContainer>> {
    let container = |(id, first): (&&str, &&Member)| {
        Some(RunningContainer {
            id: (*id).to_owned(),
            started: first.started,
            program: first.stat.name.clone(),
            mounts: seen(pod_uid, mounts.of(id)?, volumes),
            library: None,
        })
    };
    let mut all: Vec<RunningContainer> = firsts.iter().map(container).collect::<Option<_>>()?;
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
        let mount_path = mount.point.to_string_lossy().into_owned();
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

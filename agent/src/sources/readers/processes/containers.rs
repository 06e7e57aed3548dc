//! The containers of a pod, from its processes and their mounts.

use std::collections::BTreeMap;

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::readers::{MountKind, RunningContainer, SeenMount};

use super::table::Member;
use super::volumes::{Volumes, is_candidate};
use crate::clocks;
use crate::proc::{Error, Instance, Mount, ProcFs};
use crate::sources::names;

/// Containers that are reported of a pod.
const MAX_CONTAINERS: usize = 64;
/// Bytes that the mounts of a pod's containers take, as [`bytes`] counts: 128 usual ones.
const OF_POD: usize = 32 << 10;
/// Bytes for each container whatever the others take: four usual mounts.
const OF_CONTAINER: usize = 1 << 10;
/// For how long the mounts of a pod's containers are read in one look: far longer than usual lists
/// need, and so short that a pod with the longest ones holds up the others for a moment only.
const TIME: Delta = Delta::from_millis(500);
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

    /// Whether a container is left out.
    pub(super) fn are_more(&self) -> bool {
        self.is_more
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
    times: u32,
    /// Looks until it is read again, where mounts are left out.
    rest: u32,
}

/// Where the mounts of a pod's containers are read.
struct OfPod<'a> {
    proc: &'a ProcFs,
    volumes: &'a Volumes,
    uid: &'a str,
}

/// A container whose mounts are to be read.
struct Due<'a> {
    id: &'a str,
    first: Member<'a>,
    known: Option<Read>,
}

impl OfPod<'_> {
    /// The mounts of this process that may be of the pod's volumes and have room, whether there are
    /// more, and whether they could be read.
    fn candidates(&self, pid: u32, room: usize) -> (Vec<Mount>, bool, Result<(), Error>) {
        let (mut mounts, mut free, mut is_more) = (Vec::new(), room, false);
        let read = self.proc.mounts(pid, |mount| {
            if is_candidate(&mount) && self.volumes.may_show(self.uid, &mount) {
                match free.checked_sub(bytes(&mount)) {
                    Some(left) => (free, ()) = (left, mounts.push(mount)),
                    None => is_more = true,
                }
            }
        });
        (mounts, is_more, read)
    }
}

impl Mounts {
    /// Reads the mounts of containers that are new, and again of those with a mount that may be
    /// deleted. Forgets the others.
    pub(super) fn update(
        &mut self,
        proc: &ProcFs,
        volumes: &Volumes,
        pods: &BTreeMap<&str, Firsts<'_>>,
    ) {
        let mut former = std::mem::take(&mut self.0);
        for (uid, firsts) in pods {
            self.update_pod(&OfPod { proc, volumes, uid }, firsts, &mut former);
        }
    }

    /// What is kept has its room. The others share the rest.
    fn update_pod(
        &mut self,
        pod: &OfPod<'_>,
        firsts: &Firsts<'_>,
        former: &mut BTreeMap<String, Read>,
    ) {
        let (mut room, mut due) = (OF_POD, Vec::new());
        for (id, first) in &firsts.by_id {
            let mut known = former.remove(*id).filter(|known| known.of == first.instance);
            if known.as_mut().is_some_and(Read::rests) {
                room = room.saturating_sub(self.keep(id, known));
            } else {
                due.push(Due { id, first: *first, known });
            }
        }
        self.read(pod, room, due);
    }

    /// Reads them, the new ones first, as long as there is time.
    fn read(&mut self, pod: &OfPod<'_>, mut room: usize, mut due: Vec<Due<'_>>) {
        due.sort_by_key(|one| one.known.as_ref().map(|known| known.times));
        let begin = clocks::now().monotonic;
        for Due { id, first, known } in due {
            let has_time = clocks::now().monotonic - begin < TIME;
            let read =
                if has_time { Read::new(pod, first, known, room.max(OF_CONTAINER)) } else { known };
            room = room.saturating_sub(self.keep(id, read));
        }
    }

    /// Returns the bytes that it takes.
    fn keep(&mut self, id: &str, read: Option<Read>) -> usize {
        let bytes = read.as_ref().map_or(0, Read::bytes);
        self.0.extend(read.map(|read| (id.to_owned(), read)));
        bytes
    }

    /// None where they are not read yet, or could not be: the process has just ended.
    fn of(&self, container: &str) -> Option<&Read> {
        self.0.get(container)
    }

    /// Whether a container has a mount that the host does not have.
    pub(super) fn has_unknown(&self, volumes: &Volumes) -> bool {
        self.0.values().flat_map(|read| &read.mounts).any(|mount| volumes.is_unknown(mount))
    }

    /// Whether a container of the pod is left out, or a mount of one.
    pub(super) fn are_more(&self, firsts: &Firsts<'_>) -> bool {
        firsts.is_more || firsts.by_id.keys().any(|id| self.of(id).is_some_and(Read::lacks))
    }
}

impl Read {
    /// With mounts that take so many bytes at most. Where they cannot be read although the process
    /// goes on, with those that could.
    fn new(pod: &OfPod<'_>, of: Member<'_>, known: Option<Self>, room: usize) -> Option<Self> {
        let (mounts, is_more, read) = pod.candidates(of.pid, room);
        let is_more = is_more || read.is_err();
        let times = known.as_ref().map_or(0, |known| known.times) + 1;
        let rest = if is_more { rest(times) } else { 0 };
        match known {
            known if read.is_err() && pod.proc.instance(of.pid) != Some(of.instance) => known,
            Some(known) if known.times > 1 && read.is_err() => Some(Self { times, rest, ..known }),
            // It may call itself anything since.
            Some(known) if known.times > 1 => Some(Self { mounts, is_more, times, rest, ..known }),
            Some(_) | None => {
                let program = pod.proc.stat(of.pid).ok()?.name;
                Some(Self { of: of.instance, program, mounts, is_more, times, rest })
            }
        }
    }

    /// Whether it is not read in this look.
    fn rests(&mut self) -> bool {
        let rests = !self.may_change() || self.rest > 0;
        self.rest = self.rest.saturating_sub(1);
        rests
    }

    /// Whether mounts are left out. The first time, they may be those of the node.
    fn lacks(&self) -> bool {
        self.is_more && self.times > 1
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

/// The looks for which a container with more mounts than are kept rests after so many readings: a
/// list may have 32 MiB, and a pod many containers.
fn rest(times: u32) -> u32 {
    const MOST: u32 = 63; // 5 to 30 minutes
    2_u32.saturating_pow(times.saturating_sub(2)).saturating_sub(1).min(MOST)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_with_too_many_mounts_is_read_more_and_more_rarely() {
        let table = [(1, 0), (2, 0), (3, 1), (4, 3), (7, 31), (8, 63), (99, 63), (u32::MAX, 63)];
        for (times, expected) in table {
            assert_eq!(rest(times), expected, "{times}");
        }
    }
}

//! The node's processes, each with its container. What does not change is read once per process.

use std::collections::BTreeMap;

use tokenwatch_core::base::time::{Delta, Wall};

use super::volumes::Volumes;
use crate::proc::{Error, InContainer, Instance, ProcFs, Stat};

/// Processes that are followed: the kernel's default limit of process numbers on small machines,
/// and more than kubelet's default limits allow.
const MAX_PROCESSES: usize = 65_536;
/// Nanoseconds in a tick of USER_HZ, which is 100 wherever a kubelet runs.
const TICK: u64 = 10_000_000;
/// Names of a runtime's own process that becomes the container's: it has the container's cgroup,
/// but not yet its mounts.
const STARTING: [&str; 3] = ["runc:[", "youki:[", "crun"];
/// Beginnings of the names of processes that run a pod in a virtual machine or in a kernel of its
/// own. What runs inside is not visible.
const SANDBOXES: [&str; 7] = [
    "runsc",
    "qemu-system",
    "cloud-hyperv",
    "firecracker",
    "virtiofsd",
    "containerd-shim",
    "conmon",
];

/// A process of a pod's container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) pid: u32,
    pub(super) instance: Instance,
    pub(super) pod_uid: String,
    pub(super) container: String,
    pub(super) stat: Stat,
    pub(super) started: Wall,
}

#[derive(Clone, Debug)]
struct Entry {
    instance: Instance,
    member: Option<Member>,
    /// Whether it was read a second time: a runtime moves a new process to its container's cgroup
    /// and starts the program afterwards.
    is_settled: bool,
}

/// The processes.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: BTreeMap<u32, Entry>,
    /// Processes that the kernel does not let the agent read.
    denied: usize,
    looks: usize,
}

impl Table {
    /// Takes the processes that exist now. `ahead`: how far the wall clock is ahead of the time
    /// since the machine started.
    pub(super) fn update(
        &mut self,
        proc: &ProcFs,
        volumes: &Volumes,
        ahead: Delta,
    ) -> Result<(), Error> {
        let mut former = std::mem::take(&mut self.entries);
        self.denied = 0;
        for pid in proc.pids()?.into_iter().take(MAX_PROCESSES) {
            let Some(instance) = proc.instance(pid) else { continue };
            let known = former.remove(&pid).filter(|known| known.instance == instance);
            let entry = match known {
                Some(known) if known.is_settled => known,
                known => self.read(proc, volumes, (pid, instance), known.as_ref(), ahead),
            };
            self.entries.insert(pid, entry);
        }
        self.looks += 1;
        Ok(())
    }

    fn read(
        &mut self,
        proc: &ProcFs,
        volumes: &Volumes,
        (pid, instance): (u32, Instance),
        known: Option<&Entry>,
        ahead: Delta,
    ) -> Entry {
        let member = match read(proc, volumes, pid) {
            Ok(found) => found.map(|(place, stat)| {
                let started = start(known, &stat).unwrap_or_else(|| wall(&stat, ahead));
                let Place { pod_uid, container } = place;
                Member { pid, instance, pod_uid, container, stat, started }
            }),
            Err(error) => {
                self.denied += usize::from(error.is_denied());
                None
            }
        };
        let starting = member.as_ref().is_some_and(|member| is_any(&STARTING, &member.stat.name));
        let is_settled = known.is_some() && !starting;
        Entry { instance, member: member.filter(|_| !starting), is_settled }
    }

    /// The processes of pods' containers.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.entries.values().filter_map(|entry| entry.member.as_ref())
    }

    /// How many processes the agent must not read.
    pub(super) fn denied(&self) -> usize {
        self.denied
    }
}

struct Place {
    pod_uid: String,
    container: String,
}

/// Where a process is; none if it is in no container of a pod with a volume.
fn read(proc: &ProcFs, volumes: &Volumes, pid: u32) -> Result<Option<(Place, Stat)>, Error> {
    let found = proc.containers(pid)?;
    let Some(place) = place(proc, volumes, pid, found) else { return Ok(None) };
    let stat = proc.stat(pid)?;
    Ok((!is_any(&SANDBOXES, &stat.name)).then_some((place, stat)))
}

/// The outermost container whose pod has a volume here. Where the path names no pod, its mounts do.
fn place(proc: &ProcFs, volumes: &Volumes, pid: u32, found: Vec<InContainer>) -> Option<Place> {
    found.into_iter().find_map(|InContainer { pod_uid, id }| {
        let pod_uid = match pod_uid {
            Some(uid) => Some(uid).filter(|uid| volumes.has_pod(uid)),
            None => volumes.pod_of(&proc.mounts(pid).ok()?).map(ToOwned::to_owned),
        };
        Some(Place { pod_uid: pod_uid?, container: id })
    })
}

/// The start as it was computed before: the clock may have been set since.
fn start(known: Option<&Entry>, stat: &Stat) -> Option<Wall> {
    let member = known?.member.as_ref()?;
    (member.stat.started == stat.started).then_some(member.started)
}

fn wall(stat: &Stat, ahead: Delta) -> Wall {
    let since = i64::try_from(stat.started.saturating_mul(TICK)).unwrap_or(i64::MAX);
    Wall::from_nanos(since) + ahead
}

fn is_any(beginnings: &[&str], name: &str) -> bool {
    beginnings.iter().any(|beginning| name.starts_with(beginning))
}

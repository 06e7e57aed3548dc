//! The node's processes, each with its container. What does not change is read once per process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokenwatch_core::base::time::{Delta, Wall};

use super::volumes::{Volumes, tmpfs_of};
use crate::proc::{Error, InContainer, Instance, ProcFs, Stat};

/// Processes that are looked at: four times the kernel's default limit of process numbers on small
/// machines. At the 15 ms of a look at 1,500, one at so many takes 1.3 s.
pub(super) const MAX_PROCESSES: usize = 131_072;
/// Processes of which what was read is kept, some 100 bytes each. Beyond that, one is read again in
/// each look, unless it is the first one of its container.
const MAX_KEPT: usize = 32_768;
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

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) pod_uid: String,
    pub(super) container: String,
}

/// A process of a pod's container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    pub(super) pid: u32,
    pub(super) instance: Instance,
    pub(super) place: &'a Place,
    /// Ticks from the start of the machine to that of the process.
    pub(super) ticks: u64,
    pub(super) started: Wall,
}

#[derive(Clone, Debug)]
struct Entry {
    instance: Instance,
    /// None for a process of no container.
    inside: Option<Inside>,
    /// Whether it was read a second time: a runtime moves a new process to its container's cgroup
    /// and starts the program afterwards.
    is_settled: bool,
}

#[derive(Clone, Debug)]
struct Inside {
    place: Arc<Place>,
    ticks: u64,
    started: Wall,
}

/// The processes.
#[derive(Debug)]
pub(super) struct Table {
    entries: BTreeMap<u32, Entry>,
    /// Each container once, however many processes it has.
    places: BTreeSet<Arc<Place>>,
    /// Processes that the kernel does not let the agent read.
    denied: usize,
    /// Processes that are too many to be looked at.
    left_out: usize,
    most: Most,
}

/// Bounds on the processes.
#[derive(Clone, Copy, Debug)]
struct Most {
    looked_at: usize,
    kept: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self::of(Most { looked_at: MAX_PROCESSES, kept: MAX_KEPT })
    }
}

impl Table {
    fn of(most: Most) -> Self {
        let (entries, places) = (BTreeMap::new(), BTreeSet::new());
        Self { entries, places, denied: 0, left_out: 0, most }
    }

    /// Looks at so many processes.
    #[cfg(test)]
    pub(super) fn looking_at(processes: usize) -> Self {
        Self::of(Most { looked_at: processes, kept: MAX_KEPT })
    }

    /// Takes the processes that exist now. `ahead`: how far the wall clock is ahead of the time
    /// since the machine started.
    pub(super) fn update(
        &mut self,
        proc: &ProcFs,
        volumes: &Volumes,
        ahead: Delta,
    ) -> Result<(), Error> {
        let known = self.firsts();
        let mut listed = proc.pids()?.filter(|pid| !known.contains(pid));
        let (mut former, mut firsts) = (std::mem::take(&mut self.entries), Firsts::default());
        self.denied = 0;
        let mut pids: Vec<u32> = listed.by_ref().take(self.most.looked_at).collect();
        pids.extend(&known);
        pids.sort_unstable(); // the first processes of containers come first, as a rule
        for pid in pids {
            let Some(instance) = proc.instance(pid) else { continue };
            let known = former.remove(&pid).filter(|known| known.instance == instance);
            let entry = match known {
                Some(known) if known.is_settled => known,
                known => self.read(proc, volumes, (pid, instance), known.as_ref(), ahead),
            };
            let is_first = entry.inside.as_ref().is_some_and(|inside| firsts.take(pid, inside));
            if is_first || self.entries.len() < self.most.kept {
                self.entries.insert(pid, entry);
            }
        }
        self.left_out = listed.count();
        drop((former, firsts));
        self.places.retain(|place| Arc::strong_count(place) > 1);
        Ok(())
    }

    /// The numbers of the first processes of containers at the last look. They are looked at
    /// however many processes there are: no pod makes the agent forget the containers of others.
    fn firsts(&self) -> BTreeSet<u32> {
        let mut firsts = Firsts::default();
        for (pid, entry) in &self.entries {
            if let Some(inside) = &entry.inside {
                firsts.take(*pid, inside);
            }
        }
        firsts.0.into_values().map(|(_, pid)| pid).collect()
    }

    fn read(
        &mut self,
        proc: &ProcFs,
        volumes: &Volumes,
        (pid, instance): (u32, Instance),
        known: Option<&Entry>,
        ahead: Delta,
    ) -> Entry {
        let (found, is_denied) = match read(proc, volumes, pid) {
            Ok(found) => (found, false),
            Err(error) => (None, error.is_denied()),
        };
        self.denied += usize::from(is_denied);
        let is_starting = found.as_ref().is_some_and(|(_, stat)| is_any(&STARTING, &stat.name));
        let inside = found.filter(|_| !is_starting).map(|(place, stat)| {
            let started = start(known, &stat).unwrap_or_else(|| wall(&stat, ahead));
            Inside { place: self.shared(place), ticks: stat.started, started }
        });
        Entry { instance, inside, is_settled: known.is_some() && !is_starting && !is_denied }
    }

    fn shared(&mut self, place: Place) -> Arc<Place> {
        if let Some(known) = self.places.get(&place) {
            return Arc::clone(known);
        }
        let place = Arc::new(place);
        self.places.insert(Arc::clone(&place));
        place
    }

    /// The processes of pods' containers, and of each container the first one among them.
    pub(super) fn members(&self) -> impl Iterator<Item = Member<'_>> {
        self.entries.iter().filter_map(|(pid, entry)| {
            let Inside { place, ticks, started } = entry.inside.as_ref()?;
            let (pid, instance, ticks, started) = (*pid, entry.instance, *ticks, *started);
            Some(Member { pid, instance, place, ticks, started })
        })
    }

    /// How many processes are too many to be looked at.
    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }

    /// How many processes the agent must not read.
    pub(super) fn denied(&self) -> usize {
        self.denied
    }
}

/// The first process of each container, as far as they were looked at.
#[derive(Debug, Default)]
struct Firsts(BTreeMap<Arc<Place>, (u64, u32)>);

impl Firsts {
    /// Whether this process started before all others of its container.
    fn take(&mut self, pid: u32, inside: &Inside) -> bool {
        let this = (inside.ticks, pid);
        match self.0.get_mut(&inside.place) {
            Some(first) if *first <= this => return false,
            Some(first) => *first = this,
            None => drop(self.0.insert(Arc::clone(&inside.place), this)),
        }
        true
    }
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
            None => volumes
                .pod_of(&tmpfs_of(|each| proc.mounts(pid, each)).ok()?)
                .map(ToOwned::to_owned),
        };
        Some(Place { pod_uid: pod_uid?, container: id })
    })
}

/// The start as it was computed before: the clock may have been set since.
fn start(known: Option<&Entry>, stat: &Stat) -> Option<Wall> {
    let inside = known?.inside.as_ref()?;
    (inside.ticks == stat.started).then_some(inside.started)
}

fn wall(stat: &Stat, ahead: Delta) -> Wall {
    let since = i64::try_from(stat.started.saturating_mul(TICK)).unwrap_or(i64::MAX);
    Wall::from_nanos(since) + ahead
}

fn is_any(beginnings: &[&str], name: &str) -> bool {
    beginnings.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;

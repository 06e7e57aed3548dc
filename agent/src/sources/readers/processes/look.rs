//! One look at the node's processes after the other. Reports what changed.

use std::collections::BTreeMap;

use tokenwatch_core::base::time::{Delta, Reading};
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::readers::{Connected, ContainersSeen, RunningContainer};

use super::ProcessesConfig;
use super::connections::{Connections, Looked, stamp};
use super::containers::{Firsts, Mounts, firsts, running};
use super::table::Table;
use super::volumes::Volumes;
use crate::proc::{Error, ProcFs};
use crate::sources::health::{Health, Source};

/// What the looks have found so far.
#[derive(Debug)]
pub struct Looker {
    proc: ProcFs,
    is_in_container: bool,
    volumes: Volumes,
    table: Table,
    mounts: Mounts,
    connections: Connections,
    reported: BTreeMap<String, ContainersSeen>,
    health: Health,
}

impl Looker {
    /// Before the first look.
    pub fn new(config: ProcessesConfig) -> Self {
        let ProcessesConfig { proc, verifiers, is_in_container } = config;
        Self {
            proc,
            is_in_container,
            volumes: Volumes::default(),
            table: Table::default(),
            mounts: Mounts::default(),
            connections: Connections::new(verifiers),
            reported: BTreeMap::new(),
            health: Health::new(Source::Processes),
        }
    }

    /// Whether there is a pod with a projected volume.
    pub(super) fn has_pods(&self) -> bool {
        !self.volumes.is_empty()
    }

    /// What changed since the last look. `ahead`: how far the wall clock is ahead of the time since
    /// the machine started.
    pub fn look(&mut self, now: Reading, ahead: Delta) -> Vec<Observation> {
        let looked = self.read(ahead).map(|()| self.report(now));
        let degraded = match &looked {
            Ok(_) => denied(self.table.denied()),
            Err(error) => Some(format!("{error}; the agent does not see the pods' processes")),
        };
        let health = self.health.update(degraded);
        health.into_iter().chain(looked.into_iter().flatten()).collect()
    }

    fn read(&mut self, ahead: Delta) -> Result<(), Error> {
        self.read_volumes()?;
        self.table.update(&self.proc, &self.volumes, ahead)?;
        let pods = firsts(self.table.members());
        let all = pods.values().flatten().map(|(id, first)| (*id, *first));
        self.mounts.update(&self.proc, all);
        if self.mounts.has_unknown(&self.volumes) {
            // kubelet may have mounted it since the agent's own mounts were read.
            self.read_volumes()?;
        }
        Ok(())
    }

    /// The agent does not report itself: in a cgroup namespace of its own, the kernel shows nobody
    /// which container it is in.
    fn read_volumes(&mut self) -> Result<(), Error> {
        let mounts = self.proc.own_mounts()?;
        self.volumes.update(&mounts);
        if self.is_in_container {
            self.volumes.leave_out_own(&mounts);
        }
        Ok(())
    }

    fn report(&mut self, now: Reading) -> Vec<Observation> {
        let pods = firsts(self.table.members());
        let looked = looked(&pods, &self.volumes);
        let mut connected = self.connections.look(&self.proc, &looked, now.monotonic);
        let mut former = std::mem::take(&mut self.reported);
        let mut news = Vec::new();
        for uid in self.volumes.pods() {
            let before = former.remove(uid);
            let seen = self.seen(uid, pods.get(uid)).map(|containers| ContainersSeen {
                pod_uid: uid.to_owned(),
                containers,
                connected: connected.remove(uid),
            });
            news.extend(seen.clone().filter(|seen| is_news(seen, before.as_ref())));
            self.reported.extend(seen.or(before).map(|seen| (uid.to_owned(), seen)));
        }
        news.into_iter().map(Observation::Containers).collect()
    }

    /// The containers of a pod; none where the list may be incomplete.
    fn seen(&self, uid: &str, firsts: Option<&Firsts<'_>>) -> Option<Vec<RunningContainer>> {
        let none = Firsts::new();
        let running = running(uid, firsts.unwrap_or(&none), &self.mounts, &self.volumes)?;
        // A process that the agent must not read may be of any pod.
        (!running.is_empty() || self.table.denied() == 0).then_some(running)
    }
}

/// A connection that was opened is news each time.
fn is_news(seen: &ContainersSeen, before: Option<&ContainersSeen>) -> bool {
    let opened =
        seen.connected.as_ref().is_some_and(|connected: &Connected| connected.opened.is_some());
    opened || before != Some(seen)
}

/// Each pod with its first process: that one has the pod's network, whatever a container made for
/// itself.
fn looked<'a>(pods: &BTreeMap<&'a str, Firsts<'a>>, volumes: &Volumes) -> Vec<Looked<'a>> {
    let first = |firsts: &Firsts<'a>| {
        let first = firsts.values().min_by_key(|first| (first.stat.started, first.pid));
        first.map(|first| first.pid)
    };
    let pods = pods.iter().filter_map(|(uid, firsts)| Some((*uid, first(firsts)?)));
    pods.map(|(uid, pid)| Looked { uid, pid, written: stamp(volumes.points(uid)) }).collect()
}

fn denied(processes: usize) -> Option<String> {
    (processes > 0).then(|| {
        format!(
            "the kernel does not let the agent read the cgroups of {processes} processes (SELinux, \
             or /proc is mounted with hidepid); the agent does not see which containers they are in"
        )
    })
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;

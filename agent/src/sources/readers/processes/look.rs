//! One look at the node's processes after the other. Reports what changed.

use std::collections::BTreeMap;

use tokenwatch_core::base::time::{Delta, Reading};
use tokenwatch_core::world::observation::{Observation, Unknown};
use tokenwatch_core::world::readers::{Connected, ContainersSeen, RunningContainer};

use super::ProcessesConfig;
use super::connections::{Connections, Looked, stamp};
use super::containers::{Firsts, Mounts, firsts, running};
use super::table::{MAX_PROCESSES, Table};
use super::volumes::{Volumes, tmpfs_of};
use crate::proc::{Error, ProcFs};
use crate::sources::health::{Health, Source};
use crate::sources::left_out::LeftOut;

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
    left_out: LeftOut,
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
            left_out: LeftOut::of(Unknown::Mounts),
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
            Ok(_) => degraded(&self.table),
            Err(error) => Some(format!("{error}; the agent does not see the pods' processes")),
        };
        let health = self.health.update(degraded);
        health.into_iter().chain(looked.into_iter().flatten()).collect()
    }

    fn read(&mut self, ahead: Delta) -> Result<(), Error> {
        self.read_volumes()?;
        self.table.update(&self.proc, &self.volumes, ahead)?;
        self.mounts.update(&self.proc, &self.volumes, &firsts(self.table.members()));
        if self.mounts.has_unknown(&self.volumes) {
            // kubelet may have mounted it since the agent's own mounts were read.
            self.read_volumes()?;
        }
        Ok(())
    }

    /// The agent does not report itself: in a cgroup namespace of its own, the kernel shows nobody
    /// which container it is in.
    fn read_volumes(&mut self) -> Result<(), Error> {
        let mounts = tmpfs_of(|each| self.proc.own_mounts(each))?;
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
                partial: self.is_partial(pods.get(uid)),
                connected: connected.remove(uid),
            });
            news.extend(seen.clone().filter(|seen| is_news(seen, before.as_ref())));
            self.reported.extend(seen.or(before).map(|seen| (uid.to_owned(), seen)));
        }
        let unseen = |uid| std::iter::repeat_n(uid, self.unseen(uid, pods.get(uid)));
        let unseen: Vec<&str> = self.volumes.pods().into_iter().flat_map(unseen).collect();
        let left_out = self.left_out.update(now.monotonic, unseen.into_iter());
        news.into_iter().map(Observation::Containers).chain(left_out).collect()
    }

    /// How many volumes of the pod a container may have mounted that is left out, or in a mount
    /// that is.
    fn unseen(&self, uid: &str, firsts: Option<&Firsts<'_>>) -> usize {
        let are_more = firsts.is_some_and(|firsts| self.mounts.are_more(firsts));
        let followed = if are_more { self.volumes.count(uid) } else { 0 };
        self.volumes.left_out(uid) + followed
    }

    /// The containers of a pod; none where it seems to have none and the list may be incomplete.
    fn seen(&self, uid: &str, firsts: Option<&Firsts<'_>>) -> Option<Vec<RunningContainer>> {
        let none = Firsts::default();
        let running = running(uid, firsts.unwrap_or(&none), &self.mounts, &self.volumes)?;
        // A process that the agent does not read may be of any pod.
        let is_all = self.table.denied() == 0 && self.table.left_out() == 0;
        (!running.is_empty() || is_all).then_some(running)
    }

    /// Whether a container of which the agent can read a process may be missing.
    fn is_partial(&self, firsts: Option<&Firsts<'_>>) -> bool {
        self.table.left_out() > 0 || firsts.is_some_and(Firsts::are_more)
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
    let pods = pods.iter().filter_map(|(uid, firsts)| Some((*uid, firsts.first()?.pid)));
    pods.map(|(uid, pid)| Looked { uid, pid, written: stamp(volumes.points(uid)) }).collect()
}

fn degraded(table: &Table) -> Option<String> {
    let reasons: Vec<String> =
        denied(table.denied()).into_iter().chain(left_out(table.left_out())).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn denied(processes: usize) -> Option<String> {
    (processes > 0).then(|| {
        format!(
            "the kernel does not let the agent read the cgroups of {processes} processes (SELinux, \
             or /proc is mounted with hidepid); the agent does not see which containers they are in"
        )
    })
}

fn left_out(processes: usize) -> Option<String> {
    (processes > 0).then(|| {
        format!(
            "the node has more processes than the {MAX_PROCESSES} that the agent looks at; it does \
             not see a container of which all are among the other {processes}"
        )
    })
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;

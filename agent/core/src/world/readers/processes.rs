//! The processes of one pod, and their use of the API server.

use super::seen::{Connected, ContainersSeen, MountKind, RunningContainer};
use crate::base::time::Reading;

/// The processes of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodProcesses {
    /// Its containers that have a process.
    pub containers: Vec<RunningContainer>,
    /// Its use of the API server; none if the agent cannot know.
    pub connections: Option<Connections>,
    /// When a container was first seen with an old mount.
    pub frozen_since: Option<Reading>,
}

/// What is known of the connections of a pod to the API server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Connections {
    /// How many are established.
    pub established: u32,
    /// The newest one was opened after this look.
    pub opened_after: Option<Reading>,
    /// And by then.
    pub opened_by: Option<Reading>,
    /// Since when each look found requests, if the last one did.
    pub requests_since: Option<Reading>,
}

impl PodProcesses {
    pub(super) fn see(&mut self, seen: ContainersSeen, now: &Reading) {
        let ContainersSeen { pod_uid: _, containers, connected } = seen;
        self.connections = connected.map(|connected| self.connections_after(connected, now));
        let frozen = |container: &RunningContainer| {
            container.mounts.iter().any(|mount| mount.kind == MountKind::Frozen)
        };
        let is_frozen = containers.iter().any(frozen);
        self.frozen_since = is_frozen.then(|| self.frozen_since.unwrap_or(*now));
        self.containers = containers;
    }

    fn connections_after(&self, connected: Connected, now: &Reading) -> Connections {
        let before = self.connections;
        let opened_after = connected.opened.map(|since| now.after(-since));
        Connections {
            established: connected.established,
            opened_after: opened_after.or(before.and_then(|before| before.opened_after)),
            opened_by: opened_after.map(|_| *now).or(before.and_then(|before| before.opened_by)),
            requests_since: connected
                .requests
                .then(|| before.and_then(|before| before.requests_since).unwrap_or(*now)),
        }
    }

    /// The container with this id, if it has a process.
    pub fn container(&self, id: &str) -> Option<&RunningContainer> {
        self.containers.iter().find(|container| container.id == id)
    }
}

/// Whether a container may have a process: the agent does not see those of this pod, or not which
/// container it is, or it sees one.
pub(crate) fn may_run(pod: Option<&PodProcesses>, container_id: Option<&str>) -> bool {
    match (pod, container_id) {
        (Some(pod), Some(id)) => pod.container(id).is_some(),
        (Some(_) | None, None) | (None, Some(_)) => true,
    }
}

//! The processes of one pod, and their use of the API server.

use super::seen::{Connected, ContainersSeen, MountKind, RunningContainer};
use crate::base::time::Reading;

/// Containers of a pod that are known to have ended, while the list of others is incomplete: more
/// than can have read a token in the pod's time, as a rule.
const MAX_ENDED: usize = 16;

/// The processes of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodProcesses {
    /// Its containers that have a process.
    pub containers: Vec<RunningContainer>,
    /// Whether it may have others.
    pub partial: bool,
    /// The ids of those that ended last, the newest at the end.
    pub(crate) ended: Vec<String>,
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
        let ContainersSeen { pod_uid: _, containers, partial, connected } = seen;
        self.connections = connected.map(|connected| self.connections_after(connected, now));
        let frozen = |container: &RunningContainer| {
            container.mounts.iter().any(|mount| mount.kind == MountKind::Frozen)
        };
        let is_frozen = containers.iter().any(frozen);
        self.frozen_since = is_frozen.then(|| self.frozen_since.unwrap_or(*now));
        let former = std::mem::replace(&mut self.containers, containers);
        self.partial = partial;
        self.note_ends(former);
    }

    fn note_ends(&mut self, former: Vec<RunningContainer>) {
        let mut ended = std::mem::take(&mut self.ended);
        ended.extend(former.into_iter().map(|container| container.id));
        ended.retain(|id| self.container(id).is_none());
        ended.drain(..ended.len().saturating_sub(MAX_ENDED));
        self.ended = ended;
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

/// Whether a container may have a process: the agent does not see those of this pod, or not all of
/// them, or not which container it is, or it sees one.
pub(crate) fn may_run(pod: Option<&PodProcesses>, container_id: Option<&str>) -> bool {
    match (pod, container_id) {
        (Some(pod), Some(id)) => {
            pod.container(id).is_some() || pod.partial && !pod.ended.iter().any(|one| one == id)
        }
        (Some(_) | None, None) | (None, Some(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Wall;

    fn seen(ids: &[&str], partial: bool) -> ContainersSeen {
        let container = |id: &&str| RunningContainer {
            id: (*id).to_owned(),
            started: Wall::from_secs(0),
            program: "app".into(),
            mounts: Vec::new(),
            library: None,
        };
        let containers = ids.iter().map(container).collect();
        ContainersSeen { pod_uid: "p".into(), containers, partial, connected: None }
    }

    #[test]
    fn a_container_that_may_be_missing_in_a_list_may_run_until_it_ends() {
        let mut pod = PodProcesses::default();
        // (the list, whether it is partial, those of a, b, and c that may run)
        let table: [(&[&str], bool, &str); 7] = [
            (&["a"], false, "a"),
            (&["a"], true, "abc"),
            (&[], true, "bc"),
            (&["b"], true, "bc"),
            (&["a"], true, "ac"),
            (&["a"], false, "a"),
            (&["c"], true, "c"),
        ];
        for (ids, partial, expected) in table {
            pod.see(seen(ids, partial), &Reading::default());
            let may: String =
                ["a", "b", "c"].into_iter().filter(|id| may_run(Some(&pod), Some(id))).collect();
            assert_eq!(may, expected, "{ids:?} {partial}");
        }
        for id in 0..100 {
            pod.see(seen(&[&id.to_string()], true), &Reading::default());
        }
        assert_eq!(pod.ended.len(), MAX_ENDED);
        assert!(!may_run(Some(&pod), Some("98")) && may_run(Some(&pod), Some("99")));
    }
}

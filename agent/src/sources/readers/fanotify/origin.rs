//! Whether a process of a container is the container's own, or of a session that the runtime
//! started in it from outside: `kubectl exec`, a probe or a hook that runs a command.
//!
//! Both have the container's cgroup. But only the container's own processes descend from its first
//! process: an orphan gets the first process of its PID namespace as parent, and a session's parent
//! is the runtime, outside of the container.

use std::collections::BTreeMap;

use crate::proc::ProcFs;

/// Ancestors that are looked at. Programs start each other a few levels deep; shells in shells that
/// build software reach some twenty.
const MAX_ANCESTORS: usize = 64;
/// Containers of which the first process is kept: two on each of 250 pods. To find one costs a look
/// at all processes, which takes some 10 ms.
const MAX_CONTAINERS: usize = 512;

/// Where a process of a container comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The container's first process or a descendant of it. Or the container has the PID namespace
    /// of its pod or of the node, where a session looks like an orphan.
    Container,
    /// A session.
    Session,
    /// An ancestor ended meanwhile.
    Unknown,
}

/// The first processes of containers.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// By container id. None: it has no PID namespace of its own.
    firsts: BTreeMap<String, Option<u32>>,
}

impl Origins {
    /// Where a process with this number and this parent comes from. It is in the container `id`.
    pub(super) fn of(&mut self, proc: &ProcFs, (pid, parent): (u32, u32), id: &str) -> Origin {
        let Some(oldest) = oldest_ancestor(proc, (pid, parent), id) else { return Origin::Unknown };
        match self.first(proc, oldest, id) {
            Some(first) if first != oldest => beside(proc, oldest, first),
            Some(_) | None => Origin::Container,
        }
    }

    /// The first process of the container; none if it has no PID namespace of its own. `oldest` is
    /// one of its processes with a parent outside.
    fn first(&mut self, proc: &ProcFs, oldest: u32, id: &str) -> Option<u32> {
        if let Some(known) = self.firsts.get(id) {
            return *known;
        }
        let first = match proc.numbers(oldest).as_deref() {
            Ok(numbers) if is_first(numbers) => Some(oldest),
            Ok([_]) => None, // of the node's namespace
            Ok(_) | Err(_) => proc.pids().ok()?.find(|pid| is_first_of(proc, *pid, id)),
        };
        if self.firsts.len() >= MAX_CONTAINERS {
            self.firsts.clear();
        }
        self.firsts.insert(id.to_owned(), first);
        first
    }
}

/// Where a process with a parent outside comes from that is not the container's first one. A
/// session is in the same PID namespace as that. The first process of a further one was left behind
/// by a program in the container.
fn beside(proc: &ProcFs, oldest: u32, first: u32) -> Origin {
    let (Ok(numbers), Ok(of_first)) = (proc.numbers(oldest), proc.numbers(first)) else {
        return Origin::Unknown;
    };
    let is_beside = numbers.len() == of_first.len() && !is_first(&numbers);
    if is_beside { Origin::Session } else { Origin::Container }
}

/// The last of the process and its ancestors that is in the container. None if one of them has
/// ended.
fn oldest_ancestor(proc: &ProcFs, process: (u32, u32), id: &str) -> Option<u32> {
    let (mut pid, mut parent) = process;
    for _ in 0..MAX_ANCESTORS {
        match place(proc, parent, id) {
            Place::Outside => return Some(pid),
            Place::Inside(grandparent) => (pid, parent) = (parent, grandparent),
            Place::Ended => {
                // Its child has another parent by now.
                let adopted = proc.stat(pid).ok()?.parent;
                parent = Some(adopted).filter(|adopted| *adopted != parent)?;
            }
        }
    }
    None
}

/// Where an ancestor is.
enum Place {
    /// In the container, with this parent.
    Inside(u32),
    /// In another one, in none, or in a PID namespace that the agent does not see.
    Outside,
    /// Nowhere: it has ended, or is so far in ending that its container is not shown.
    Ended,
}

fn place(proc: &ProcFs, pid: u32, id: &str) -> Place {
    if pid == 0 {
        return Place::Outside;
    }
    match (is_in(proc, pid, id), proc.stat(pid)) {
        (Some(true), Ok(stat)) => Place::Inside(stat.parent),
        (Some(false), Ok(stat)) if !stat.is_ending => Place::Outside,
        (Some(_) | None, Ok(_) | Err(_)) => Place::Ended,
    }
}

fn is_in(proc: &ProcFs, pid: u32, id: &str) -> Option<bool> {
    Some(proc.containers(pid).ok()?.iter().any(|container| container.id == id))
}

/// Whether it is the first process of this container. A program in the container may make further
/// PID namespaces: their first processes have a parent in the container.
fn is_first_of(proc: &ProcFs, pid: u32, id: &str) -> bool {
    let has_number = || proc.numbers(pid).is_ok_and(|numbers| is_first(&numbers));
    let is_child = || proc.stat(pid).is_ok_and(|stat| is_in(proc, stat.parent, id) == Some(true));
    is_in(proc, pid, id) == Some(true) && has_number() && !is_child()
}

/// Whether a process with these numbers is the first one of a PID namespace that is not the node's.
fn is_first(numbers: &[u32]) -> bool {
    numbers.len() > 1 && numbers.last() == Some(&1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0b9c2d84-6a9b-4c7e-8f21-3f5a6b7c8d9e";
    const APP: &str = "9f0c1d2e3a4b5c6d7e8f9a0b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3d4e5";
    const PAUSE: &str = "1f0c1d2e3a4b5c6d7e8f9a0b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3d4e5";
    /// The runtime, which starts containers and sessions.
    const SHIM: u32 = 50;

    /// A process: number, parent, container, numbers in its namespaces.
    type Process<'a> = (u32, u32, Option<&'a str>, &'a str);

    struct Node {
        proc: tempfile::TempDir,
        origins: Origins,
    }

    impl Node {
        fn new(processes: &[Process<'_>]) -> Self {
            let proc = tempfile::tempdir().unwrap();
            let node = Self { proc, origins: Origins::default() };
            node.add((1, 0, None, "1"));
            node.add((SHIM, 1, None, "50"));
            for process in processes {
                node.add(*process);
            }
            node
        }

        fn add(&self, (pid, parent, container, numbers): Process<'_>) {
            let directory = self.proc.path().join(pid.to_string());
            std::fs::create_dir(&directory).unwrap();
            let cgroup = container.map_or_else(
                || "0::/system.slice/containerd.service\n".to_owned(),
                |id| format!("0::/kubepods/besteffort/pod{UID}/{id}\n"),
            );
            std::fs::write(directory.join("cgroup"), cgroup).unwrap();
            std::fs::write(directory.join("status"), format!("NSpid:\t{numbers}\n")).unwrap();
            self.set_parent(pid, parent, 0);
        }

        fn set_parent(&self, pid: u32, parent: u32, flags: u32) {
            let rest = "1 2 3 4 5 6 7 8 20 0 1 0 12300 1 2";
            let stat = format!("{pid} (x) S {parent} 1 1 0 -1 {flags} {rest}\n");
            std::fs::write(self.proc.path().join(format!("{pid}/stat")), stat).unwrap();
        }

        fn end(&self, pid: u32) {
            std::fs::remove_dir_all(self.proc.path().join(pid.to_string())).unwrap();
        }

        fn origin(&mut self, pid: u32, parent: u32) -> Origin {
            self.origins.of(&ProcFs::at(self.proc.path()), (pid, parent), APP)
        }
    }

    /// An application with a worker, and a session with a program in it.
    fn node() -> Node {
        Node::new(&[
            (100, SHIM, Some(APP), "100 1"),
            (101, 100, Some(APP), "101 7"),
            (102, 101, Some(APP), "102 8"),
            (200, SHIM, Some(APP), "200 20"),
            (201, 200, Some(APP), "201 21"),
        ])
    }

    #[test]
    fn descendants_of_the_first_process_are_the_containers_own() {
        let mut node = node();
        for (pid, parent) in [(100, SHIM), (101, 100), (102, 101)] {
            assert_eq!(node.origin(pid, parent), Origin::Container, "{pid}");
        }
    }

    #[test]
    fn a_session_is_not_whether_or_not_the_first_process_was_seen_before() {
        for seen_before in [false, true] {
            let mut node = node();
            if seen_before {
                assert_eq!(node.origin(100, SHIM), Origin::Container);
            }
            assert_eq!(node.origin(200, SHIM), Origin::Session);
            assert_eq!(node.origin(201, 200), Origin::Session, "a program in it");
        }
    }

    #[test]
    fn a_session_that_has_ended_meanwhile_is_unknown() {
        let mut node = node();
        node.end(200);
        assert_eq!(node.origin(200, SHIM), Origin::Unknown);
        assert_eq!(node.origin(200, 0), Origin::Unknown, "its parent is not visible");
    }

    #[test]
    fn namespaces_within_the_container_change_nothing() {
        let mut node = node();
        node.add((90, 101, Some(APP), "90 9 1")); // a sandbox of the application
        node.add((202, 200, Some(APP), "202 22 1")); // one of the session
        assert_eq!(node.origin(202, 200), Origin::Session);
        assert_eq!(node.origin(90, 101), Origin::Container);
    }

    #[test]
    fn a_sandbox_that_was_left_behind_makes_nobody_a_session() {
        let of_node = [(100, SHIM, Some(APP), "100"), (101, 1, Some(APP), "101 1")];
        let shared = [
            (90, SHIM, Some(PAUSE), "90 1"),
            (100, SHIM, Some(APP), "100 7"),
            (101, 90, Some(APP), "101 8 1"),
        ];
        for processes in [of_node.as_slice(), shared.as_slice()] {
            let mut node = Node::new(processes);
            let of = |pid| processes.iter().find(|one| one.0 == pid).unwrap().1;
            assert_eq!(node.origin(101, of(101)), Origin::Container, "it opens the token first");
            assert_eq!(node.origin(100, of(100)), Origin::Container);
        }
    }

    #[test]
    fn an_orphan_of_the_container_is_its_own() {
        let mut node = node();
        node.end(101);
        node.set_parent(102, 100, 0);
        assert_eq!(node.origin(102, 101), Origin::Container, "its parent has just ended");
        assert_eq!(node.origin(102, 100), Origin::Container);
    }

    #[test]
    fn where_an_ancestor_is_ending_nothing_is_known() {
        let mut node = node();
        node.end(101);
        assert_eq!(node.origin(102, 101), Origin::Unknown);
        node.add((101, 100, None, "101 7")); // its cgroups of version 1 are not shown
        node.set_parent(101, 100, 0x4);
        assert_eq!(node.origin(102, 101), Origin::Unknown);
    }

    #[test]
    fn without_a_namespace_of_its_own_every_process_is_the_containers() {
        let shared = [
            (90, SHIM, Some(PAUSE), "90 1"),
            (100, SHIM, Some(APP), "100 7"),
            (101, 100, Some(APP), "101 8 1"), // a sandbox
            (102, 90, Some(APP), "102 9"),    // an orphan
            (200, SHIM, Some(APP), "200 20"), // a session
        ];
        let of_node = [
            (100, SHIM, Some(APP), "100"),
            (101, 100, Some(APP), "101 1"),
            (102, SHIM, Some(APP), "102"),
            (200, SHIM, Some(APP), "200"),
        ];
        for processes in [shared.as_slice(), of_node.as_slice()] {
            let mut node = Node::new(processes);
            for (pid, parent, container, _) in processes {
                if *container == Some(APP) {
                    assert_eq!(node.origin(*pid, *parent), Origin::Container, "{pid}");
                }
            }
        }
    }

    #[test]
    fn what_is_kept_and_what_is_looked_at_has_a_bound() {
        let mut node = Node::new(&[(100, SHIM, Some(APP), "100 1")]);
        let known = (0..MAX_CONTAINERS).map(|number| (number.to_string(), None));
        node.origins.firsts = known.collect();
        assert_eq!(node.origin(100, SHIM), Origin::Container);
        assert_eq!(node.origins.firsts.len(), 1);
        node.set_parent(100, 100, 0); // a circle
        assert_eq!(node.origin(100, 100), Origin::Unknown);
    }
}

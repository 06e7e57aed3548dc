//! A process that has just opened a file, and may end at any moment.

use tokenwatch_core::base::time::Delta;

use super::own::ticks_per_second;
use super::{InContainer, ProcFs, Stat, cgroup};

/// What could still be read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenerProcess {
    /// Its cgroups, as the kernel shows them.
    pub cgroups: Vec<u8>,
    /// The containers that it is in, outermost first; see [`InContainer`].
    pub containers: Vec<InContainer>,
    /// Its name, without arguments.
    pub name: String,
    /// The number of its parent; see [`Stat::parent`].
    pub parent: u32,
    /// When it started, since the machine started.
    pub started: Delta,
}

impl ProcFs {
    /// The process. None if it has ended, or is so far in ending that its container is not shown.
    /// Reads the cgroups first: they matter most.
    pub fn opener(&self, pid: u32) -> Option<OpenerProcess> {
        let cgroups = self.small(pid, "cgroup").ok()?;
        let stat = self.stat(pid).ok()?;
        let containers = cgroup::containers(&cgroups);
        let is_shown = !containers.is_empty() || !stat.is_ending;
        is_shown.then(|| OpenerProcess {
            cgroups,
            containers,
            parent: stat.parent,
            started: started(&stat),
            name: stat.name,
        })
    }
}

fn started(stat: &Stat) -> Delta {
    let ticks = i128::from(stat.started) * 1_000_000_000 / i128::from(ticks_per_second().max(1));
    Delta::from_nanos(i64::try_from(ticks).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "9f0c1d2e3a4b5c6d7e8f9a0b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3d4e5";

    /// A process with these cgroups and flags.
    fn process(cgroups: &str, flags: u32) -> Option<OpenerProcess> {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("41");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("cgroup"), cgroups).unwrap();
        let stat = format!("41 (cat) R 1 41 41 0 -1 {flags} 1 2 3 4 5 6 7 8 20 0 1 0 12300 1 2\n");
        std::fs::write(directory.join("stat"), stat).unwrap();
        ProcFs::at(root.path()).opener(41)
    }

    #[test]
    fn a_process_has_a_container_a_name_and_a_start() {
        let uid = "0b9c2d84-6a9b-4c7e-8f21-3f5a6b7c8d9e";
        let found = process(&format!("0::/kubepods/besteffort/pod{uid}/{ID}\n"), 0).unwrap();
        let container = InContainer { pod_uid: Some(uid.to_owned()), id: ID.to_owned() };
        assert_eq!((found.containers, found.name.as_str()), (vec![container], "cat"));
        assert_eq!(found.parent, 1);
        assert_eq!(found.started.as_secs(), 12_300 / i64::try_from(ticks_per_second()).unwrap());
    }

    #[test]
    fn one_that_ends_has_a_container_or_is_unknown() {
        assert!(process("3:memory:/\n0::/\n", 0).is_some(), "of the node");
        assert!(process("3:memory:/\n0::/\n", 0x4).is_none(), "its cgroups are not shown");
        let path = format!("0::/../cri-containerd-{ID}.scope\n");
        assert!(process(&path, 0x4).is_some(), "they still are");
    }

    #[test]
    fn this_process_is_known_and_one_that_does_not_exist_is_not() {
        let found = ProcFs::default().opener(std::process::id()).unwrap();
        assert!(found.started > Delta::ZERO && !found.cgroups.is_empty());
        assert_eq!(ProcFs::default().opener(u32::MAX), None);
    }
}

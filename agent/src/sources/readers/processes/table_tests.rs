use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use nix::unistd::{Uid, setfsuid};

use super::*;
use crate::proc::{Device, Mount};

const POD: &str = "0f3a4b5c-1111-2222-3333-444455556666";

/// A synthetic proc file system, and a pod with a volume.
struct Proc {
    root: tempfile::TempDir,
    volumes: Volumes,
    table: Table,
}

impl Proc {
    fn with(looked_at: usize, kept: usize) -> Self {
        let mut volumes = Volumes::default();
        volumes.update(&[Mount {
            device: Device::new(0, 7),
            root: "/".into(),
            point: format!("/k/pods/{POD}/volumes/kubernetes.io~projected/v").into(),
            is_read_only: true,
            is_tmpfs: true,
        }]);
        let table = Table::of(Most { looked_at, kept });
        Self { root: tempfile::tempdir().unwrap(), volumes, table }
    }

    /// A process of the pod's container that started so many seconds after the machine.
    fn start(&self, pid: u32, container: char, seconds: u64) {
        let (directory, ticks) = (self.root.path().join(pid.to_string()), seconds * 100);
        fs::create_dir(&directory).unwrap();
        let rest = format!("S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {ticks} 0");
        fs::write(directory.join("stat"), format!("{pid} (cart) {rest}")).unwrap();
        let id = container.to_string().repeat(64);
        fs::write(directory.join("cgroup"), format!("0::/kubepods/pod{POD}/{id}\n")).unwrap();
    }

    fn end(&self, pid: u32) {
        fs::remove_dir_all(self.root.path().join(pid.to_string())).unwrap();
    }

    /// The first process of each container: `a 10`. A look finds it.
    fn firsts(&mut self) -> Vec<String> {
        let proc = ProcFs::at(self.root.path());
        self.table.update(&proc, &self.volumes, Delta::ZERO).unwrap();
        let mut firsts: BTreeMap<&str, (u64, u32)> = BTreeMap::new();
        for member in self.table.members() {
            let this = (member.ticks, member.pid);
            let first = firsts.entry(&member.place.container[..1]).or_insert(this);
            *first = this.min(*first);
        }
        firsts.into_iter().map(|(id, (_, pid))| format!("{id} {pid}")).collect()
    }
}

#[test]
fn a_container_is_seen_however_many_processes_another_one_has() {
    for kept in [0, 3, 100] {
        let mut proc = Proc::with(100, kept);
        (10..40).for_each(|pid| proc.start(pid, 'a', 5));
        proc.start(40, 'b', 6);
        proc.start(41, 'b', 7);
        assert_eq!(proc.firsts(), ["a 10", "b 40"], "{kept}");
        assert!(proc.table.entries.len() <= kept + 2, "{kept}");
        proc.end(40);
        assert_eq!(proc.firsts(), ["a 10", "b 41"], "{kept}");
        (10..40).for_each(|pid| proc.end(pid));
        assert_eq!(proc.firsts(), ["b 41"], "{kept}");
        assert_eq!((proc.table.places.len(), proc.table.left_out()), (1, 0));
    }
}

#[test]
fn the_first_process_of_a_container_may_have_the_highest_number() {
    for kept in [0, 1, 100] {
        let mut proc = Proc::with(100, kept);
        (10..20).for_each(|pid| proc.start(pid, 'a', 50)); // numbers start again
        proc.start(30, 'a', 5);
        for _ in 0..3 {
            assert_eq!(proc.firsts(), ["a 30"], "{kept}");
        }
    }
}

#[test]
fn a_container_that_is_known_is_seen_however_many_processes_start() {
    for kept in [0, 100] {
        let mut proc = Proc::with(3, kept);
        proc.start(10, 'b', 5);
        proc.start(90, 'c', 5);
        assert_eq!(proc.firsts(), ["b 10", "c 90"], "{kept}");
        (20..80).for_each(|pid| proc.start(pid, 'a', 6));
        for _ in 0..3 {
            let firsts = proc.firsts();
            assert!(firsts.contains(&"b 10".into()), "{firsts:?}");
            assert!(firsts.contains(&"c 90".into()), "{firsts:?}");
            assert!(proc.table.left_out() > 50);
        }
        proc.end(90);
        assert!(!proc.firsts().iter().any(|first| first.starts_with('c')), "{kept}");
    }
}

#[test]
fn processes_that_are_not_looked_at_are_counted() {
    let mut proc = Proc::with(8, 100);
    (10..20).for_each(|pid| proc.start(pid, 'a', 5));
    assert_eq!((proc.firsts().len(), proc.table.left_out()), (1, 2));
    (12..15).for_each(|pid| proc.end(pid));
    assert_eq!((proc.firsts().len(), proc.table.left_out()), (1, 0));
}

#[test]
fn a_process_that_must_not_be_read_is_counted_in_each_look() {
    let mut proc = Proc::with(100, 100);
    proc.start(10, 'a', 5);
    let set = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    set(proc.root.path(), 0o755);
    set(&proc.root.path().join("10/cgroup"), 0);
    let own = setfsuid(Uid::from_raw(65_534)); // of this thread; root may read whatever it likes
    for _ in 0..4 {
        assert_eq!((proc.firsts().len(), proc.table.denied()), (0, 1));
    }
    let _ = setfsuid(own);
    set(&proc.root.path().join("10/cgroup"), 0o644);
    assert_eq!((proc.firsts(), proc.table.denied()), (vec!["a 10".to_owned()], 0));
}

#[test]
fn what_is_kept_of_a_process_is_small() {
    let of_each = std::mem::size_of::<(u32, Entry)>();
    assert!(of_each * MAX_KEPT < 3 << 20, "{of_each}");
}

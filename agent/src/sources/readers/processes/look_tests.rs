use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tokenwatch_core::base::time::{Monotonic, Wall};
use tokenwatch_core::world::observation::{Unwatched, UnwatchedPod};
use tokenwatch_core::world::readers::{MountKind, SeenMount};

use super::*;

const POD: &str = "0f3a4b5c-1111-2222-3333-444455556666";
const OTHER: &str = "0f3a4b5c-1111-2222-3333-444455557777";
const BOOT: i64 = 1_800_000_000;

/// A container's id, of one digit.
fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// A synthetic proc file system.
struct Proc {
    root: tempfile::TempDir,
    looker: Looker,
    at: i64,
}

/// A process: number, parent, name, seconds since the machine started.
type Process<'a> = (u32, u32, &'a str, u64);

impl Proc {
    fn new(is_in_container: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        let proc = ProcFs::at(root.path());
        let config = ProcessesConfig { proc, is_in_container, ..ProcessesConfig::default() };
        let proc = Self { root, looker: Looker::new(config), at: 0 };
        proc.write("self/mountinfo", &volume(7, POD));
        proc
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A process in the cgroup, with the container's mounts.
    fn process(&self, (pid, parent, name, start): Process<'_>, cgroup: &str, mounts: &str) {
        let start = start * 100;
        let stat =
            format!("{pid} ({name}) S {parent} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {start} 0");
        self.write(&format!("{pid}/stat"), &stat);
        self.write(&format!("{pid}/cgroup"), &format!("0::{cgroup}\n"));
        self.write(&format!("{pid}/mountinfo"), mounts);
    }

    /// The same in a container of the pod, with its volume at `/t`.
    fn member(&self, process: Process<'_>, container: char) {
        self.process(process, &cgroup(container), &at("/t", 7));
    }

    fn end(&self, pid: u32) {
        std::fs::remove_dir_all(self.root.path().join(pid.to_string())).unwrap();
    }

    /// A look 15 s later: what is reported of pods, and why the source is degraded, if it is.
    fn look(&mut self) -> (Vec<ContainersSeen>, Option<String>) {
        self.at += 15;
        let monotonic = Monotonic::from_nanos(self.at * 1_000_000_000);
        let now = Reading { wall: Wall::from_secs(BOOT + self.at), monotonic };
        let (mut pods, mut state) = (Vec::new(), None);
        for seen in self.looker.look(now, Delta::from_secs(BOOT)) {
            match seen {
                Observation::Containers(seen) => pods.push(seen),
                Observation::Source(source) => state = source.degraded,
                other => panic!("{other:?}"),
            }
        }
        (pods, state)
    }

    /// The containers of the one pod that is reported, each as `digit program started`.
    fn lines(&mut self) -> Option<Vec<String>> {
        let (mut pods, _) = self.look();
        assert!(pods.len() <= 1, "{pods:?}");
        let pod = pods.pop()?;
        assert_eq!(pod.pod_uid, POD);
        let seconds = |at: Wall| (at - Wall::from_secs(BOOT)).as_secs();
        let line = |one: &RunningContainer| {
            let (id, program) = (&one.id[..1], &one.program);
            format!("{id} {program} {}", seconds(one.started))
        };
        Some(pod.containers.iter().map(line).collect())
    }
}

fn cgroup(container: char) -> String {
    format!("/kubepods/besteffort/pod{POD}/{}", id(container))
}

/// The line of a pod's volume in the agent's own mounts.
fn volume(device: u32, pod: &str) -> String {
    at(&format!("/host/var/lib/kubelet/pods/{pod}/volumes/kubernetes.io~projected/tokens"), device)
}

fn at(point: &str, device: u32) -> String {
    format!("9 1 0:{device} / {point} ro,relatime - tmpfs tmpfs rw\n")
}

#[test]
fn the_containers_of_a_pod_are_reported_when_they_change() {
    let mut proc = Proc::new(false);
    proc.process((1, 0, "systemd", 0), "/init.scope", "");
    assert_eq!(proc.lines(), Some(vec![]), "the pod has no process yet");
    proc.member((40, 1, "cart", 20), 'a');
    proc.member((41, 40, "worker", 25), 'a');
    proc.member((50, 1, "proxy", 30), 'b');
    assert_eq!(proc.lines(), Some(vec!["a cart 20".into(), "b proxy 30".into()]));
    assert_eq!(proc.lines(), None, "nothing changed");
    proc.end(41);
    assert_eq!(proc.lines(), None, "its first process goes on");
    proc.end(40);
    proc.member((60, 1, "cart", 60), 'c');
    assert_eq!(proc.lines(), Some(vec!["b proxy 30".into(), "c cart 60".into()]));
    proc.end(60);
    proc.end(50);
    assert_eq!(proc.lines(), Some(vec![]));
}

#[test]
fn what_a_container_starts_later_is_no_news() {
    let mut proc = Proc::new(false);
    proc.member((40, 1, "cart", 20), 'a');
    assert_eq!(proc.lines(), Some(vec!["a cart 20".into()]));
    proc.member((41, 40, "worker", 30), 'a');
    proc.member((42, 41, "worker", 35), 'a');
    proc.member((70, 1, "bash", 60), 'a'); // of `kubectl exec`
    proc.member((7, 70, "curl", 65), 'a'); // process ids start again
    assert_eq!(proc.lines(), None);
}

#[test]
fn a_volume_that_was_mounted_again_is_reported_as_frozen() {
    let mut proc = Proc::new(false);
    proc.member((40, 1, "cart", 20), 'a');
    let kinds = |pods: &[ContainersSeen]| -> Vec<SeenMount> {
        pods.iter().flat_map(|pod| &pod.containers).flat_map(|one| one.mounts.clone()).collect()
    };
    let mount = |kind| vec![SeenMount { volume: "tokens".into(), mount_path: "/t".into(), kind }];
    assert_eq!(kinds(&proc.look().0), mount(MountKind::Current));
    proc.write("self/mountinfo", &volume(17, POD));
    assert_eq!(kinds(&proc.look().0), mount(MountKind::Frozen));
}

#[test]
fn a_subpath_is_read_again_until_it_is_deleted() {
    let mut proc = Proc::new(false);
    let line = |root: &str| format!("9 1 0:7 {root} /t/token ro - tmpfs tmpfs rw\n");
    proc.process((40, 1, "cart", 20), &cgroup('a'), &line("/..2026/token"));
    let is_deleted = |pods: &[ContainersSeen]| match &pods.first()?.containers[0].mounts[0].kind {
        MountKind::Subpath { deleted, .. } => Some(*deleted),
        MountKind::Current | MountKind::Frozen => None,
    };
    assert_eq!(is_deleted(&proc.look().0), Some(false));
    proc.look();
    proc.process((40, 1, "cart", 20), &cgroup('a'), &line("/..2026/token//deleted"));
    assert_eq!(is_deleted(&proc.look().0), Some(true));
}

#[test]
fn a_container_that_starts_is_reported_with_its_program() {
    let mut proc = Proc::new(false);
    proc.process((30, 1, "pause", 10), &cgroup('9'), &at("/dev/shm", 99));
    // The runtime's process sees the mounts of the node.
    proc.process((40, 1, "runc:[2:INIT]", 20), &cgroup('a'), &volume(7, POD));
    assert_eq!(proc.lines(), Some(vec![]));
    proc.member((40, 1, "cart", 20), 'a');
    assert_eq!(proc.lines(), Some(vec!["a cart 20".into()]));
}

#[test]
fn what_runs_a_pod_in_a_kernel_of_its_own_is_no_container() {
    let mut proc = Proc::new(false);
    proc.process((30, 1, "runsc-sandbox", 10), &cgroup('9'), "");
    proc.member((31, 1, "runsc-gofer", 10), '9');
    proc.member((32, 1, "qemu-system-x86", 10), '9');
    assert_eq!(proc.lines(), Some(vec![]), "its containers are not visible");
}

#[test]
fn a_process_of_another_pod_or_of_none_is_left_out() {
    let mut proc = Proc::new(false);
    let unknown = cgroup('a').replace(POD, OTHER);
    proc.process((40, 1, "cart", 20), &unknown, &at("/t", 7));
    proc.process((41, 1, "kubelet", 20), "/system.slice/kubelet.service", &volume(7, POD));
    assert_eq!(proc.lines(), Some(vec![]));
}

#[test]
fn a_number_that_is_used_again_is_another_process() {
    let mut proc = Proc::new(false);
    proc.member((40, 1, "cart", 20), 'a');
    proc.look();
    proc.look();
    proc.end(40);
    proc.member((40, 1, "next", 50), 'b');
    assert_eq!(proc.lines(), Some(vec!["b next 50".into()]));
}

#[test]
fn the_start_of_a_process_stays_when_the_clock_is_set() {
    let mut proc = Proc::new(false);
    proc.member((40, 1, "cart", 20), 'a');
    proc.look();
    let now = Reading::default();
    let seen = proc.looker.look(now, Delta::from_secs(BOOT + 3_600));
    assert_eq!(seen, []);
}

#[test]
fn the_agents_own_pod_is_left_out_in_a_container_alone() {
    let own = format!("{}{}{}", at("/run/t", 7), volume(7, POD), volume(8, OTHER));
    for (is_in_container, expected) in [(true, vec![OTHER]), (false, vec![POD, OTHER])] {
        let mut proc = Proc::new(is_in_container);
        proc.write("self/mountinfo", &own);
        let pods: Vec<String> = proc.look().0.into_iter().map(|seen| seen.pod_uid).collect();
        assert_eq!(pods, expected);
    }
}

#[test]
fn a_sibling_without_a_pod_in_its_path_belongs_to_the_pod_of_its_mounts() {
    let mut proc = Proc::new(false);
    proc.process((40, 1, "cart", 20), &format!("/../{}", id('a')), &at("/t", 7));
    assert_eq!(proc.lines(), Some(vec!["a cart 20".into()]));
}

#[test]
fn hostile_processes_do_no_harm() {
    let mut proc = Proc::new(false);
    proc.member((40, 1, "x) S 1 1 (\u{1}", 20), 'a');
    proc.process((41, 1, "other", 20), "/\u{0}\u{ff}/../..", "nonsense\n\n9 1 0:7");
    proc.write("42/cgroup", "");
    proc.write("43/stat", "43 (");
    proc.write("44/cgroup", &format!("0::{}\n", cgroup('b')));
    proc.write("44/stat", "44 (no numbers");
    proc.write("not-a-number/cgroup", &cgroup('c'));
    symlink("/dev/zero", proc.root.path().join("43/cgroup")).unwrap();
    let many: String = (0..1_000).map(|nth| at(&format!("/t{nth}"), 7)).collect();
    proc.process((45, 1, "many", 30), &cgroup('d'), &many);
    let (pods, state) = proc.look();
    let containers = &pods[0].containers;
    let names: Vec<&str> = containers.iter().map(|one| one.program.as_str()).collect();
    assert_eq!(names, ["x) S 1 1 (\u{1}", "many"]);
    assert!((200..300).contains(&containers[1].mounts.len()), "{}", containers[1].mounts.len());
    assert_eq!(state, None, "it works");
}

/// What is left out of the pod, once it was left out for a while.
fn unseen(proc: &mut Proc) -> Vec<Unwatched> {
    let mut found = Vec::new();
    for _ in 0..2 {
        proc.at += 15;
        let monotonic = Monotonic::from_nanos(proc.at * 1_000_000_000);
        let now = Reading { wall: Wall::from_secs(BOOT + proc.at), monotonic };
        let seen = proc.looker.look(now, Delta::from_secs(BOOT)).into_iter();
        found.extend(seen.filter_map(|seen| {
            let Observation::Unwatched(unwatched) = seen else { return None };
            Some(unwatched)
        }));
    }
    found
}

fn in_pod(volumes: usize) -> Vec<Unwatched> {
    let pods = vec![UnwatchedPod { pod_uid: POD.into(), volumes }];
    vec![Unwatched { unknown: Unknown::Mounts, pods }]
}

#[test]
fn a_pod_with_more_containers_than_are_looked_at_is_named() {
    let mut proc = Proc::new(false);
    let start = |proc: &Proc, pid| {
        let cgroup = format!("/kubepods/pod{POD}/{pid:064}");
        proc.process((pid, 1, "cart", 20), &cgroup, &at("/t", 7));
    };
    (100..164).for_each(|pid| start(&proc, pid));
    assert_eq!(unseen(&mut proc), []);
    (164..200).for_each(|pid| start(&proc, pid));
    assert_eq!(unseen(&mut proc), in_pod(1));
    assert_eq!(proc.looker.reported[POD].containers.len(), 64);
    assert!(proc.looker.reported[POD].partial);
    (100..136).for_each(|pid| proc.end(pid));
    assert_eq!(unseen(&mut proc)[0].pods, [], "there is room");
    assert!(!proc.looker.reported[POD].partial);
}

#[test]
fn what_an_agent_of_the_node_has_mounted_of_the_host_takes_no_room() {
    let mut proc = Proc::new(false);
    let secret = |nth| format!("host/pods/{OTHER}/volumes/kubernetes.io~secret/{nth}");
    let of_host: String = (100..500).map(|nth| at(&secret(nth), nth)).collect();
    proc.write("self/mountinfo", &(volume(7, POD) + &of_host));
    let shm = |nth| at(&format!("/host/run/containerd/sandboxes/{}/shm", "f".repeat(nth)), 600);
    let shm: String = (1..200).map(|nth| shm(nth).replace("ro,", "rw,")).collect();
    proc.process((40, 1, "agent", 20), &cgroup('a'), &(of_host + &shm + &at("/t", 7)));
    assert_eq!(unseen(&mut proc), []);
    assert_eq!(proc.looker.reported[POD].containers[0].mounts.len(), 1);
    proc.write("self/mountinfo", &volume(17, POD));
    let (pods, _) = proc.look();
    assert_eq!(pods[0].containers[0].mounts[0].kind, MountKind::Frozen, "it is known from then on");
}

#[test]
fn mounts_that_cannot_be_read_hide_no_other_container() {
    let mut proc = Proc::new(false);
    proc.member((40, 1, "cart", 20), 'a');
    proc.member((41, 1, "hog", 20), 'b');
    let mountinfo = proc.root.path().join("41/mountinfo");
    std::fs::remove_file(&mountinfo).unwrap();
    symlink("/dev/zero", &mountinfo).unwrap();
    assert_eq!(proc.lines(), Some(vec!["a cart 20".into(), "b hog 20".into()]));
    assert_eq!(unseen(&mut proc), in_pod(1));
    std::fs::remove_file(&mountinfo).unwrap();
    proc.member((41, 1, "hog", 20), 'b');
    assert_eq!(unseen(&mut proc)[0].pods, []);
}

#[test]
fn containers_that_start_later_share_the_room_that_is_left() {
    let mut proc = Proc::new(false);
    let long = "d/".repeat(1_000);
    let many: String = (0..7).map(|nth| at(&format!("/{long}{nth}"), 7)).collect();
    let kept = |proc: &Proc| -> usize {
        let all = &proc.looker.reported[POD].containers;
        all.iter().map(|one| one.mounts.len()).sum()
    };
    proc.process((40, 1, "cart", 20), &cgroup('f'), &many);
    assert_eq!((unseen(&mut proc), kept(&proc)), (vec![], 7));
    for (pid, digit) in (41..).zip("edcba".chars()) {
        proc.process((pid, 1, "cart", 30), &cgroup(digit), &many);
        unseen(&mut proc);
        assert_eq!(kept(&proc), 7, "{digit}");
    }
}

#[test]
fn the_mounts_of_a_pod_take_no_more_than_its_share_and_each_container_has_some() {
    let mut proc = Proc::new(false);
    let long = "d/".repeat(1_000);
    let many: String = (0..1_000).map(|nth| at(&format!("/{long}{nth}"), 7)).collect();
    proc.process((40, 1, "hog", 20), &cgroup('a'), &many);
    proc.process((41, 1, "cart", 20), &cgroup('b'), &many[..many.len() / 100]);
    proc.look(); // the mounts may be incomplete
    assert_eq!(unseen(&mut proc), in_pod(1));
    let mounts = |proc: &Proc| -> Vec<usize> {
        proc.looker.reported[POD].containers.iter().map(|one| one.mounts.len()).collect()
    };
    assert_eq!(mounts(&proc), [7, 0]);
    proc.end(40);
    assert_eq!((unseen(&mut proc), mounts(&proc)), (vec![], vec![7]), "some more have room");
    proc.member((41, 1, "cart", 20), 'b');
    assert_eq!(unseen(&mut proc), [], "it rests");
    assert_eq!(unseen(&mut proc)[0].pods, []);
    assert_eq!(mounts(&proc), [1]);
}

#[test]
fn no_pod_is_empty_where_processes_are_not_looked_at() {
    let mut proc = Proc::new(false);
    proc.member((40, 1, "cart", 20), 'a');
    assert_eq!(proc.lines(), Some(vec!["a cart 20".into()]));
    proc.looker.table = Table::looking_at(1);
    proc.process((39, 1, "other", 20), "/system.slice/other.service", "");
    proc.end(40);
    proc.member((41, 1, "cart", 30), 'a');
    let (pods, state) = proc.look();
    // The kernel lists one of the two.
    assert!(pods.iter().all(|pod| !pod.containers.is_empty()), "{pods:?}");
    let state = state.unwrap();
    assert!(state.ends_with("not see a container of which all are among the other 1"), "{state}");
}

#[test]
fn a_proc_file_system_that_cannot_be_read_is_reported_and_no_pod_is_empty() {
    let mut proc = Proc::new(false);
    proc.member((40, 1, "cart", 20), 'a');
    proc.look();
    let mountinfo: PathBuf = proc.root.path().join("self/mountinfo");
    std::fs::remove_file(mountinfo).unwrap();
    let (pods, state) = proc.look();
    assert_eq!(pods, []);
    let reason = state.unwrap();
    assert!(reason.contains("does not see the pods' processes"), "{reason}");
}

//! The test bed itself: what a cluster does to the machine, and what is left of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bed::{Cluster, IMAGE, script, workdir};
use crate::process::{Process, run, text};
use crate::run_folder::{Run, remove_abandoned};
use crate::wait::{secs, until};

/// The kernel's `NET_ADDR_SET`: somebody has chosen the link address. A bridge then keeps it,
/// whatever ports it has.
const CHOSEN: &str = "3\n";

#[test]
fn a_cluster_stays_apart_from_the_machine_and_leaves_nothing_when_killed() {
    let cluster = Cluster::up("machine");
    let traces = Traces::of(&cluster);
    pods_come_and_go(&cluster);
    what_a_pod_writes_stays_on_the_node(&cluster);
    assert!(traces.left().len() > 2, "the test sees what a cluster has: {:?}", traces.left());

    println!(
        "[machine] every process of the cluster is killed, and its containers lose their shims"
    );
    traces.processes().iter().for_each(|pid| kill_hard(*pid));
    drop(cluster);
    assert_eq!(traces.left(), [""; 0]);
}

#[test]
fn the_next_run_removes_what_a_killed_one_has_left() {
    let killed = Run::begin(&format!("killed-{}", std::process::id()));
    let clusters = killed.clusters();
    let mut up = script("up");
    up.env("BED_STATE", &clusters).args(["--name", "half"]);
    let up = Process::start(&mut up, &workdir("killed").join("up.log"));
    // One of the first components: the network and the mounts exist.
    let (state, component) = (clusters.join("half"), clusters.join("half/pid/containerd"));
    until("half a cluster", secs(60), || component.exists().then_some(()));
    up.signal(Signal::SIGKILL);
    drop(up);
    let mut orphan = Command::new("sleep");
    let orphan = Process::start(orphan.arg("3600"), &clusters.with_file_name("orphan.log"));

    remove_abandoned();
    assert!(state.exists(), "a run that still lives loses nothing");
    let traces = Traces { link: link_of(&state), state };
    assert!(traces.left().len() > 2, "{:?}", traces.left());
    drop(killed);
    remove_abandoned();
    assert_eq!(traces.left(), [""; 0]);
    let killed = orphan.stop(secs(10));
    assert!(!killed.success(), "{killed}");
}

fn kill_hard(pid: Pid) {
    let _ = kill(pid, Signal::SIGKILL); // fails if it has just ended
}

/// The bridge of a half-made cluster, by the address that its etcd uses.
fn link_of(state: &Path) -> Option<String> {
    let script = std::fs::read_to_string(state.join("run/etcd")).unwrap();
    let number = script.split("http://10.190.").nth(1)?.split('.').next()?;
    Some(format!("twbr{number}"))
}

/// What a cluster has on the machine outside of its files.
struct Traces {
    state: PathBuf,
    link: Option<String>,
}

impl Traces {
    fn of(cluster: &Cluster) -> Self {
        Self { state: cluster.get("STATE").into(), link: Some(cluster.get("LINK").to_owned()) }
    }

    /// Components, and shims, which inherit the variable.
    fn processes(&self) -> Vec<Pid> {
        let mark = format!("BED_CLUSTER={}", self.state.display());
        let is_marked = |process: &std::fs::DirEntry| {
            let variables = std::fs::read(process.path().join("environ")).unwrap_or_default();
            variables.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        let processes = std::fs::read_dir("/proc").unwrap().flatten().filter(is_marked);
        let pid = |process: std::fs::DirEntry| process.file_name().to_str()?.parse().ok();
        processes.filter_map(pid).map(Pid::from_raw).collect()
    }

    fn left(&self) -> Vec<String> {
        let mut left: Vec<String> =
            self.processes().iter().map(|pid| format!("process {pid}")).collect();
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let state = self.state.to_str().unwrap();
        left.extend(mounts.lines().filter(|line| line.contains(state)).map(str::to_owned));
        left.extend(self.link.iter().filter(|link| network(link).exists()).cloned());
        left.extend(cgroups(&self.state));
        left.extend(self.state.exists().then(|| state.to_owned()));
        left
    }
}

fn network(link: &str) -> PathBuf {
    Path::new("/sys/class/net").join(link)
}

/// The cgroups that are named after the state folder's path, as tests/cluster/lib does.
fn cgroups(state: &Path) -> Vec<String> {
    let hash = "printf %s \"$0\" | sha256sum | cut -c1-8";
    let hash = text(&run(Command::new("sh").args(["-c", hash]).arg(state)).stdout);
    let name = format!("tokenwatch-{}", hash.trim());
    let find = ["/sys/fs/cgroup", "-maxdepth", "2", "-name", &name];
    text(&run(Command::new("find").args(find)).stdout).lines().map(str::to_owned).collect()
}

fn pods_come_and_go(cluster: &Cluster) {
    let (address, set) = (cluster.link_address(), network(cluster.get("LINK")));
    assert_eq!(std::fs::read_to_string(set.join("addr_assign_type")).unwrap(), CHOSEN);
    for round in 0..3 {
        let names = [0, 1].map(|pod| format!("passing-{round}-{pod}"));
        for name in &names {
            cluster.apply(&pod(name, "exec sleep 3600"));
        }
        for name in &names {
            cluster.wait_running(name);
        }
        assert_eq!(cluster.link_address(), address, "with other pods");
        cluster.kubectl(&["delete", "pods", "--all", "--grace-period=1"]);
    }
    assert_eq!(cluster.link_address(), address, "without pods");
}

/// A hostPath volume, and what kubelet and the runtime write wherever their own folders are.
fn what_a_pod_writes_stays_on_the_node(cluster: &Cluster) {
    let name = format!("written-{}", std::process::id());
    cluster.apply(&pod("writer", &format!("touch /state/{name} && exec sleep 3600")));
    cluster.wait_running("writer");
    let node = Path::new(cluster.get("STATE")).join("node");
    let file = format!("var/lib/tokenwatch/{name}");
    until("the pod to write", secs(60), || node.join(&file).exists().then_some(()));
    assert!(!Path::new("/").join(&file).exists(), "/{file} is on the machine");
    for folder in ["var/log/containers", "run/netns", "run/containerd/s", "var/lib/cni/results"] {
        let on_the_node: BTreeSet<String> = on_the_node(cluster, folder).into_iter().collect();
        assert!(!on_the_node.is_empty(), "nothing in /{folder} of the node");
        let on_the_machine = names(&Path::new("/").join(folder));
        assert!(
            on_the_node.is_disjoint(&on_the_machine.into_iter().collect()),
            "/{folder} of the machine has what the node has: {on_the_node:?}"
        );
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn on_the_node(cluster: &Cluster, folder: &str) -> Vec<String> {
    let mounts = format!("--mount={}/mounts/node", cluster.get("STATE"));
    let listed = run(Command::new("nsenter").args([&mounts, "ls", &format!("/{folder}")]));
    text(&listed.stdout).lines().map(str::to_owned).collect()
}

fn pod(name: &str, command: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  \
         terminationGracePeriodSeconds: 1\n  containers:\n    - name: main\n      image: \
         {IMAGE}\n      imagePullPolicy: Never\n      command: [sh, -c, \"{command}\"]\n      \
         volumeMounts: [{{name: state, mountPath: /state}}]\n  volumes:\n    - {{name: state, \
         hostPath: {{path: /var/lib/tokenwatch, type: DirectoryOrCreate}}}}\n"
    )
}

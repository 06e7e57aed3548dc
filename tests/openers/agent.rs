//! The built agent: what it may do, and that it never keeps kubelet from unmounting a volume.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use nix::sys::signal::Signal;

use crate::bed::{Container, Volume, can_run};
use crate::node::{Node, bare, payload, token};
use crate::running::Running;

const PATIENCE: Duration = Duration::from_secs(30);
/// CAP_SYS_ADMIN in the sets of /proc/PID/status.
const SYS_ADMIN: u64 = 1 << 21;

/// The agent on a node with one pod. Ended with the test.
struct Agent {
    child: Running,
    node: Node,
    log: PathBuf,
}

impl Agent {
    /// Started by `launcher`, after `prepare` has set up the node.
    fn start(mut launcher: Command, prepare: impl FnOnce(&Node)) -> Self {
        let node = Node::new();
        prepare(&node);
        launcher.args(["run", "--clock-discover", "false", "--root"]).arg(node.root());
        let log = node.root().join("log");
        launcher.stdout(fs::File::create(node.root().join("out")).unwrap());
        launcher.stderr(fs::File::create(&log).unwrap());
        Self { child: Running::start(bare(&mut launcher)), node, log }
    }

    fn bare(prepare: impl FnOnce(&Node)) -> Self {
        Self::start(Command::new(env!("CARGO_BIN_EXE_tokenwatch")), prepare)
    }

    fn wait_log(&self, words: &str) -> String {
        until(|| {
            let text = fs::read_to_string(&self.log).unwrap();
            if text.contains(words) { Ok(text) } else { Err(format!("no {words:?} in {text}")) }
        })
    }

    /// Waits until the agent follows who opens files in the directory: until its fanotify group has
    /// a mark on the inode (proc_pid_fdinfo(5)).
    fn wait_followed(&self, directory: &Path) {
        let inode = format!("fanotify ino:{:x} ", fs::metadata(directory).unwrap().ino());
        let infos = PathBuf::from(format!("/proc/{}/fdinfo", self.child.id()));
        until(|| {
            let all = fs::read_dir(&infos).unwrap().flatten();
            let mut texts = all.filter_map(|info| fs::read_to_string(info.path()).ok());
            let found = texts.any(|text| text.contains(&inode));
            found.then_some(()).ok_or_else(|| {
                let log = fs::read_to_string(&self.log).unwrap();
                format!("{} is not followed: {log}", directory.display())
            })
        });
    }

    fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }
}

fn until<T>(mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match attempt() {
            Ok(found) => return found,
            Err(why) => assert!(started.elapsed() < PATIENCE, "{why}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The pod's volume, mounted as kubelet does it, with a token.
fn mounted(node: &Node, pod: &str) -> Volume {
    let volume = Volume::at(node.volume(pod).directory());
    node.pod(pod, &token(&payload(pod, 10, 600)));
    volume
}

/// The directory of the current generation.
fn current(volume: &Volume) -> PathBuf {
    volume.path.join(fs::read_link(volume.path.join("..data")).unwrap())
}

/// A reader on the node and one in a container: their opens wait in the queue of an agent that is
/// stopped.
fn read_everywhere(volume: &Volume, container: &mut Container, at: &Path) {
    for _ in 0..20 {
        container.run(&format!("cat {}/token > /dev/null", at.display()));
        let token = volume.path.join("token");
        assert!(Command::new("cat").arg(token).output().unwrap().status.success());
    }
}

#[test]
fn a_stopped_agent_does_not_keep_a_volume_mounted() {
    if !can_run() {
        return;
    }
    let mut volume = None;
    let agent = Agent::bare(|node| volume = Some(mounted(node, "cart-0")));
    let volume = volume.unwrap();
    let uid = "0b9c2d84-6a9b-4c7e-8f21-3f5a6b7c8d10";
    let (mut container, at) = Container::start(uid, 16, &volume.path);
    agent.wait_followed(&current(&volume));
    agent.signal(Signal::SIGSTOP);
    read_everywhere(&volume, &mut container, &at);
    assert_eq!(volume.unmount(), Ok(()), "at once, while the agent is stopped");
    agent.signal(Signal::SIGCONT);
    let second = mounted(&agent.node, "cart-0");
    agent.wait_followed(&current(&second));
    assert_eq!(second.unmount_beside_agent(), Ok(()), "while it runs");
}

/// Why the agent does not use events with descriptors: the test above would fail.
#[test]
fn unread_events_with_descriptors_keep_a_volume_mounted() {
    if !can_run() {
        return;
    }
    let volume = Volume::new();
    volume.rotate(1, "token");
    let (mut container, at) =
        Container::start("0b9c2d84-6a9b-4c7e-8f21-3f5a6b7c8d11", 17, &volume.path);
    let flags = InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK;
    let group = Fanotify::init(flags, EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC).unwrap();
    let of_all = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_FILESYSTEM;
    group.mark(of_all, MaskFlags::FAN_OPEN, AT_FDCWD, Some(&volume.path)).unwrap();
    read_everywhere(&volume, &mut container, &at);
    assert_eq!(volume.unmount(), Err(Errno::EBUSY));
    while group.read_events().is_ok() {} // drops their descriptors
    assert_eq!(volume.unmount(), Ok(()));
}

/// Fails when the agent keeps the capability: whoever takes over the process that parses tokens
/// must not have it.
#[test]
fn the_agent_uses_the_capability_and_gives_it_up() {
    if !can_run() {
        return;
    }
    let mut volume = None;
    let agent = Agent::bare(|node| volume = Some(mounted(node, "cart-0")));
    let volume = volume.unwrap();
    agent.wait_followed(&current(&volume));
    let log = agent.wait_log("privilege level");
    assert!(log.contains("fanotify"), "{log}");
    let tasks = fs::read_dir(format!("/proc/{}/task", agent.child.id())).unwrap();
    let mut threads = 0;
    for task in tasks.flatten() {
        let status = fs::read_to_string(task.path().join("status")).unwrap();
        let sets = status.lines().filter(|line| {
            ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"].iter().any(|set| line.starts_with(set))
        });
        for set in sets {
            let bits = set.split_whitespace().nth(1).unwrap();
            assert_eq!(u64::from_str_radix(bits, 16).unwrap() & SYS_ADMIN, 0, "{set}");
        }
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        threads += 1;
    }
    assert!(threads > 2, "{threads}");
    assert_eq!(volume.unmount_beside_agent(), Ok(()));
}

/// In a user namespace the process has the capability, and the kernel refuses.
#[test]
fn where_the_kernel_refuses_the_agent_reports_it_and_continues() {
    if !can_run() {
        return;
    }
    let mut launcher = Command::new("unshare");
    launcher.args(["--user", "--map-root-user", env!("CARGO_BIN_EXE_tokenwatch")]);
    let agent =
        Agent::start(launcher, |node| node.pod("cart-0", &token(&payload("cart-0", 10, 600))));
    let log = agent.wait_log("source works");
    assert!(log.contains("fanotify: the agent has CAP_SYS_ADMIN, and the kernel refuses"), "{log}");
    assert!(!log.contains("source=fanotify"), "{log}");
}

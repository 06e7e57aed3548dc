//! Volumes as kubelet creates them: each a tmpfs of its own, mounted over an existing directory.
//! Every test runs alone in its own mount namespace, so it leaves nothing behind and sees no mounts
//! of others.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/alone.rs"]
mod alone;
#[allow(dead_code)]
#[path = "support/node.rs"]
mod node;
#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/running.rs"]
mod running;
#[allow(dead_code)]
#[path = "support/volumes.rs"]
mod volumes;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use alone::{is_alone, unmount, unshared};
use nix::mount::{MsFlags, mount};
use nix::sys::signal::Signal;
use running::Running;
use serde_json::Value;
use tokenwatch_core::base::time::Wall;
use tokenwatch_lab::kubelet::{Payload, remove_pod};
use volumes::{Node, PATIENCE, by_events, start, until};

fn mount_tmpfs(directory: &Path) {
    let small = Some("size=64k"); // kubelet sets no limit; a test may
    mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), small).unwrap();
}

/// What kubelet does before it writes a volume: it creates the directory and mounts the tmpfs over
/// it. Its marker elsewhere is written by `Node::write`.
fn set_up(node: &Node, pod: &str, between: impl FnOnce(&Path)) {
    let directory = node.volume(pod).directory().to_owned();
    fs::create_dir_all(&directory).unwrap();
    between(&directory);
    mount_tmpfs(&directory);
}

/// What kubelet does when a pod ends.
fn tear_down(node: &Node, pod: &str) {
    unmount(node.volume(pod).directory());
    remove_pod(&node.root(), pod).unwrap();
}

/// Waits until this process watches the directory: until its inode is in the list of an inotify
/// instance of the process (proc_pid_fdinfo(5)).
fn wait_watched(directory: &Path) {
    let inode = format!(" ino:{:x} ", fs::metadata(directory).unwrap().ino());
    let started = Instant::now();
    let is_watched = || {
        let infos = fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
        infos
            .filter_map(|info| fs::read_to_string(info.path()).ok())
            .any(|info| info.starts_with("pos:") && info.contains(&inode))
    };
    while !is_watched() {
        assert!(started.elapsed() < PATIENCE, "{} is not watched", directory.display());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// More pods than a full node has: kubelet's default limit is 110.
const MANY: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn among_hundreds_of_pods_a_new_one_and_a_rotation_are_noticed_by_events() {
    if !is_alone("among_hundreds_of_pods_a_new_one_and_a_rotation_are_noticed_by_events") {
        return;
    }
    let node = Node::new();
    for pod in 0..MANY {
        set_up(&node, &format!("p{pod}"), |_| ());
        node.write(&format!("p{pod}"), 1);
    }
    let mut seen = start(by_events(&node)); // a rescan is an hour away
    until(&mut seen, "source files well").await;
    let mut longest = Duration::ZERO;
    for round in 0..20 {
        let pod = format!("new{round}");
        // In turn: the mount comes before the watch on the directory below is set, or certainly
        // after.
        set_up(&node, &pod, |directory| {
            if round % 2 == 0 {
                wait_watched(directory);
            }
        });
        let started = Instant::now();
        node.write(&pod, 2);
        until(&mut seen, &format!("{pod}/vol/token token 2")).await;
        longest = longest.max(started.elapsed());
        node.write(&pod, 3);
        until(&mut seen, &format!("{pod}/vol/token token 3")).await;
        tear_down(&node, &pod);
        until(&mut seen, &format!("{pod}/vol/token gone")).await;
    }
    println!("a new pod among {MANY} was known after {longest:?} at most");
    for pod in (0..MANY).step_by(7) {
        node.write(&format!("p{pod}"), 2);
        until(&mut seen, &format!("p{pod}/vol/token token 2")).await;
    }
}

/// Kubelet gives up and starts again (pkg/volume/projected SetUpAt). The new tmpfs often has the
/// device number of the old one.
#[tokio::test(flavor = "multi_thread")]
async fn a_remounted_volume_is_followed() {
    if !is_alone("a_remounted_volume_is_followed") {
        return;
    }
    let node = Node::new();
    set_up(&node, "p", |_| ());
    node.write("p", 1);
    let mut seen = start(by_events(&node));
    until(&mut seen, "source files well").await;
    for generation in 2..20 {
        unmount(node.volume("p").directory());
        mount_tmpfs(node.volume("p").directory());
        node.write("p", generation * 2);
        until(&mut seen, &format!("p/vol/token token {}", generation * 2)).await;
        node.write("p", generation * 2 + 1);
        until(&mut seen, &format!("p/vol/token token {}", generation * 2 + 1)).await;
    }
}

/// The built agent in its own mount namespace. Stopped even if the test fails.
struct Agent {
    child: Running,
    folder: tempfile::TempDir,
}

impl Agent {
    fn start(node: &Node, propagation: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = unshared(propagation);
        command.args([
            env!("CARGO_BIN_EXE_tokenwatch"),
            "run",
            "--clock-discover",
            "false",
            "--files-rescan",
            "10h",
            "--root",
        ]);
        command.arg(node.root());
        command
            .stdout(File::create(folder.path().join("out")).unwrap())
            .stderr(File::create(folder.path().join("log")).unwrap());
        let agent = Self { child: Running::start(node::bare(&mut command)), folder };
        agent.wait("log", "source works source=files");
        agent
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap()
    }

    fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }

    /// Stops it while it has nothing open below this directory: stopped, it could not close that,
    /// and nobody could unmount the directory.
    fn stop_outside(&self, directory: &Path) {
        let open = format!("/proc/{}/fd", self.child.id());
        let is_inside = || {
            let files = fs::read_dir(&open).unwrap().filter_map(Result::ok);
            let mut paths = files.filter_map(|file| fs::read_link(file.path()).ok());
            paths.any(|path| path.starts_with(directory))
        };
        for _ in 0..1_000 {
            self.signal(Signal::SIGSTOP);
            if !is_inside() {
                return;
            }
            self.signal(Signal::SIGCONT);
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the agent never leaves {}", directory.display());
    }

    fn wait(&self, file: &str, words: &str) {
        self.wait_times(file, words, 1);
    }

    fn wait_times(&self, file: &str, words: &str, times: usize) {
        let started = Instant::now();
        while self.text(file).matches(words).count() < times {
            assert!(
                started.elapsed() < Duration::from_secs(40),
                "no {words:?} in {file} {times} times:\n{}",
                self.text(file)
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Runs a command in the agent's mount namespace.
    fn inside(&self, command: &str) {
        let status = Command::new("nsenter")
            .args(["--mount", "--target", &self.child.id().to_string(), "sh", "-c", command])
            .status();
        assert!(status.unwrap().success(), "{command}");
    }
}

/// `check` in a mount namespace that is created now; it starts to scan on request.
struct Check(Child);

impl Check {
    fn prepared(node: &Node, propagation: &str) -> Self {
        let mut command = unshared(propagation);
        command.args([
            "sh",
            "-c",
            r#"echo ready; read -r go; exec "$@""#,
            "sh",
            env!("CARGO_BIN_EXE_tokenwatch"),
            "check",
            "--output",
            "json",
        ]);
        command.args(["--clock-discover", "false", "--root"]).arg(node.root());
        let mut child =
            node::bare(&mut command).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = [0; 6]; // "ready\n": the namespace is there
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        Self(child)
    }

    fn go(&mut self) {
        self.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }

    fn blind(self) -> Option<Value> {
        let output = self.0.wait_with_output().unwrap();
        let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
        checked["findings"]
            .as_array()
            .unwrap()
            .iter()
            .find(|finding| finding["code"] == "agent.blind")
            .cloned()
    }
}

/// A token for 600 s, issued `age` seconds ago. An expired one is a finding as soon as it is read.
fn write_token(node: &Node, pod: &str, age: i64) {
    let token = node::token(&node::payload(pod, age, 600));
    let payload = Payload::from([(PathBuf::from("token"), token.into_bytes())]);
    node.volume(pod).write(&payload, Wall::from_secs(1_800_000_000 - age)).unwrap();
}

/// Kubelet's side: a shared mount, like the node's root, and pods that start after the agents.
#[test]
fn without_propagation_the_agent_reports_that_it_is_blind() {
    if !is_alone("without_propagation_the_agent_reports_that_it_is_blind") {
        return;
    }
    let node = Node::new();
    mount_tmpfs(&node.root());
    mount(None::<&str>, &node.root(), None::<&str>, MsFlags::MS_SHARED, None::<&str>).unwrap();
    fs::create_dir(node.root().join("pods")).unwrap();
    let seeing = Agent::start(&node, "slave");
    let blind = Agent::start(&node, "private");
    let mut check = Check::prepared(&node, "private");

    set_up(&node, "hidden", |_| ());
    let started = Instant::now();
    write_token(&node, "hidden", 4000);
    set_up(&node, "leaving", |_| ());
    write_token(&node, "leaving", 100);
    fs::create_dir_all(node.volume("empty").directory()).unwrap();
    fs::create_dir_all(node.volume("begun").directory()).unwrap();
    mount_tmpfs(node.volume("begun").directory()); // and no marker yet
    check.go();

    seeing.wait("out", "token.expired");
    println!("with propagation a token is known after {:?}", started.elapsed());
    blind.wait("out", "agent.blind");
    println!("without it the agent reports that it is blind after {:?}", started.elapsed());
    let printed = blind.text("out");
    assert!(
        printed.contains("2 projected volumes of 2 pods on") && printed.contains("HostToContainer"),
        "{printed}"
    );
    let found = check.blind().expect("agent.blind");
    assert_eq!(
        found["evidence"]["first"],
        serde_json::json!(["hidden/vol", "leaving/vol"]),
        "{found:#}"
    );

    let directory = node.volume("hidden").directory().display().to_string();
    blind.inside(&format!("mount -t tmpfs tmpfs '{directory}' && echo seen > '{directory}/now'"));
    remove_pod(&node.root(), "empty").unwrap();
    for pod in ["begun", "leaving"] {
        tear_down(&node, pod);
    }
    // Nothing is hidden any more, and the next rescan is hours away.
    blind.wait("out", "cleared  agent.blind");
    assert!(!seeing.text("out").contains("agent.blind"), "{}", seeing.text("out"));
    assert!(!blind.text("out").contains("token.expired"));
}

/// A stopped agent misses that a volume is unmounted and mounted again, and the new tmpfs has
/// device and inode of the old one.
#[test]
fn a_volume_remounted_while_events_are_lost_is_followed() {
    if !is_alone("a_volume_remounted_while_events_are_lost_is_followed") {
        return;
    }
    let node = Node::new();
    mount_tmpfs(&node.root());
    mount(None::<&str>, &node.root(), None::<&str>, MsFlags::MS_SHARED, None::<&str>).unwrap();
    set_up(&node, "p", |_| ());
    write_token(&node, "p", 400);
    let numbers = || {
        fs::metadata(node.volume("p").directory()).map(|found| (found.dev(), found.ino())).unwrap()
    };
    let before = numbers();
    let agent = Agent::start(&node, "slave");
    agent.stop_outside(node.volume("p").directory());
    node::overflow(&node.root());
    for _ in 0..100 {
        unmount(node.volume("p").directory());
        mount_tmpfs(node.volume("p").directory());
        if numbers() == before {
            break;
        }
        // A test that runs beside this one has taken the number, and gives it back at its end.
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(numbers(), before, "otherwise this test proves nothing");
    write_token(&node, "p", 300);
    agent.signal(Signal::SIGCONT);
    agent.wait_times("out", "replaced", 1);
    agent.wait("log", "fs.inotify.max_queued_events");
    agent.wait_times("log", "source works source=watch", 2);
    write_token(&node, "p", 200);
    agent.wait_times("out", "replaced", 2);
}

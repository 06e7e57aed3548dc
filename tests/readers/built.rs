//! The built agent: confined, limited, and switched off.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sys::signal::Signal;
use tokenwatch_core::base::time::Wall;
use tokenwatch_lab::kubelet::{Payload, Volume};
use tokenwatch_lab::root::Root;

use crate::bed::{SOON, SPACED, is_alone, mount_tmpfs};
use crate::node;
use crate::running::Running;
use crate::volumes::{Node, PATIENCE};

/// The built agent, and what it records.
struct Agent {
    child: Running,
    folder: tempfile::TempDir,
}

impl Agent {
    /// Started by `launcher`, with further arguments.
    fn start(launcher: &[&str], arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(launcher[0]);
        command.args(&launcher[1..]).args([env!("CARGO_BIN_EXE_tokenwatch"), "run"]);
        command.args(["--clock-discover", "false", "--files-rescan", "1s", "--record"]);
        command.arg(folder.path().join("recording")).args(arguments);
        command.stdout(File::create(folder.path().join("out")).unwrap());
        command.stderr(File::create(folder.path().join("log")).unwrap());
        Self { child: Running::start(node::bare(&mut command)), folder }
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap_or_default()
    }

    fn wait(&self, file: &str, words: &str, times: usize) {
        let started = Instant::now();
        while self.text(file).matches(words).count() < times {
            let log = self.text("log");
            assert!(
                started.elapsed() < PATIENCE,
                "no {words:?} in {file} {times} times:\n{}\n{log}",
                self.text(file)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }
}

/// A token that is valid now.
fn write_now(node: &Node, pod: &str, age: i64) {
    let token = node::token(&node::payload(pod, age, 600));
    let payload = Payload::from([(PathBuf::from("token"), token.into_bytes())]);
    node.volume(pod).write(&payload, Wall::from_secs(1_800_000_000 - age)).unwrap();
}

/// As in its container: the host's mounts come through propagation, Landlock confines it, and of
/// all capabilities it has the one that reads files.
#[test]
fn the_confined_agent_sees_opens_and_held_generations() {
    if !is_alone(concat!(module_path!(), "::the_confined_agent_sees_opens_and_held_generations")) {
        return;
    }
    let host = tempfile::tempdir().unwrap();
    mount_tmpfs(host.path());
    mount(None::<&str>, host.path(), None::<&str>, MsFlags::MS_SHARED, None::<&str>).unwrap();
    let node = Node::at(&host.path().join("var/lib/kubelet"));
    mount_tmpfs(node.volume("p").directory());
    write_now(&node, "p", 400);
    let launcher = [
        "unshare",
        "--mount",
        "--propagation",
        "slave",
        "setpriv",
        "--inh-caps=-all,+dac_read_search",
        "--bounding-set=-all,+dac_read_search",
    ];
    let agent = Agent::start(&launcher, &["--host-prefix", host.path().to_str().unwrap()]);
    agent.wait("recording", "\"watching\"", 1);
    let token = node.volume("p").directory().join("token");
    fs::read(&token).unwrap();
    agent.wait("recording", "\"opened\"", 1);
    let kept = File::open(&token).unwrap();
    write_now(&node, "p", 300);
    agent.wait("recording", "\"held\":{\"generations\":1}", 1);
    agent.wait("recording", "\"watching\"", 2);
    drop(kept);
    agent.wait("recording", "\"held\":{\"generations\":0}", 2);
    mount_tmpfs(node.volume("later").directory());
    write_now(&node, "later", 200);
    agent.wait("recording", "\"watching\"", 3);
    fs::read(node.volume("later").directory().join("token")).unwrap();
    agent.wait("recording", "\"opened\"", 2);
    std::thread::sleep(SPACED * 2); // some rescans
    assert!(
        agent.text("recording").matches("\"opened\"").count() <= 3,
        "{}",
        agent.text("recording")
    );
    assert!(agent.text("log").contains("source works source=readers"), "{}", agent.text("log"));
    let confined = agent.text("log");
    assert!(!confined.contains("not confined"), "{confined}");
    agent.signal(Signal::SIGTERM);
}

#[test]
fn the_setting_turns_it_off() {
    let node = Node::new();
    write_now(&node, "p", 400);
    let root = node.root();
    let agent = Agent::start(&["env"], &["--readers", "false", "--root", root.to_str().unwrap()]);
    agent.wait("log", "source works source=files", 1);
    fs::read(node.volume("p").directory().join("token")).unwrap();
    std::thread::sleep(SOON);
    assert!(!agent.text("recording").contains("\"readers\""), "{}", agent.text("recording"));
    assert!(!agent.text("log").contains("source=readers"), "{}", agent.text("log"));
}

/// What an agent cannot see it reports as unseen, and sees it once the limit is raised.
#[test]
fn a_limit_of_watches_is_reported_for_each_volume() {
    let node = Node::new();
    for pod in 0..4 {
        write_now(&node, &format!("p{pod}"), 400);
    }
    let lower = r#"echo "$1" > "/proc/sys/user/$0" && shift && exec "$@""#;
    let launcher =
        ["unshare", "--user", "--map-root-user", "sh", "-c", lower, "max_inotify_watches", "14"];
    let root = node.root();
    let agent = Agent::start(&launcher, &["--root", root.to_str().unwrap()]);
    agent.wait("log", "fs.inotify.max_user_watches (sysctl); the agent cannot see who reads", 1);
    agent.wait("recording", "\"unseen\"", 1);
    let pid = agent.child.id().to_string();
    let raised = Command::new("nsenter")
        .args(["--target", &pid, "--user", "--preserve-credentials", "sh", "-c"])
        .arg("echo 1000 > /proc/sys/user/max_inotify_watches")
        .status();
    assert!(raised.unwrap().success());
    agent.wait("recording", "\"watching\"", 4);
    agent.wait("log", "source works source=readers", 2);
}

/// 600 tokens, each below seven directories of its own, need some 8,400 watches: more than all that
/// there are.
fn write_deep(volume: &Volume, tokens: usize) {
    let token = node::token(&node::payload("hog", 1, 600)).into_bytes();
    let path = |nth| PathBuf::from(format!("{nth}/b/c/d/e/f/g/token"));
    let payload: Payload = (0..tokens).map(|nth| (path(nth), token.clone())).collect();
    volume.write(&payload, Wall::from_secs(1_800_000_000)).unwrap();
}

/// The others stay followed, and so does what the pod has within its share.
#[test]
fn a_pod_with_thousands_of_directories_is_named_until_it_is_gone() {
    let node = Node::new();
    let hog = |name| Root::at(&node.root()).unwrap().volume("hog", name);
    write_deep(&hog("first"), 300);
    write_deep(&hog("second"), 300);
    for pod in ["a-pod", "z-pod"] {
        write_now(&node, pod, 1);
    }
    let root = node.root();
    let agent = Agent::start(&["env"], &["--root", root.to_str().unwrap()]);
    let named = "does not see whether and when anybody opens the tokens of 1 volume of pod UID hog";
    agent.wait("out", named, 1);
    agent.wait("recording", "\"watching\"", 3);
    for pod in ["a-pod", "z-pod"] {
        fs::read(node.volume(pod).directory().join("token")).unwrap();
    }
    agent.wait("recording", "\"opened\"", 2);
    assert_eq!(agent.text("recording").matches("\"unseen\"").count(), 1, "of one volume");
    agent.wait("log", "1 volume not watched, because of pods with more", 1);
    // At once, as kubelet unmounts a volume: a directory at a time may overflow the kernel's queue.
    fs::rename(root.join("pods/hog"), root.join("gone")).unwrap();
    agent.wait("out", "The agent sees all projected volumes on node", 1);
    agent.wait("log", "source works source=readers", 2);
    assert_eq!(agent.text("out").matches(named).count(), 1, "{}", agent.text("out"));
}

//! The kernel's own limits, really reached: in a user namespace they can be lowered for one process alone.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // a test says what is wrong by panicking

#[path = "support/node.rs"]
mod node;

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use node::{Node, payload, token};

/// Sets one limit of the namespace, then becomes the agent.
const LOWERED: &str = r#"echo "$1" > "/proc/sys/user/$0" && shift && exec "$@""#;

/// Stopped, whatever becomes of the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn may_make_user_namespaces() -> bool {
    let may = Command::new("unshare")
        .args(["--user", "--map-root-user", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !may {
        assert!(std::env::var_os("CI").is_none(), "CI has to run this: it needs `unshare --user`");
        eprintln!("SKIPPED: `unshare --user` is not allowed here, so the kernel's limits cannot be lowered");
    }
    may
}

fn wait_for(file: &Path, words: &str) {
    let started = Instant::now();
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if text.contains(words) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(40), "waited in vain for {words:?}, there is only:\n{text}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// With nothing to watch with, the agent says so, names the limit to raise, and still sees a rotation by looking again.
fn degrades(limit: &str, lowered_to: &str, sysctl: &str) {
    if !may_make_user_namespaces() {
        return;
    }
    let node = Node::new();
    node.pod("cart-0", &token(&payload("cart-0", 400, 600)));
    let (out, diary) = (node.root().join("out"), node.root().join("diary"));
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", LOWERED, limit, lowered_to, env!("CARGO_BIN_EXE_tokenwatch"), "run", "--root"]);
    command.arg(node.root()).args(["--clock-discover", "false"]).stdout(File::create(&out).unwrap()).stderr(File::create(&diary).unwrap());
    let mut agent = Agent(command.spawn().unwrap());
    wait_for(&diary, sysctl);
    wait_for(&diary, "source files works");
    node.file(
        "pods/uid-cart-0/volumes/kubernetes.io~projected/kube-api-access/..2026_01_01_00_00_00.1/token",
        &token(&payload("cart-0", 1, 600)),
    );
    wait_for(&out, "replaced");
    kill(Pid::from_raw(i32::try_from(agent.0.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(agent.0.wait().unwrap().success());
}

#[test]
fn without_inotify_watches_it_looks_more_often_and_says_so() {
    degrades("max_inotify_watches", "1", "fs.inotify.max_user_watches");
}

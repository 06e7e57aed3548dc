//! The kernel's own limits, really reached, and a network that swallows everything: in a user namespace both can be had for one process alone.

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

/// A network of its own whose name server is a hole, then the agent.
const NO_DNS: &str = r#"ip link add black type veth peer name hole && ip link set hole up && ip addr add 10.9.9.1/24 dev black \
    && ip link set black up && ip neigh add 10.9.9.53 lladdr 02:00:00:00:00:53 dev black \
    && mount --bind "$0" /etc/resolv.conf && exec "$@""#;

fn may_make_networks() -> bool {
    let may = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--mount", "ip", "link", "add", "black", "type", "veth", "peer", "name", "hole"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !may {
        assert!(std::env::var_os("CI").is_none(), "CI has to run this: it needs `unshare --user --net` and `ip` (iproute2)");
        eprintln!("SKIPPED: a network of its own cannot be made here, so nothing shows that a hanging resolver does not hold up the end");
    }
    may
}

/// The resolver of the C library goes on for a minute in a thread that nobody can stop.
#[test]
fn a_resolver_that_hangs_does_not_hold_up_the_end() {
    if !may_make_networks() {
        return;
    }
    let node = Node::new();
    node.pod("cart-0", &token(&payload("cart-0", 700, 600)));
    let resolv = node.file("resolv.conf", "nameserver 10.9.9.53\noptions timeout:30 attempts:2\n");
    let diary = node.root().join("diary");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", NO_DNS]).arg(resolv);
    command
        .args([env!("CARGO_BIN_EXE_tokenwatch"), "run", "--clock-discover", "false", "--shutdown-timeout", "1s", "--root"])
        .arg(node.root());
    command.args(["--otlp-endpoint", "http://collector.example:4318", "--otlp-timeout", "500ms"]);
    let mut agent = Agent(command.stdout(Stdio::null()).stderr(File::create(&diary).unwrap()).spawn().unwrap());
    wait_for(&diary, "alerts are not delivered");
    let asked = Instant::now();
    kill(Pid::from_raw(i32::try_from(agent.0.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(agent.0.wait().unwrap().success());
    assert!(asked.elapsed() < Duration::from_secs(10), "it took {:?} to stop", asked.elapsed());
    wait_for(&diary, "stopped with something left");
}

//! Limits of the kernel that are really reached, and a network that drops everything. A user
//! namespace provides both for one process alone, and a stopped process does not empty its queue.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

#[path = "support/node.rs"]
mod node;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use node::{Node, bare, payload, token};

/// Sets one limit of the namespace, then becomes the agent.
const LOWERED: &str = r#"echo "$1" > "/proc/sys/user/$0" && shift && exec "$@""#;
/// More than any of these tests needs.
const PLENTY: &str = "1000";
/// An interval in which no rescan of a healthy agent happens.
const NEVER: &str = "10h";
/// Far more than anything here takes: a degraded agent rescans every ten seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// The agent on a node of its own. Stopped even if the test fails.
struct Agent {
    child: Child,
    node: Node,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Agent {
    /// Started by `launcher`, with one existing pod.
    fn start(mut launcher: Command) -> Self {
        let node = Node::new();
        node.pod("cart-0", &token(&payload("cart-0", 400, 600)));
        launcher
            .args(["run", "--clock-discover", "false", "--files-rescan", NEVER, "--root"])
            .arg(node.root());
        launcher
            .stdout(File::create(node.root().join("out")).unwrap())
            .stderr(File::create(node.root().join("log")).unwrap());
        Self { child: bare(&mut launcher).spawn().unwrap(), node }
    }

    /// In a user namespace with a lowered limit.
    fn limited(limit: &str, to: &str) -> Self {
        let mut command = Command::new("unshare");
        command.args([
            "--user",
            "--map-root-user",
            "sh",
            "-c",
            LOWERED,
            limit,
            to,
            env!("CARGO_BIN_EXE_tokenwatch"),
        ]);
        Self::start(command)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Raises a limit of its namespace again, while it runs.
    fn raise(&self, limit: &str) {
        let pid = self.child.id().to_string();
        let write = format!("echo {PLENTY} > /proc/sys/user/{limit}");
        let status = Command::new("nsenter")
            .args(["--target", &pid, "--user", "--preserve-credentials", "sh", "-c", &write])
            .status();
        assert!(status.unwrap().success(), "{limit} could not be raised");
    }

    /// Writes another token into the pod's file, which causes no event.
    fn rewrite(&self, age: i64) {
        let file = self.node.volume("cart-0").directory().join("token");
        std::fs::write(file, token(&payload("cart-0", age, 600))).unwrap();
    }

    /// Swaps the generation, as kubelet does.
    fn rotate(&self, age: i64) {
        self.node.pod("cart-0", &token(&payload("cart-0", age, 600)));
    }

    fn log(&self) -> PathBuf {
        self.node.root().join("log")
    }

    /// Waits until the log contains `words` for the `times`th time.
    fn wait_log(&self, words: &str, times: usize) {
        wait_for(&self.log(), words, times);
    }

    fn wait_replaced(&self, times: usize) {
        wait_for(&self.node.root().join("out"), "replaced", times);
    }

    fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        assert!(self.child.wait().unwrap().success());
    }
}

fn wait_for(file: &Path, words: &str, times: usize) {
    let started = Instant::now();
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if text.matches(words).count() >= times {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "no {words:?} ({times} times) in:\n{text}");
        std::thread::sleep(Duration::from_millis(50));
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
        eprintln!(
            "SKIPPED: `unshare --user` is not allowed here, so the kernel's limits cannot be \
             lowered"
        );
    }
    may
}

/// With a limit that is too low for its watches, the agent reports that, names the limit to raise,
/// notices a rotation by rescans, and watches again once the limit is raised.
fn degrades_and_recovers(limit: &str, lowered_to: &str, sysctl: &str) {
    if !may_make_user_namespaces() {
        return;
    }
    let agent = Agent::limited(limit, lowered_to);
    agent.wait_log(sysctl, 1);
    agent.wait_log("until then the agent rescans everything every 10.0s", 1);
    agent.wait_log("source works source=files", 1);
    agent.rewrite(300);
    agent.wait_replaced(1);
    agent.raise(limit);
    agent.wait_log("source works source=watch", 1);
    agent.rotate(200); // the next rescan is hours away: only an event can report it
    agent.wait_replaced(2);
    agent.stop();
}

#[test]
fn without_inotify_watches_it_rescans_more_often_and_reports_that() {
    degrades_and_recovers("max_inotify_watches", "1", "fs.inotify.max_user_watches");
}

#[test]
fn without_an_inotify_instance_it_rescans_more_often_and_reports_that() {
    degrades_and_recovers("max_inotify_instances", "0", "fs.inotify.max_user_instances");
}

#[test]
fn after_an_overflow_of_the_queue_everything_is_rescanned() {
    let agent = Agent::start(Command::new(env!("CARGO_BIN_EXE_tokenwatch")));
    agent.wait_log("source works source=watch", 1);
    agent.signal(Signal::SIGSTOP);
    node::overflow(agent.node.root());
    agent.rotate(300); // its own event is lost
    agent.signal(Signal::SIGCONT);
    agent.wait_log("queue of inotify events overflowed (sysctl fs.inotify.max_queued_events)", 1);
    agent.wait_replaced(1);
    agent.wait_log("source works source=watch", 2);
    agent.rotate(200);
    agent.wait_replaced(2);
    agent.stop();
}

/// A network of its own whose name server drops everything, then the agent.
const NO_DNS: &str = r#"ip link add black type veth peer name hole && ip link set hole up \
    && ip addr add 10.9.9.1/24 dev black && ip link set black up \
    && ip neigh add 10.9.9.53 lladdr 02:00:00:00:00:53 dev black \
    && mount --bind "$0" /etc/resolv.conf && exec "$@""#;

fn may_make_networks() -> bool {
    let may = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--net",
            "--mount",
            "ip",
            "link",
            "add",
            "black",
            "type",
            "veth",
            "peer",
            "name",
            "hole",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !may {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI has to run this: it needs `unshare --user --net` and `ip` (iproute2)"
        );
        eprintln!(
            "SKIPPED: a network of its own cannot be made here, so nothing shows that a hanging \
             resolver does not hold up the end"
        );
    }
    may
}

/// The resolver of the C library goes on for a minute, in a thread that cannot be stopped.
#[test]
fn a_resolver_that_hangs_does_not_delay_the_exit() {
    if !may_make_networks() {
        return;
    }
    let node = Node::new();
    node.pod("cart-0", &token(&payload("cart-0", 700, 600)));
    let resolv = node.file("resolv.conf", "nameserver 10.9.9.53\noptions timeout:30 attempts:2\n");
    let log = node.root().join("log");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", NO_DNS]).arg(resolv);
    command
        .args([
            env!("CARGO_BIN_EXE_tokenwatch"),
            "run",
            "--clock-discover",
            "false",
            "--shutdown-timeout",
            "1s",
            "--root",
        ])
        .arg(node.root());
    command.args(["--otlp-endpoint", "http://collector.example:4318", "--otlp-timeout", "500ms"]);
    command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
    let mut agent = Agent { child: bare(&mut command).spawn().unwrap(), node };
    agent.wait_log("alerts are not delivered", 1);
    let signalled = Instant::now();
    agent.signal(Signal::SIGTERM);
    assert!(agent.child.wait().unwrap().success());
    assert!(
        signalled.elapsed() < Duration::from_secs(10),
        "it took {:?} to stop",
        signalled.elapsed()
    );
    agent.wait_log("stopped; some telemetry was not sent", 1);
}

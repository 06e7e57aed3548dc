//! The memory of the agent at the limit of the chart, while one pod has far more tokens than it
//! needs: the agent is not killed, and the alerts of all other pods are delivered. The kernel
//! counts in a cgroup of the test.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/alone.rs"]
mod alone;
#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/collector.rs"]
mod collector;
#[allow(dead_code)]
#[path = "support/node.rs"]
mod node;
#[path = "support/running.rs"]
mod running;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use collector::Collector;
use nix::sys::signal::Signal;
use node::{Node, bare, now, payload, token};
use running::Running;
use serde_json::{Value, json};
use tokenwatch_core::base::time::Wall;
use tokenwatch_lab::kubelet::Payload;

const KIB: u64 = 1_024;
/// The most that the agent may keep of its own, of the 48 MiB that the chart allows. The rest is
/// for its code, its page tables and what the kernel keeps for its connections. A debug build and
/// a release build need the same, some 25 MiB.
const MOST_OWN: u64 = 36 << 10;
/// A debug build on a busy machine takes seconds for what takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(50);
/// Longer than the agent takes from one request to the next, with a collector that needs 1 s.
const QUIET: Duration = Duration::from_secs(3);
/// Pods with one expired token each.
const OTHERS: usize = 20;

/// The limit of the chart, in bytes.
fn limit() -> u64 {
    let values = include_str!("../deploy/chart/values.yaml");
    let limit = values.split("\n  limits:\n    memory: ").nth(1).expect("a limit of memory");
    let mebibytes: u64 = limit.split("Mi\n").next().unwrap().parse().expect("a size in Mi");
    mebibytes << 20
}

/// A memory cgroup of the test: of version 2 where it has the controller, else of version 1.
struct Cgroup {
    folder: PathBuf,
    is_unified: bool,
}

impl Cgroup {
    /// None, with a message, where there cannot be one.
    fn limited_to(bytes: u64) -> Option<Self> {
        let limited = Self::unified(bytes).or_else(|_| Self::of_version_1(bytes));
        let needs = "root, and a cgroup file system with the memory controller";
        alone::can_run(limited.is_ok(), needs).then(|| limited.unwrap())
    }

    fn unified(bytes: u64) -> std::io::Result<Self> {
        let root = mount_of("cgroup2", "")?;
        fs::write(root.join("cgroup.subtree_control"), "+memory")?;
        let this = Self::folder_in(&root, true)?;
        this.set("memory.max", bytes)?;
        this.set("memory.swap.max", 0).or_else(absent)?;
        Ok(this)
    }

    fn of_version_1(bytes: u64) -> std::io::Result<Self> {
        let this = Self::folder_in(&mount_of("cgroup", ",memory")?, false)?;
        this.set("memory.limit_in_bytes", bytes)?;
        this.set("memory.memsw.limit_in_bytes", bytes).or_else(absent)?;
        Ok(this)
    }

    fn folder_in(root: &Path, is_unified: bool) -> std::io::Result<Self> {
        let folder = root.join(format!("tokenwatch-memory-{}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(Self { folder, is_unified })
    }

    fn set(&self, file: &str, value: u64) -> std::io::Result<()> {
        fs::write(self.folder.join(file), value.to_string())
    }

    /// How many processes the kernel killed for want of memory.
    fn killed(&self) -> u64 {
        let file = if self.is_unified { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.folder.join(file)).unwrap();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.expect("a number of kills").parse().unwrap()
    }

    /// The most that was in use at one moment, in KiB. It includes files that the kernel can drop.
    fn most(&self) -> u64 {
        let file = if self.is_unified { "memory.peak" } else { "memory.max_usage_in_bytes" };
        let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        text.trim().parse::<u64>().unwrap_or_default() / KIB
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let started = Instant::now();
        while fs::remove_dir(&self.folder).is_err() && started.elapsed() < QUIET {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A kernel without swap has no file for its limit.
fn absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Where a file system of this type, with this among its options, is mounted.
fn mount_of(kind: &str, option: &str) -> std::io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let is_it = |line: &&str| {
        let of = line.split(" - ").nth(1).unwrap_or_default();
        of.starts_with(&format!("{kind} ")) && of.contains(option)
    };
    let found = mounts.lines().find(is_it).and_then(|line| line.split(' ').nth(4));
    found.map(PathBuf::from).ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

/// An agent within the limit, and the most memory of its own that it had, in KiB.
struct Agent {
    running: Running,
    most: Arc<AtomicU64>,
}

impl Agent {
    fn start(cgroup: &Cgroup, node: &Node, state: &Path, collector: &Collector) -> Self {
        let binary = std::env::var_os("TEST_BINARY")
            .unwrap_or_else(|| env!("CARGO_BIN_EXE_tokenwatch").into());
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo 0 > "$0/cgroup.procs" && exec "$@""#]);
        command.arg(&cgroup.folder).arg(binary);
        command.args(["run", "--node", "node-1", "--clock-discover", "false", "--root"]);
        command.arg(node.root()).arg("--state-dir").arg(state);
        let command = bare(&mut command).env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
        let log = File::options().append(true).create(true).open(state.join("log")).unwrap();
        command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let running = Running::start(command);
        let most = Arc::<AtomicU64>::default();
        let (pid, noted) = (running.id(), Arc::clone(&most));
        std::thread::spawn(move || {
            while let Some(own) = own_memory(pid) {
                noted.fetch_max(own, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self { running, most }
    }

    /// Ends it as kubelet does; the most memory of its own that it had.
    fn end(mut self) -> u64 {
        self.running.signal(Signal::SIGTERM);
        assert!(self.running.wait().unwrap().success());
        self.most.load(Ordering::Relaxed)
    }
}

/// Memory that no file holds too, in KiB; none once the process has ended.
fn own_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().split(' ').next()?.parse().ok()
}

/// One pod more, with these tokens in one volume.
fn write(node: &Node, pod: &str, tokens: impl Iterator<Item = String>) {
    let named = tokens.enumerate().map(|(nth, token)| (format!("t{nth:04}").into(), token.into()));
    let payload: Payload = named.collect();
    node.volume(pod).write(&payload, Wall::from_secs(now())).unwrap();
}

/// The pods whose alerts must not be lost.
fn others(node: &Node) -> BTreeSet<String> {
    let names = (0..OTHERS).map(|nth| format!("other-{nth}"));
    names
        .map(|name| {
            node.pod(&name, &token(&payload(&name, 3_900, 3_600)));
            format!("uid-{name}")
        })
        .collect()
}

/// The claims of an expired token of 9 kB: as large as audiences make it.
fn large(pod: &str) -> Value {
    let mut claims = payload(pod, 3_900, 3_600);
    let audiences = (0..26).map(|nth| format!("{nth:02}-{}", "a".repeat(240)));
    claims["aud"] = json!(audiences.collect::<Vec<_>>());
    claims
}

/// One case after the other: each takes the memory of the whole machine into account.
static TURN: Mutex<()> = Mutex::new(());

struct Case {
    node: Node,
    others: BTreeSet<String>,
    collector: Collector,
    state: tempfile::TempDir,
}

impl Case {
    /// With a collector that takes so long for each request.
    fn new(takes: Duration) -> Self {
        let node = Node::new();
        // kubelet works: no finding about it explains the others.
        node.pod("fresh", &token(&payload("fresh", 60, 3_600)));
        let others = others(&node);
        let state = tempfile::tempdir().unwrap();
        Self { node, others, collector: Collector::start((200, takes)), state }
    }

    /// The other pods of which a finding was delivered.
    fn delivered(&self) -> BTreeSet<String> {
        let accepted = self.collector.accepted().into_iter();
        let expired = accepted.filter(|alert| alert.raises("token.expired"));
        expired.map(|alert| alert.pod).filter(|pod| self.others.contains(pod)).collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.state.path().join("log")).unwrap()
    }

    /// Waits until the alerts of all other pods are delivered, and until no more arrive.
    fn settle(&self, agent: &mut Agent) {
        let (started, mut count, mut since) = (Instant::now(), 0, Instant::now());
        while since.elapsed() < QUIET || self.delivered() != self.others {
            let now = self.collector.accepted().len();
            if now != count {
                (count, since) = (now, Instant::now());
            }
            let ended = agent.running.try_wait();
            assert!(matches!(ended, Ok(None)), "it has ended: {ended:?}\n{}", self.log());
            let left = || self.others.difference(&self.delivered()).cloned().collect::<Vec<_>>();
            assert!(started.elapsed() < PATIENCE, "not delivered: {:?}\n{}", left(), self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts the agent so many times, one after the other.
    fn run(&self, starts: usize) {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(cgroup) = Cgroup::limited_to(limit()) else { return };
        for _ in 0..starts {
            let started = Instant::now();
            let mut agent = Agent::start(&cgroup, &self.node, self.state.path(), &self.collector);
            self.settle(&mut agent);
            let own = agent.end();
            println!("own memory {own} KiB, all {} KiB, {:?}", cgroup.most(), started.elapsed());
            assert!(own < MOST_OWN, "{own} KiB of its own");
        }
        assert_eq!(cgroup.killed(), 0, "{}", self.log());
        self.assert_named();
    }

    /// What the agent gave up has a name.
    fn assert_named(&self) {
        let accepted = self.collector.accepted();
        let blind: Vec<_> = accepted.iter().filter(|alert| alert.raises("agent.blind")).collect();
        assert!(blind.iter().any(|alert| alert.text.contains("hog")), "{blind:?}");
        for alert in &accepted {
            assert!(!alert.text.contains(node::SIGNATURE), "{alert:?}");
        }
    }
}

fn one_pod_with_a_thousand_large_tokens(takes: Duration) {
    let case = Case::new(takes);
    let one = token(&large("hog"));
    assert!((8_500..9_500).contains(&one.len()), "{}", one.len());
    write(&case.node, "hog", std::iter::repeat_n(one, 1_020));
    case.run(3);
}

#[test]
fn a_thousand_large_tokens_of_one_pod_stay_within_the_limit() {
    one_pod_with_a_thousand_large_tokens(Duration::ZERO);
}

#[test]
fn so_they_do_with_a_slow_collector() {
    one_pod_with_a_thousand_large_tokens(Duration::from_secs(1));
}

#[test]
fn sixty_thousand_tokens_stay_within_the_limit() {
    let case = Case::new(Duration::ZERO);
    for nth in 0..60 {
        let pod = format!("hog-{nth}");
        // They are good: in a debug build, a finding for each and its end take minutes.
        let of = |file| token(&with_id(payload(&pod, 60, 3_600), file));
        write(&case.node, &pod, (0..1_000).map(of));
    }
    case.run(1);
}

/// Each its own token, as kubelet would get them.
fn with_id(mut claims: Value, nth: usize) -> Value {
    claims["jti"] = json!(format!("id-{nth}"));
    claims
}

//! The cost of the release binary: memory after an hour's worth of rotations, and processor time
//! when nothing happens.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsStr;
use std::fmt::{Display, Formatter};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokenwatch::clocks;
use tokenwatch_core::base::time::Delta;
use tokenwatch_lab::received::Received;
use tokenwatch_lab::receiver::Receiver;
use tokenwatch_lab::time_server::TimeServer;

use crate::node::{Layout, Node};
use crate::table::{Figure, megabytes};

/// A usual number of pods on large nodes; kubelet's default limit is 110.
const PODS: usize = 250;
/// A default token is rotated every 48 minutes, 1.25 times an hour.
const ROTATIONS_PER_HOUR: usize = PODS * 5 / 4;
/// An hour at Prometheus's usual interval of 15 s.
const SCRAPES: usize = 240;
/// The agent collects spans for 5 s before it sends them. After twice that time it is idle.
const QUIET: Duration = Duration::from_secs(10);
const GOAL_BYTES: u64 = 10_000_000;
const GOAL_PERCENT: f64 = 0.05;
/// A thread that ran for less is not listed.
const NEGLIGIBLE: Duration = Duration::from_micros(50);

/// What is measured, and for how long.
pub struct Setting<'a> {
    pub agent: &'a Path,
    pub node_exporter: Option<&'a Path>,
    pub idle: Duration,
    /// Hours' worth of rotations.
    pub hours: usize,
    /// From one rotation to the next: faster than on a real node, but slow enough that the agent
    /// sees each one separately.
    pub every: Duration,
}

pub fn figures(setting: &Setting<'_>) -> Result<Vec<Figure>, Box<dyn Error>> {
    let runtime = tokio::runtime::Runtime::new()?;
    let node = Node::new(PODS, Layout::ApiAccess)?;
    let (receiver, mut received) = runtime.block_on(Receiver::start())?;
    let time = TimeServer::start((Ipv4Addr::LOCALHOST, 0), || clocks::now().wall)?;
    let exported = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&exported);
    runtime.spawn(async move {
        while let Some(item) = received.recv().await {
            let is_root = matches!(item, Received::Span(span) if span.name == "token.generation");
            count.fetch_add(usize::from(is_root), Ordering::Relaxed);
        }
    });
    let agent = start_agent(setting.agent, &node, &receiver, &time)?;
    let peer = setting.node_exporter.map(NodeExporter::start).transpose()?;
    std::thread::sleep(QUIET);
    let mut figures = vec![Figure::new(
        format!("Memory of the agent at {PODS} pods, at start"),
        agent.memory()?.shown(),
    )];
    for hour in 1..=setting.hours {
        rotate(&node, setting.every, peer.as_ref().filter(|_| hour == 1))?;
        std::thread::sleep(QUIET);
        let due = hour * ROTATIONS_PER_HOUR;
        if exported.load(Ordering::Relaxed) < due {
            return Err(format!(
                "only {} of {due} rotations arrived",
                exported.load(Ordering::Relaxed)
            )
            .into());
        }
        figures.extend(
            (hour == 1 || hour == setting.hours)
                .then(|| agent.memory())
                .transpose()?
                .map(|memory| after(due, &memory)),
        );
    }
    if let Some(peer) = &peer {
        let name = format!("Memory of prometheus-node-exporter after {SCRAPES} scrapes");
        figures.push(Figure::new(name, peer.process.memory()?.shown()));
    }
    figures.push(idle(&agent, setting.idle)?);
    Ok(figures)
}

fn after(rotations: usize, memory: &MemoryUse) -> Figure {
    let name = format!("Memory of the agent after {rotations} rotations, exported");
    Figure::new(name, memory.shown()).at_most("10 MB", memory.resident <= GOAL_BYTES)
}

fn start_agent(
    binary: &Path,
    node: &Node,
    receiver: &Receiver,
    time: &TimeServer,
) -> Result<Process, Box<dyn Error>> {
    let mut command = Command::new(binary);
    command
        .args(["run", "--log-level", "warn", "--node", "worker-1"])
        .arg("--root")
        .arg(node.root());
    command.args([
        "--http",
        "false",
        "--clock-server",
        &time.address().to_string(),
        "--otlp-endpoint",
        &receiver.endpoint(),
        "--otlp-protocol",
        "grpc",
    ]);
    Process::start(command.env_clear())
}

/// Rotates as often as in an hour.
fn rotate(node: &Node, every: Duration, peer: Option<&NodeExporter>) -> Result<(), Box<dyn Error>> {
    for rotation in 0..ROTATIONS_PER_HOUR {
        node.write(rotation % PODS, Delta::ZERO)?;
        if let Some(peer) = peer.filter(|_| rotation < SCRAPES) {
            peer.scrape()?;
        }
        std::thread::sleep(every);
    }
    Ok(())
}

fn idle(agent: &Process, lasting: Duration) -> Result<Figure, Box<dyn Error>> {
    let before = agent.processor_time()?;
    std::thread::sleep(lasting);
    let spent = agent.processor_time()?.since(&before);
    let percent = spent.total().as_secs_f64() / lasting.as_secs_f64() * 100.0;
    let name = format!("Idle processor time at {PODS} pods, over {} s", lasting.as_secs());
    Ok(Figure::new(name, format!("{percent:.3} % of a core ({spent})"))
        .at_most(format!("{GOAL_PERCENT} %"), percent <= GOAL_PERCENT))
}

/// Processor time by the thread's name. Threads with the same name do the same kind of work.
pub struct ProcessorTime(BTreeMap<String, Duration>);

impl ProcessorTime {
    pub fn since(&self, before: &Self) -> Self {
        let spent = |(name, time): (&String, &Duration)| {
            (name.clone(), time.saturating_sub(before.0.get(name).copied().unwrap_or_default()))
        };
        Self(self.0.iter().map(spent).collect())
    }

    pub fn total(&self) -> Duration {
        self.0.values().sum()
    }
}

/// `41.3 ms: files 30.1, tokio-rt-worker 11.2`, the busiest first.
impl Display for ProcessorTime {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let mut parts: Vec<_> = self.0.iter().filter(|(_, time)| **time > NEGLIGIBLE).collect();
        parts.sort_by_key(|(_, time)| Reverse(**time));
        let parts: Vec<_> =
            parts.into_iter().map(|(name, time)| format!("{name} {:.1}", millis(*time))).collect();
        write!(f, "{:.1} ms: {}", millis(self.total()), parts.join(", "))
    }
}

/// A child process that ends with the measurement.
pub struct Process {
    child: Child,
    /// Of the process that is measured: the child, or one that it started.
    pid: u32,
}

impl Process {
    pub fn start(command: &mut Command) -> Result<Self, Box<dyn Error>> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.map_err(|error| format!("cannot start {command:?}: {error}"))?;
        Ok(Self { pid: child.id(), child })
    }

    /// Starts an agent, perhaps by a program that starts it as a child. The process with this name
    /// is measured.
    pub fn start_agent(command: &mut Command, name: &OsStr) -> Result<Self, Box<dyn Error>> {
        let mut started = Self::start(command)?;
        for _ in 0..100 {
            std::thread::sleep(Duration::from_millis(50));
            if OsStr::new(started.proc("comm")?.trim()) == name {
                return Ok(started);
            }
            let children = started.proc(&format!("task/{}/children", started.pid))?;
            if let Some(child) = children.split(' ').next().filter(|child| !child.is_empty()) {
                started.pid = child.parse()?;
            }
        }
        Err(format!("{command:?} has not started the agent").into())
    }

    fn proc(&self, file: &str) -> Result<String, Box<dyn Error>> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).map_err(|error| format!("{path}: {error}").into())
    }

    pub fn memory(&self) -> Result<MemoryUse, Box<dyn Error>> {
        let status = self.proc("status")?;
        let bytes = |key: &str| {
            kilobytes(&status, key)
                .map(|kilobytes| kilobytes * 1024)
                .ok_or_else(|| format!("no {key}"))
        };
        Ok(MemoryUse {
            resident: bytes("VmRSS:")?,
            anonymous: bytes("RssAnon:")?,
            file: bytes("RssFile:")?,
            peak: bytes("VmHWM:")?,
        })
    }

    /// The time that its threads ran, by the scheduler's own count in nanoseconds: one tick of
    /// `stat` is a third of the goal. A thread that has ended is missing; the agent's threads do
    /// not end.
    pub fn processor_time(&self) -> Result<ProcessorTime, Box<dyn Error>> {
        let mut times = BTreeMap::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let folder = thread?.path();
            let (name, counts) = (
                fs::read_to_string(folder.join("comm"))?,
                fs::read_to_string(folder.join("schedstat"))?,
            );
            let ran =
                counts.split(' ').next().unwrap_or_default().parse().map(Duration::from_nanos)?;
            *times.entry(name.trim_end().to_owned()).or_default() += ran;
        }
        Ok(ProcessorTime(times))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

fn kilobytes(status: &str, key: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(key))?.trim().strip_suffix(" kB")?.parse().ok()
}

/// Bytes, from /proc/PID/status.
pub struct MemoryUse {
    pub resident: u64,
    anonymous: u64,
    file: u64,
    peak: u64,
}

impl MemoryUse {
    /// Memory that no other process could share.
    pub fn own(&self) -> u64 {
        self.anonymous
    }

    pub fn shown(&self) -> String {
        let [resident, anonymous, file, peak] =
            [self.resident, self.anonymous, self.file, self.peak].map(megabytes);
        format!("{resident} (own {anonymous}, of files {file}, peak {peak})")
    }
}

pub struct NodeExporter {
    pub process: Process,
    address: SocketAddr,
}

impl NodeExporter {
    pub fn start(binary: &Path) -> Result<Self, Box<dyn Error>> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new(binary);
        command
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stderr(Stdio::null());
        Ok(Self { process: Process::start(&mut command)?, address })
    }

    pub fn scrape(&self) -> Result<(), Box<dyn Error>> {
        let mut connection = TcpStream::connect(self.address)?;
        connection.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        answer
            .contains("node_cpu_seconds_total")
            .then_some(())
            .ok_or_else(|| "node exporter returned no metrics".into())
    }
}

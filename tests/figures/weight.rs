//! What the release binary weighs: memory after an hour's worth of rotations, and processor time when nothing happens.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokenwatch::demo::ntp_server::{Dial, NtpServer};
use tokenwatch::demo::received::Received;
use tokenwatch::demo::receiver::Receiver;
use tokenwatch_core::time::Delta;

use crate::node::{Layout, Node};
use crate::table::{Figure, megabytes};

/// kubelet's own recommendation of the most pods on a node is 110; this is what large nodes are run with.
const PODS: usize = 250;
/// A default token is rotated every 48 minutes, 1.25 times an hour.
const ROTATIONS: usize = PODS * 5 / 4;
/// Faster than in life, but slow enough that each is seen by itself.
const EVERY: Duration = Duration::from_millis(100);
/// An hour at Prometheus' usual 15 s.
const SCRAPES: usize = 240;
/// The agent gathers spans for 5 s before it sends them; twice that, and everything is quiet.
const QUIET: Duration = Duration::from_secs(10);
const GOAL_BYTES: u64 = 10_000_000;
const GOAL_PERCENT: f64 = 0.05;

/// What is compared, and for how long nothing happens.
pub struct Setting<'a> {
    pub agent: &'a Path,
    pub node_exporter: Option<&'a Path>,
    pub idle: Duration,
}

pub fn figures(setting: &Setting<'_>) -> Result<Vec<Figure>, Box<dyn Error>> {
    let runtime = tokio::runtime::Runtime::new()?;
    let node = Node::new(PODS, Layout::ApiAccess)?;
    let (receiver, mut received) = runtime.block_on(Receiver::start())?;
    let time = runtime.block_on(NtpServer::start(Dial::default()))?;
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    runtime.spawn(async move {
        while let Some(item) = received.recv().await {
            let is_root = matches!(item, Received::Span(span) if span.name == "token.generation");
            count.fetch_add(usize::from(is_root), Ordering::Relaxed);
        }
    });
    let agent = start_agent(setting.agent, &node, &receiver, &time)?;
    let peer = setting.node_exporter.map(NodeExporter::start).transpose()?;
    std::thread::sleep(QUIET);
    let before = agent.memory()?;
    rotate(&node, peer.as_ref())?;
    std::thread::sleep(QUIET);
    let after = agent.memory()?;
    if told.load(Ordering::Relaxed) < ROTATIONS {
        return Err(format!("only {} of {ROTATIONS} rotations arrived", told.load(Ordering::Relaxed)).into());
    }
    let mut figures = vec![
        Figure::new(format!("Memory of the agent at {PODS} pods, at start"), before.shown()),
        Figure::new(format!("Memory of the agent after {ROTATIONS} rotations, exported"), after.shown())
            .at_most("10 MB", after.resident <= GOAL_BYTES),
    ];
    if let Some(peer) = &peer {
        let name = format!("Memory of prometheus-node-exporter after {SCRAPES} scrapes");
        figures.push(Figure::new(name, peer.process.memory()?.shown()));
    }
    figures.push(idle(&agent, setting.idle)?);
    Ok(figures)
}

fn start_agent(binary: &Path, node: &Node, receiver: &Receiver, time: &NtpServer) -> Result<Process, Box<dyn Error>> {
    let mut command = Command::new(binary);
    command.args(["run", "--log-level", "warn", "--node", "worker-1"]).arg("--root").arg(node.root());
    command.args(["--clock-server", &time.address().to_string(), "--otlp-endpoint", &receiver.endpoint(), "--otlp-protocol", "grpc"]);
    Process::start(command.env_clear())
}

fn rotate(node: &Node, peer: Option<&NodeExporter>) -> Result<(), Box<dyn Error>> {
    for rotation in 0..ROTATIONS {
        node.write(rotation % PODS, Delta::ZERO)?;
        if let Some(peer) = peer.filter(|_| rotation < SCRAPES) {
            peer.scrape()?;
        }
        std::thread::sleep(EVERY);
    }
    Ok(())
}

fn idle(agent: &Process, lasting: Duration) -> Result<Figure, Box<dyn Error>> {
    let before = agent.processor_seconds()?;
    std::thread::sleep(lasting);
    let spent = agent.processor_seconds()? - before;
    let percent = spent / lasting.as_secs_f64() * 100.0;
    let name = format!("Idle processor time at {PODS} pods, over {} s", lasting.as_secs());
    let measured = format!("{percent:.3} % of a core ({:.0} ms)", spent * 1e3);
    Ok(Figure::new(name, measured).at_most(format!("{GOAL_PERCENT} %"), percent <= GOAL_PERCENT))
}

/// A child that does not outlive the measurement.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Result<Self, Box<dyn Error>> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Ok(Self(child.map_err(|error| format!("cannot start {command:?}: {error}"))?))
    }

    fn proc(&self, file: &str) -> Result<String, Box<dyn Error>> {
        let path = format!("/proc/{}/{file}", self.0.id());
        fs::read_to_string(&path).map_err(|error| format!("{path}: {error}").into())
    }

    fn memory(&self) -> Result<Memory, Box<dyn Error>> {
        let status = self.proc("status")?;
        let bytes = |key: &str| kilobytes(&status, key).map(|kilobytes| kilobytes * 1024).ok_or_else(|| format!("no {key}"));
        Ok(Memory { resident: bytes("VmRSS:")?, anonymous: bytes("RssAnon:")?, file: bytes("RssFile:")?, peak: bytes("VmHWM:")? })
    }

    /// User and system time of all its threads, dead ones too (proc_pid_stat(5), fields 14 and 15, in ticks of 10 ms).
    fn processor_seconds(&self) -> Result<f64, Box<dyn Error>> {
        let stat = self.proc("stat")?;
        let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let ticks = after_name.split(' ').skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
        Ok(ticks / 100.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}

fn kilobytes(status: &str, key: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(key))?.trim().strip_suffix(" kB")?.parse().ok()
}

/// Bytes, as /proc/PID/status tells them.
struct Memory {
    resident: u64,
    anonymous: u64,
    file: u64,
    peak: u64,
}

impl Memory {
    fn shown(&self) -> String {
        let [resident, anonymous, file, peak] = [self.resident, self.anonymous, self.file, self.peak].map(megabytes);
        format!("{resident} (own {anonymous}, of files {file}, peak {peak})")
    }
}

struct NodeExporter {
    process: Process,
    address: SocketAddr,
}

impl NodeExporter {
    fn start(binary: &Path) -> Result<Self, Box<dyn Error>> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new(binary);
        command.arg(format!("--web.listen-address={address}")).arg("--log.level=error").stderr(Stdio::null());
        Ok(Self { process: Process::start(&mut command)?, address })
    }

    fn scrape(&self) -> Result<(), Box<dyn Error>> {
        let mut connection = TcpStream::connect(self.address)?;
        connection.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        answer.contains("node_cpu_seconds_total").then_some(()).ok_or_else(|| "node exporter told nothing".into())
    }
}

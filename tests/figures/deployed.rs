//! What the agent costs as it is deployed: with a real API server behind it, its pages served, its
//! findings remembered, and what it sends counted.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokenwatch::clocks;
use tokenwatch_core::base::time::Delta;
use tokenwatch_lab::receiver::Receiver;
use tokenwatch_lab::time_server::TimeServer;

use crate::node::{Layout, Node};
use crate::table::Figure;
use crate::weight::{NodeExporter, Process};

/// kubelet's own recommendation of the most pods on a node, and what large nodes are run with.
const SIZES: [usize; 2] = [110, 250];
/// Rotations whose cost on the wire is told: enough that what is sent anyway does not matter.
const ROTATIONS: u32 = 100;
/// The first export of metrics and the first watch are over by then.
const SETTLED: Duration = Duration::from_secs(90);
/// Spans are gathered for 5 s and metrics for 60 s before they are sent.
const SENT: Duration = Duration::from_secs(70);
const GOAL_BYTES: u64 = 12_000_000;
const GOAL_PERCENT: f64 = 0.1;
const GOAL_RATE: f64 = 100.0;

/// Where the API server is that knows nodes called `worker-110` and `worker-250` with so many pods.
pub struct Setting<'a> {
    pub agent: &'a Path,
    pub kubeconfig: &'a Path,
    pub node_exporter: Option<&'a Path>,
    pub idle: Duration,
}

pub fn figures(setting: &Setting<'_>) -> Result<Vec<Figure>, Box<dyn Error>> {
    let peer = setting.node_exporter.map(NodeExporter::start).transpose()?;
    let mut figures = Vec::new();
    for pods in SIZES {
        figures.extend(at(setting, pods)?);
    }
    if let Some(peer) = &peer {
        for _ in 0..20 {
            peer.scrape()?;
        }
        figures.push(Figure::new(
            "Memory of prometheus-node-exporter beside it, after 20 scrapes",
            peer.process.memory()?.shown(),
        ));
    }
    Ok(figures)
}

fn at(setting: &Setting<'_>, pods: usize) -> Result<Vec<Figure>, Box<dyn Error>> {
    let runtime = tokio::runtime::Runtime::new()?;
    let node = Node::new(pods, Layout::ApiAccess)?;
    let (receiver, mut received) = runtime.block_on(Receiver::start())?;
    runtime.spawn(async move { while received.recv().await.is_some() {} });
    let time = TimeServer::start((Ipv4Addr::LOCALHOST, 0), || clocks::now().wall)?;
    let counted = Counted::start(receiver.endpoint().trim_start_matches("http://").parse()?)?;
    // All tokens were due when they were written: the agent would tell of late ones.
    for pod in 0..pods {
        node.write(pod, Delta::ZERO)?;
    }
    let agent = start(setting, &node, pods, &time, &counted)?;
    std::thread::sleep(SETTLED);
    let (before, sent) = (agent.processor_time()?, counted.bytes());
    std::thread::sleep(setting.idle);
    let spent = agent.processor_time()?.since(&before);
    let rate = (counted.bytes() - sent) as f64 / setting.idle.as_secs_f64();
    let percent = spent.total().as_secs_f64() / setting.idle.as_secs_f64() * 100.0;
    let each = per_rotation(&node, &counted, rate)?;
    let memory = agent.memory()?;
    let secs = setting.idle.as_secs();
    Ok(vec![
        Figure::new(format!("Deployed, {pods} pods: memory"), memory.shown())
            .at_most("12 MB", memory.resident <= GOAL_BYTES),
        Figure::new(
            format!("Deployed, {pods} pods: processor time when nothing happens, over {secs} s"),
            format!("{percent:.3} % of a core ({spent})"),
        )
        .at_most(format!("{GOAL_PERCENT} %"), percent <= GOAL_PERCENT),
        Figure::new(
            format!("Deployed, {pods} pods: sent to the collector when nothing happens"),
            format!("{rate:.0} B/s"),
        )
        .at_most(format!("{GOAL_RATE} B/s"), rate <= GOAL_RATE),
        Figure::new(
            format!("Deployed, {pods} pods: sent for each rotation, besides"),
            format!("{each:.0} B"),
        ),
    ])
}

fn start(
    setting: &Setting<'_>,
    node: &Node,
    pods: usize,
    time: &TimeServer,
    counted: &Counted,
) -> Result<Process, Box<dyn Error>> {
    let state: PathBuf = node.root().join("state");
    let mut command = Command::new(setting.agent);
    command.args([
        "run",
        "--log-level",
        "warn",
        "--node",
        &format!("worker-{pods}"),
        "--kubernetes",
        "true",
        "--http-port",
        &free_port()?.to_string(),
    ]);
    command
        .arg("--kubeconfig")
        .arg(setting.kubeconfig)
        .arg("--state-dir")
        .arg(state)
        .arg("--root")
        .arg(node.root());
    command.args([
        "--clock-server",
        &time.address().to_string(),
        "--otlp-protocol",
        "grpc",
        "--otlp-endpoint",
    ]);
    command.arg(format!("http://{}", counted.address));
    Process::start(command.env_clear())
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// What is sent for each, without what would have been sent anyway.
fn per_rotation(node: &Node, counted: &Counted, rate: f64) -> Result<f64, Box<dyn Error>> {
    let (before, each) = (counted.bytes(), Duration::from_millis(100));
    for rotation in 0..ROTATIONS {
        node.write(rotation as usize % node.len(), Delta::ZERO)?;
        std::thread::sleep(each);
    }
    std::thread::sleep(SENT);
    let lasted = SENT + each * ROTATIONS;
    Ok(((counted.bytes() - before) as f64 - rate * lasted.as_secs_f64()) / f64::from(ROTATIONS))
}

/// A relay before the receiver, which counts what comes in.
struct Counted {
    address: SocketAddr,
    bytes: Arc<AtomicU64>,
}

impl Counted {
    fn start(to: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, bytes) = (listener.local_addr()?, Arc::new(AtomicU64::new(0)));
        let count = Arc::clone(&bytes);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Ok(server) = TcpStream::connect(to) {
                    relay(client, server, &count);
                }
            }
        });
        Ok(Self { address, bytes })
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

fn relay(client: TcpStream, server: TcpStream, count: &Arc<AtomicU64>) {
    let (Ok(from_server), Ok(to_client)) = (server.try_clone(), client.try_clone()) else { return };
    let count = Arc::clone(count);
    std::thread::spawn(move || pass(client, server, &count));
    std::thread::spawn(move || pass(from_server, to_client, &AtomicU64::new(0)));
}

fn pass(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut buffer = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        count.fetch_add(length as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both); // the other side may have done so already
}

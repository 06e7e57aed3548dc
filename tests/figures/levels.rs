//! The cost of the agent at each privilege level, side by side: with 250 pods when nothing happens,
//! beside a client that opens its token 10,000 times a second, and for each reader that it knows.

use std::error::Error;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokenwatch::clocks;
use tokenwatch_core::base::time::Delta;
use tokenwatch_lab::time_server::TimeServer;

use crate::node::{Layout, Node};
use crate::openers::{BUSY, LONG, read_by_another};
use crate::table::{Figure, median, megabytes};
use crate::weight::Process;

const PODS: usize = 250;
/// By then the agent has read all tokens in its first scan, and again in the one a minute later:
/// files that were written a moment before are not trusted the first time.
const SETTLED: Duration = Duration::from_secs(75);
/// Reads of each token by one reader. They are further apart than reads that count as one.
const READS: u32 = 8;
const APART: &str = "2.1";
const ROUNDS: usize = 3;
const GOAL_BYTES: u64 = 12_000_000;
/// Of a core.
const GOAL_BUSY: f64 = 1.0;

/// How an agent is started at a level.
struct Start {
    name: &'static str,
    launcher: &'static [&'static str],
    options: &'static [&'static str],
}

/// Without the capability of the level `fanotify`.
const UNPRIVILEGED: &[&str] =
    &["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", "--"];
/// And in a PID namespace of its own.
const ALONE: &[&str] = &[
    "unshare",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "setpriv",
    "--bounding-set",
    "-sys_admin",
    "--inh-caps",
    "-sys_admin",
    "--",
];

const STARTS: [Start; 4] = [
    Start { name: "without reader evidence", launcher: ALONE, options: &["--readers", "false"] },
    Start { name: "files", launcher: ALONE, options: &[] },
    Start { name: "hostPID", launcher: UNPRIVILEGED, options: &[] },
    Start { name: "fanotify", launcher: &[], options: &[] },
];

/// What one of them costs.
struct Cost {
    memory: Resident,
    idle: Idle,
    /// Of a core.
    busy: f64,
    /// Microseconds of the client for each open.
    open: f64,
    /// Own memory for each reader, in bytes.
    reader: f64,
}

/// Resident memory over a minute, in bytes: what it is after the rescan in it, the agent gives back
/// in part.
struct Resident {
    mean: u64,
    most: u64,
}

struct Idle {
    percent: f64,
    threads: String,
}

pub fn figures(agent: &Path, idle: Duration) -> Result<Vec<Figure>, Box<dyn Error>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(vec![Figure::new("The agent at each privilege level", "NOT MEASURED: no root")]);
    }
    let mut figures = Vec::new();
    let mut without = None;
    for start in &STARTS {
        let cost = cost(agent, start, idle)?;
        figures.extend(shown(start.name, &cost, without));
        without = without.or(Some(cost.open));
    }
    Ok(figures)
}

fn shown(name: &str, cost: &Cost, without: Option<f64>) -> [Figure; 5] {
    let Cost { memory, idle, busy, open, reader } = cost;
    let of = |what: &str| format!("{name}, {PODS} pods: {what}");
    let ratio = without.map_or(String::new(), |without| format!("{:.2}x, ", open / without));
    [
        Figure::new(
            of("memory, mean and most of a minute"),
            format!("{}, {}", megabytes(memory.mean), megabytes(memory.most)),
        )
        .at_most("12 MB", memory.mean <= GOAL_BYTES),
        Figure::new(
            of("processor time when nothing happens"),
            format!("{:.3} % of a core ({})", idle.percent, idle.threads),
        ),
        Figure::new(of("the same at 10,000 opens/s"), format!("{busy:.2} % of a core"))
            .at_most(format!("{GOAL_BUSY} %"), *busy <= GOAL_BUSY),
        Figure::new(
            of("open, read and close by a client without a pause"),
            format!("{ratio}{open:.2} us"),
        ),
        Figure::new(
            of(&format!("own memory for each reader with {READS} reads")),
            format!("{:.1} kB", reader / 1e3),
        ),
    ]
}

fn cost(agent: &Path, start: &Start, lasting: Duration) -> Result<Cost, Box<dyn Error>> {
    let node = Node::new(PODS, Layout::ApiAccess)?;
    // The tokens that `Node::new` wrote were due: the agent would report them as late.
    for pod in 0..PODS {
        node.write(pod, Delta::ZERO)?;
    }
    let time = TimeServer::start((Ipv4Addr::LOCALHOST, 0), || clocks::now().wall)?;
    let process = run(agent, start, &node, &time)?;
    std::thread::sleep(SETTLED);
    let idle = idle(&process, lasting)?;
    let before = process.memory()?;
    read_all(&node.token_paths())?;
    let after = process.memory()?;
    let memory = resident(&process)?;
    let reader = (after.own() as f64 - before.own() as f64) / PODS as f64;
    let token = node.token_paths().remove(0);
    let busy = busy(&process, &token)?;
    let opens: Result<Vec<f64>, _> = (0..ROUNDS).map(|_| read_by_another(&token, 0)).collect();
    Ok(Cost { memory, idle, busy, open: median(opens?), reader })
}

fn run(
    agent: &Path,
    start: &Start,
    node: &Node,
    time: &TimeServer,
) -> Result<Process, Box<dyn Error>> {
    let line: Vec<&str> = start.launcher.iter().copied().chain(agent.to_str()).collect();
    let (program, arguments) = line.split_first().ok_or("the agent's path is no text")?;
    let mut command = Command::new(program);
    command.args(arguments).args(["run", "--log-level", "error", "--node", "worker-1"]);
    command.arg("--root").arg(node.root());
    command.args(["--http", "false", "--clock-server", &time.address().to_string()]);
    let name = agent.file_name().unwrap_or_default();
    Process::start_agent(command.args(start.options), name)
}

fn idle(process: &Process, lasting: Duration) -> Result<Idle, Box<dyn Error>> {
    let before = process.processor_time()?;
    std::thread::sleep(lasting);
    let spent = process.processor_time()?.since(&before);
    let percent = spent.total().as_secs_f64() / lasting.as_secs_f64() * 100.0;
    Ok(Idle { percent, threads: spent.to_string() })
}

fn resident(process: &Process) -> Result<Resident, Box<dyn Error>> {
    let mut samples = Vec::new();
    for _ in 0..60 {
        std::thread::sleep(Duration::from_secs(1));
        samples.push(process.memory()?.resident);
    }
    let mean = samples.iter().sum::<u64>() / samples.len() as u64;
    Ok(Resident { mean, most: samples.into_iter().max().unwrap_or(mean) })
}

/// A client reads every token now and then.
fn read_all(tokens: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let script = format!("for i in $(seq {READS}); do cat \"$@\" >/dev/null; sleep {APART}; done");
    let read = Command::new("sh").args(["-c", &script, "sh"]).args(tokens).status()?;
    read.success().then_some(()).ok_or_else(|| "the reader failed".into())
}

fn busy(process: &Process, token: &Path) -> Result<f64, Box<dyn Error>> {
    let before = process.processor_time()?;
    read_by_another(token, BUSY)?;
    let spent = process.processor_time()?.since(&before);
    Ok(spent.total().as_secs_f64() / LONG.as_secs_f64() * 100.0)
}

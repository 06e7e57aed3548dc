//! The time of a look at the processes of a full node, over a synthetic proc file system on tmpfs.
//! A real one costs more for each file (docs/performance.md), and as many files are read.

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use tokenwatch::clocks;
use tokenwatch::proc::ProcFs;
use tokenwatch::sources::readers::processes::{Looker, ProcessesConfig, Verifier};
use tokenwatch_core::base::time::{Delta, Reading};

use crate::table::{Figure, median};

const PODS: u32 = 250;
/// Of each pod: the one that holds its namespaces, and a container's.
const PROCESSES: u32 = 6;
const ROUNDS: usize = 9;
/// Between looks, as in the agent.
const INTERVAL: Delta = Delta::from_secs(30);

/// Milliseconds of one round.
struct Round {
    first: f64,
    quiet: f64,
    busy: f64,
}

pub fn figures() -> Result<Vec<Figure>, Box<dyn Error>> {
    let rounds = (0..ROUNDS).map(|_| round()).collect::<Result<Vec<_>, _>>()?;
    let of = |part: fn(&Round) -> f64| median(rounds.iter().map(part).collect());
    let figure = |what: &str, took: f64| {
        let share = took / (INTERVAL.as_nanos() as f64 / 1e6) * 100.0;
        let name = format!("Look at {} processes of {PODS} pods, {what}", PODS * PROCESSES);
        Figure::new(name, format!("{took:.1} ms ({share:.3} % of a core)"))
    };
    Ok(vec![
        figure("the first", of(|it| it.first)),
        figure("without a change", of(|it| it.quiet)),
        figure("each pod with a new connection", of(|it| it.busy)),
    ])
}

fn round() -> Result<Round, Box<dyn Error>> {
    let root = tempfile::tempdir_in("/dev/shm")?;
    let proc = Proc { root: root.path() };
    proc.fill()?;
    let server: SocketAddr = "10.96.0.1:443".parse()?;
    let config = ProcessesConfig {
        proc: ProcFs::at(root.path()),
        verifiers: vec![Verifier { ip: server.ip(), port: Some(server.port()) }],
        is_in_container: false,
    };
    let (mut looker, mut at) = (Looker::new(config), clocks::now());
    let first = look(&mut looker, &mut at, PODS)?;
    look(&mut looker, &mut at, 0)?; // reads each process a second time
    let quiet = look(&mut looker, &mut at, 0)?;
    proc.connect()?;
    let busy = look(&mut looker, &mut at, PODS)?;
    Ok(Round { first, quiet, busy })
}

/// A look one interval later. Fails unless that many pods are reported.
fn look(looker: &mut Looker, at: &mut Reading, expected: u32) -> Result<f64, Box<dyn Error>> {
    *at = Reading { wall: at.wall + INTERVAL, monotonic: at.monotonic + INTERVAL };
    let start = Instant::now();
    let seen = looker.look(*at, Delta::ZERO);
    let took = start.elapsed().as_secs_f64() * 1e3;
    let reported = seen.iter().filter(|seen| is_of_pod(seen)).count();
    let is_right = reported == expected as usize;
    is_right.then_some(took).ok_or_else(|| format!("a look reported {reported} pods").into())
}

fn is_of_pod(seen: &tokenwatch_core::world::observation::Observation) -> bool {
    matches!(seen, tokenwatch_core::world::observation::Observation::Containers(_))
}

/// The proc file system of a node.
struct Proc<'a> {
    root: &'a Path,
}

impl Proc<'_> {
    fn fill(&self) -> std::io::Result<()> {
        self.write("1/net/tcp", "")?;
        let volumes: String = (0..PODS).map(|pod| mount(&on_host(pod), pod)).collect();
        self.write("self/mountinfo", &volumes)?;
        (0..PODS).try_for_each(|pod| self.pod(pod))
    }

    fn pod(&self, pod: u32) -> std::io::Result<()> {
        for nth in 0..PROCESSES {
            let (pid, container) = (1_000 + pod * PROCESSES + nth, nth.min(1));
            let parent = if nth < 2 { 1 } else { pid - 1 };
            let (uid, id) = (uid(pod), format!("{:064x}", pod * 2 + container));
            let rest = "0 -1 0 0 0 0 0 0 0 0 0 0 0 20 0 1 0";
            let stat = format!("{pid} (cart) S {parent} 1 1 {rest} {} 0", 1_000 + nth);
            self.write(&format!("{pid}/stat"), &stat)?;
            self.write(&format!("{pid}/cgroup"), &format!("0::/kubepods/pod{uid}/{id}\n"))?;
            self.write(&format!("{pid}/mountinfo"), &mount("/run/token", pod))?;
        }
        self.network(pod, 1, "")
    }

    /// One connection more for each pod.
    fn connect(&self) -> std::io::Result<()> {
        let word = |octets: [u8; 4]| u32::from_ne_bytes(octets);
        let (local, remote) = (word([10, 244, 0, 7]), word([10, 96, 0, 1]));
        let line = format!("  0: {local:08X}:9C40 {remote:08X}:01BB 06 0 0 0 0 0 0 0\n");
        (0..PODS).try_for_each(|pod| self.network(pod, 2, &line))
    }

    fn network(&self, pod: u32, opened: u32, sockets: &str) -> std::io::Result<()> {
        let net = format!("{}/net", 1_000 + pod * PROCESSES);
        let counters = format!("Tcp: ActiveOpens CurrEstab\nTcp: {opened} 0\n");
        self.write(&format!("{net}/snmp"), &counters)?;
        self.write(&format!("{net}/tcp6"), "")?;
        self.write(&format!("{net}/tcp"), sockets)
    }

    fn write(&self, name: &str, text: &str) -> std::io::Result<()> {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().unwrap_or(self.root))?;
        fs::write(path, text)
    }
}

fn uid(pod: u32) -> String {
    format!("00000000-0000-0000-0000-{pod:012x}")
}

fn on_host(pod: u32) -> String {
    format!("/host/var/lib/kubelet/pods/{}/volumes/kubernetes.io~projected/tokens", uid(pod))
}

/// A line of a volume's mount: each pod has a device of its own.
fn mount(point: &str, pod: u32) -> String {
    format!("9 1 0:{} / {point} ro,relatime - tmpfs tmpfs rw\n", 100 + pod)
}

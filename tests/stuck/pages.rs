//! Pages that take long, and an agent that is stopped meanwhile, hold up no probe.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::agent::Agent;
use crate::hangs::{probe, until};
use crate::node::{Node, payload, token};
use crate::web::{free_port, get};

/// As many as four full nodes have, each with a finding: a page takes a while.
const TOKENS: usize = 1_000;
/// As many as the agent takes connections.
const READERS: usize = 30;
/// Time for the answer to a probe in a debug build. The chart gives kubelet's probes 5 s.
const SOON: Duration = Duration::from_secs(5);

/// Readers that ask for the page again and again, and the switch that ends them.
fn readers(at: SocketAddr) -> (Vec<JoinHandle<()>>, Arc<AtomicBool>) {
    let over = Arc::new(AtomicBool::new(false));
    let read = |_| {
        let over = Arc::clone(&over);
        // From addresses of their own, as browsers and scrapers of a cluster.
        spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let _ = get(at, "/", "");
            }
        })
    };
    ((0..READERS).map(read).collect(), over)
}

#[test]
fn neither_page_readers_nor_a_pause_of_the_agent_fail_a_probe() {
    let node = Node::new();
    for pod in 0..TOKENS {
        let pod = format!("pod-{pod}");
        node.pod(&pod, &token(&payload(&pod, 7_200, 3_600)));
    }
    let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), free_port());
    let mut command = Agent::command(&node);
    command.args(["--http-port", &at.port().to_string()]);
    let command = command.env("TOKENWATCH_HTTP_ENABLED", "true").stderr(Stdio::null());
    let agent = Agent::start(command);
    until("it is ready", || probe(at, "/readyz").0 == 200);
    let (all, over) = readers(at);
    sleep(Duration::from_secs(1));
    for path in ["/readyz", "/livez"].repeat(5) {
        // A new connection from this address takes the place of a reader's.
        let asked = Instant::now();
        assert_eq!(probe(at, path).0, 200, "{path} among {READERS} readers");
        assert!(asked.elapsed() < SOON, "{path}: {:?}", asked.elapsed());
        sleep(Duration::from_millis(200));
    }
    agent.signal(Signal::SIGSTOP);
    sleep(Duration::from_secs(5));
    over.store(true, Ordering::Relaxed);
    agent.signal(Signal::SIGCONT);
    let asked = Instant::now();
    assert_eq!(probe(at, "/readyz").0, 200, "after a pause");
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    for one in all {
        one.join().unwrap();
    }
    // 5 s of a pause that counted as work would be followed by a rest of 45 s.
    until("a page", || get(at, "/", "").is_some_and(|page| page.status == 200));
    assert!(asked.elapsed() < Duration::from_secs(40), "{:?}", asked.elapsed());
}

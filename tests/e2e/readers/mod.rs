//! Real clients of the API server, and who of them keeps a replaced token: every stale reader is
//! named before the API server's own 401, as far as the agent's privilege level can tell, and
//! nobody else is accused. Each level has a cluster of its own: what one agent reads would hide
//! from another that a client does not.

mod agent;
mod clients;
mod kubernetes;
mod scoreboard;
mod soak;
mod verdict;

use std::time::{Duration, Instant};

use self::agent::Agent;
use self::clients::CLIENTS;
use self::kubernetes::Pods;
use self::verdict::Verdict;
use crate::bed::{free_udp_port, ntp_server, script, workdir};
use crate::deployment::{Deployment, archive};
use crate::process::Process;
use crate::wait::secs;

/// The privilege levels of an agent, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Files,
    HostPid,
    Fanotify,
}

impl Level {
    pub const ALL: [Self; 3] = [Self::Files, Self::HostPid, Self::Fanotify];

    /// The value of the chart.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::HostPid => "hostPID",
            Self::Fanotify => "fanotify",
        }
    }

    /// The name of its cluster.
    fn cluster(self) -> &'static str {
        match self {
            Self::Files => "readers-files",
            Self::HostPid => "readers-hostpid",
            Self::Fanotify => "readers-fanotify",
        }
    }
}

/// Kubelet is restarted then, which renews all tokens. It renews them again 480 s later: after the
/// first ones have been refused, so that both rotations are seen in a quarter of an hour.
const FIRST_ROTATION: Duration = secs(200);
/// The API server refuses a token of 600 s a minute after its end. Its cache and the clients' own
/// interval add 15 s.
const REFUSED: Duration = secs(680);
/// Clients that keep a token for a minute have read the next one then.
const READ_AGAIN: Duration = secs(75);

#[test]
#[ignore = "takes a quarter of an hour and an image of clients: tests/clients"]
fn stale_readers_are_named_before_their_first_401_at_files() {
    stale_readers_are_named(Level::Files);
}

#[test]
#[ignore = "takes a quarter of an hour and an image of clients: tests/clients"]
fn stale_readers_are_named_before_their_first_401_at_host_pid() {
    stale_readers_are_named(Level::HostPid);
}

#[test]
#[ignore = "takes a quarter of an hour and an image of clients: tests/clients"]
fn stale_readers_are_named_before_their_first_401_at_fanotify() {
    stale_readers_are_named(Level::Fanotify);
}

#[test]
#[ignore = "takes a quarter of an hour and an image of clients: tests/clients"]
fn the_scoreboard_states_what_these_tests_expect() {
    scoreboard::page_is_up_to_date();
}

fn stale_readers_are_named(level: Level) {
    let scene = Scene::start(level.cluster(), level);
    let pods = Pods::start(&scene.deployment.cluster);
    let started = Instant::now();
    pods.look_into();
    wait_until(started + FIRST_ROTATION);
    let first = pods.generations();
    scene.deployment.cluster.component("kubelet", &[]);
    pods.wait_renewed(&first);
    pods.freeze();
    let second = pods.generations();
    wait_until(started + REFUSED);
    pods.wait_renewed(&second);
    std::thread::sleep(READ_AGAIN);
    every_client_is_judged_as_expected(&scene, &pods);
}

struct Scene {
    deployment: Deployment,
    agent: Agent,
    _time: Process,
}

impl Scene {
    fn start(name: &'static str, level: Level) -> Self {
        let deployment = Deployment::beside(name);
        deployment.import(&archive(&mut script("clients-image")));
        let (node, port) = (deployment.cluster.get("NODE_IP"), free_udp_port());
        let time = ntp_server(&workdir(name), port, None, Some(node));
        let agent = Agent::install(&deployment, level, port);
        Self { deployment, agent, _time: time }
    }
}

fn wait_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

fn every_client_is_judged_as_expected(scene: &Scene, pods: &Pods<'_>) {
    let seen = Agent::readers(&scene.deployment);
    let judge = |client| Verdict::about(client, pods, &scene.agent, &seen);
    let verdicts: Vec<Verdict> = CLIENTS.iter().map(judge).collect();
    for verdict in &verdicts {
        println!("[{}] {verdict}", scene.deployment.cluster.name());
    }
    let wrong: Vec<String> = verdicts.iter().flat_map(Verdict::differences).collect();
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

//! Real clients of the API server, and who of them keeps a replaced token: every stale reader is
//! named before the API server's own 401, as far as the agent's privilege level can tell, and
//! nobody else is accused. Each level has a cluster of its own: what one agent reads would hide
//! from another that a client does not.

mod agent;
mod clients;
mod kubernetes;
mod last_run;
mod scoreboard;
mod soak;
mod verdict;

use std::time::{Duration, Instant};

use serde_json::Value;

use self::agent::Agent;
use self::clients::CLIENTS;
use self::kubernetes::Pods;
use self::verdict::Verdict;
use crate::bed::{free_udp_port, ntp_server, script, workdir};
use tokenwatch_core::world::privileges::Level;

use crate::deployment::{Deployment, archive};
use crate::process::Process;
use crate::wait::secs;

/// The name of the cluster with an agent at this level.
fn cluster_of(level: Level) -> &'static str {
    match level {
        Level::Files => "readers-files",
        Level::HostPid => "readers-hostpid",
        Level::Fanotify => "readers-fanotify",
    }
}

/// A volume is unmounted on the node then: early enough that its old token is refused in the end.
const FREEZE: Duration = secs(200);
/// By then kubelet has renewed all tokens for the first time, and for the second: after 480 s it is
/// due, and a volume has its turn every 60 to 90 s.
const RENEWED: [Duration; 2] = [secs(620), secs(1_240)];
/// Clients that keep a token for a minute have read the next one then, and those that wait until
/// it is refused, 180 s after its replacement.
const READ_AGAIN: Duration = secs(210);

#[test]
#[ignore = "takes 20 minutes and an image of clients: tests/clients"]
fn stale_readers_are_named_before_their_first_401_at_files() {
    stale_readers_are_named(Level::Files);
}

#[test]
#[ignore = "takes 20 minutes and an image of clients: tests/clients"]
fn stale_readers_are_named_before_their_first_401_at_host_pid() {
    stale_readers_are_named(Level::HostPid);
}

#[test]
#[ignore = "takes 20 minutes and an image of clients: tests/clients"]
fn stale_readers_are_named_before_their_first_401_at_fanotify() {
    stale_readers_are_named(Level::Fanotify);
}

#[test]
fn the_scoreboard_states_what_these_tests_expect() {
    scoreboard::page_is_up_to_date();
}

fn stale_readers_are_named(level: Level) {
    let scene = Scene::start(cluster_of(level), level);
    let mut pods = Pods::start(&scene.deployment.cluster);
    let started = Instant::now();
    pods.look_into();
    wait_until(started + FREEZE);
    pods.freeze();
    let first = pods.generations();
    pods.wait_renewed(&first, started + RENEWED[0]);
    let second = pods.generations();
    pods.note_rotation(&second);
    wait_until(started + RENEWED[0]);
    let earlier = Agent::readers(&scene.deployment);
    pods.wait_renewed(&second, started + RENEWED[1]);
    std::thread::sleep(READ_AGAIN);
    every_client_is_judged_as_expected(&scene, &pods, &earlier);
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

fn every_client_is_judged_as_expected(scene: &Scene, pods: &Pods<'_>, earlier: &[Value]) {
    let seen = Agent::readers(&scene.deployment);
    let judge = |client| Verdict::about(client, pods, &scene.agent, (earlier, &seen));
    let verdicts: Vec<Verdict> = CLIENTS.iter().map(judge).collect();
    for verdict in &verdicts {
        println!("[{}] {verdict}", scene.deployment.cluster.name());
    }
    last_run::write(scene.agent.level(), &verdicts);
    let wrong: Vec<String> = verdicts.iter().flat_map(Verdict::differences).collect();
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

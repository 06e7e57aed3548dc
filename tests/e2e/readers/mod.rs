//! Real clients of the API server, and who of them keeps a replaced token: three agents, one at each
//! privilege level, watch the same pods. Every stale reader is named before the API server's own 401,
//! as far as its level can tell, and nobody else is accused.

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
}

/// Kubelet is restarted then, which renews all tokens. It renews them again 480 s later: after the
/// first ones have been refused, so that both rotations are seen in a quarter of an hour.
const FIRST_ROTATION: Duration = secs(200);
/// The API server refuses a token of 600 s a minute after its end. Its cache and the clients' own
/// interval add 15 s.
const REFUSED: Duration = secs(680);
/// The second rotation, and a client that reads once a minute.
const END: Duration = secs(790);

#[test]
fn stale_readers_are_named_before_their_first_401() {
    let scene = Scene::start();
    let started = Instant::now();
    let pods = Pods::start(&scene.deployment.cluster);
    pods.look_into();
    wait_until(started + FIRST_ROTATION);
    pods.rotate();
    pods.freeze();
    println!("[readers] waiting until the first tokens are refused");
    wait_until(started + REFUSED);
    pods.restart();
    wait_until(started + END);
    let verdicts = scene.verdicts(&pods);
    println!("{}", scoreboard::measured(&verdicts));
    every_client_is_judged_as_expected(&verdicts);
    scoreboard::page_is_up_to_date();
}

struct Scene {
    deployment: Deployment,
    agents: [Agent; 3],
    _time: Process,
}

impl Scene {
    fn start() -> Self {
        let deployment = Deployment::beside("readers");
        deployment.import(&archive(&mut script("clients-image")));
        let (node, port) = (deployment.cluster.get("NODE_IP").to_owned(), free_udp_port());
        let time = ntp_server(&workdir("readers"), port, None, Some(&node));
        let agents = Level::ALL.map(|level| Agent::install(&deployment, level, port));
        Self { deployment, agents, _time: time }
    }

    fn verdicts(&self, pods: &Pods<'_>) -> Vec<Verdict> {
        let seen = self.agents.each_ref().map(|agent| agent.readers(&self.deployment));
        let judge = |client| Verdict::about(client, pods, &self.agents, &seen);
        CLIENTS.iter().map(judge).collect()
    }
}

fn wait_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

fn every_client_is_judged_as_expected(verdicts: &[Verdict]) {
    let wrong: Vec<String> = verdicts.iter().flat_map(Verdict::differences).collect();
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

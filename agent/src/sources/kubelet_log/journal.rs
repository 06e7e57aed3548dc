//! The journal of systemd, for kubelet's messages in it.

use std::io;
use std::path::{Path, PathBuf};

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::kubelet::errors::ErrorSource;
use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

use super::gather::Gather;
use crate::clocks;
use crate::sources::health::Source;
use crate::sources::journal::{Begin, JournalConfig, JournalTail, Units};
use crate::sources::logs::follow::{self, About, Follower, Kind};
use crate::sources::logs::places::places;
use crate::sources::logs::tail::{KnownFiles, Turn};
use crate::sources::watchdog::Watchdog;

/// How far back the entries of a file are read that exists when the agent starts: kubelet has
/// repeated by then what it fails at, several times.
const BACKLOG: Delta = Delta::from_secs(900);
/// The units of systemd in which a kubelet runs, by distribution. Where it shares a process with
/// others, its lines are known by their text.
const UNITS: [&str; 11] = [
    "kubelet.service", // kubeadm, EKS, AKS, GKE, OpenShift, Bottlerocket
    "k3s.service",
    "k3s-agent.service",
    "rke2-server.service",
    "rke2-agent.service",
    "snap.microk8s.daemon-kubelite.service", // MicroK8s
    "snap.microk8s.daemon-kubelet.service",  // MicroK8s before 1.21
    "snap.k8s.kubelet.service",              // Canonical Kubernetes
    "k0sworker.service",
    "k0scontroller.service",
    "snap.kubelet.daemon.service",
];

/// Reports what the journal shows until the receiver is dropped.
pub async fn run(config: JournalConfig, watchdog: Watchdog, observations: Sender<Observation>) {
    follow::run(Journal::new(&config), config.files(), watchdog, observations).await;
}

/// What the journal shows now, and what does not work. It blocks.
pub(super) fn once(config: &JournalConfig) -> (Option<Observation>, Option<String>) {
    let files = config.files();
    let places = places(&files);
    let look = Follower::new(Journal::new(config), files).look(&places);
    (look.seen, look.trouble)
}

/// What the journal showed.
struct Journal {
    gather: Gather,
    units: Units,
}

impl Journal {
    fn new(config: &JournalConfig) -> Self {
        Self { gather: Gather::default(), units: Units::new(&UNITS, &config.units) }
    }
}

impl Kind for Journal {
    type File = JournalTail;

    const ABOUT: About = About {
        source: Source::Journal,
        name: "the journal",
        parts: "entries",
        needs_all: false,
        setting: "kubelet.journal",
        lacks: "all errors of kubelet",
        lacks_all: "why kubelet does not replace a token",
    };

    fn file(&self, path: PathBuf, is_old: bool) -> JournalTail {
        JournalTail::new(path, is_old, Begin::Before(BACKLOG))
    }

    fn is_open(file: &JournalTail) -> bool {
        file.is_open()
    }

    fn read(
        &mut self,
        file: &mut JournalTail,
        place: (&Path, &mut KnownFiles),
    ) -> io::Result<Turn> {
        let Self { gather, units } = self;
        let now = clocks::now().wall;
        let turn = file.read(place, units, now, |message, at| gather.message(message, at));
        self.gather.settle(ErrorSource::Journal, now);
        turn
    }

    fn report(&mut self) -> Option<Observation> {
        self.gather.report()
    }
}

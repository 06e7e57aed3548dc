//! The journal of systemd, for the messages of an API server that is part of a unit.

use std::io;
use std::path::{Path, PathBuf};

use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

use super::gather::Gather;
use crate::clocks;
use crate::sources::health::Source;
use crate::sources::journal::{Begin, JournalConfig, JournalTail, Units};
use crate::sources::logs::follow::{self, About, Kind};
use crate::sources::logs::tail::{KnownFiles, Turn};
use crate::sources::watchdog::Watchdog;

/// The units in which an API server runs, by distribution. Where it shares a process with kubelet
/// and others, its lines are known by their text.
pub(super) const UNITS: [&str; 5] = [
    "k3s.service",
    "snap.microk8s.daemon-kubelite.service",  // MicroK8s
    "snap.microk8s.daemon-apiserver.service", // MicroK8s before 1.21
    "snap.k8s.kube-apiserver.service",        // Canonical Kubernetes
    "kube-apiserver.service",                 // installed without a distribution
];

/// Reports what the journal shows until the receiver is dropped.
pub async fn run(config: JournalConfig, watchdog: Watchdog, observations: Sender<Observation>) {
    follow::run(ServerJournal::new(&config), config.files(), watchdog, observations).await;
}

/// What the journal showed.
pub(super) struct ServerJournal {
    gather: Gather,
    units: Units,
}

impl ServerJournal {
    pub(super) fn new(config: &JournalConfig) -> Self {
        Self { gather: Gather::default(), units: Units::new(&UNITS, &config.units) }
    }
}

impl Kind for ServerJournal {
    type File = JournalTail;

    const ABOUT: About = About {
        source: Source::ServerJournal,
        name: "the journal",
        parts: "entries",
        needs_all: false,
        setting: "apiserver.journal",
        lacks: "all refused requests",
        lacks_all: "which requests the API server refuses",
    };

    fn file(&self, path: PathBuf, is_old: bool) -> JournalTail {
        JournalTail::new(path, is_old, Begin::AtEnd)
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
        let (now, wall) = (clocks::timer(), clocks::now().wall);
        let take = |message: &[u8], at| {
            gather.line(message, now);
            gather.settle(Some(at));
        };
        file.read(place, units, wall, take)
    }

    fn report(&mut self) -> Option<Observation> {
        self.gather.report().map(Observation::ServerLog)
    }
}

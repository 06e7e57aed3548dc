//! Log files of kubelet.

use std::io;
use std::path::{Path, PathBuf};

use tokenwatch_core::world::kubelet::errors::ErrorSource;
use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

use super::gather::Gather;
use crate::clocks;
use crate::sources::health::Source;
use crate::sources::logs::LogFiles;
use crate::sources::logs::follow::{self, About, Follower, Kind};
use crate::sources::logs::places::places;
use crate::sources::logs::tail::{KnownFiles, Tail, Turn, buffer};
use crate::sources::watchdog::Watchdog;

/// Bytes that are read of a file that exists: at log level 2 of a busy node some ten minutes, in
/// which kubelet repeats each error several times.
const BACKLOG: u64 = 4 << 20;

/// Reports what the files show until the receiver is dropped.
pub async fn run(config: LogFiles, watchdog: Watchdog, observations: Sender<Observation>) {
    follow::run(Files::new(), config, watchdog, observations).await;
}

/// What the files show now, and what does not work. It blocks.
pub(super) fn once(config: LogFiles) -> (Option<Observation>, Option<String>) {
    let places = places(&config);
    let look = Follower::new(Files::new(), config).look(&places);
    (look.seen, look.trouble)
}

/// What the files showed.
pub(super) struct Files {
    gather: Gather,
    buffer: Box<[u8]>,
}

impl Files {
    pub(super) fn new() -> Self {
        Self { gather: Gather::default(), buffer: buffer() }
    }
}

impl Kind for Files {
    type File = Tail;

    const ABOUT: About = About {
        source: Source::KubeletLog,
        name: "kubelet's log",
        parts: "bytes",
        needs_all: true,
        setting: "kubelet.logs",
        lacks: "all errors of kubelet",
        lacks_all: "why kubelet does not replace a token",
    };

    fn file(&self, path: PathBuf, is_old: bool) -> Tail {
        Tail::with_backlog(path, is_old, BACKLOG)
    }

    fn is_open(file: &Tail) -> bool {
        file.is_open()
    }

    fn read(&mut self, file: &mut Tail, place: (&Path, &mut KnownFiles)) -> io::Result<Turn> {
        let gather = &mut self.gather;
        let turn = file.read(place, &mut self.buffer, |line| gather.line(line));
        let modified = file.modified();
        self.gather.settle(ErrorSource::Log, modified.unwrap_or_else(|| clocks::now().wall));
        turn
    }

    fn report(&mut self) -> Option<Observation> {
        self.gather.report()
    }
}

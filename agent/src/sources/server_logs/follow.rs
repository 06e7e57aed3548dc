//! How the logs of an API server are read.

use std::io;
use std::path::{Path, PathBuf};

use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

use super::gather::Gather;
use crate::clocks;
use crate::sources::health::Source;
use crate::sources::logs::LogFiles;
use crate::sources::logs::follow::{self, About, Kind};
use crate::sources::logs::tail::{KnownFiles, Tail, Turn, buffer};
use crate::sources::watchdog::Watchdog;

/// Reports what the logs show until the receiver is dropped.
pub async fn run(config: LogFiles, watchdog: Watchdog, observations: Sender<Observation>) {
    follow::run(ServerLogs::new(), config, watchdog, observations).await;
}

/// What the logs showed.
pub(super) struct ServerLogs {
    gather: Gather,
    buffer: Box<[u8]>,
}

impl ServerLogs {
    pub(super) fn new() -> Self {
        Self { gather: Gather::default(), buffer: buffer() }
    }
}

impl Kind for ServerLogs {
    type File = Tail;

    const ABOUT: About = About {
        source: Source::ServerLogs,
        name: "the logs of the API server",
        parts: "bytes",
        needs_all: true,
        setting: "apiserver.logs",
        lacks: "all refused requests",
        lacks_all: "which requests the API server refuses",
    };

    fn file(&self, path: PathBuf, is_old: bool) -> Tail {
        Tail::new(path, is_old)
    }

    fn is_open(file: &Tail) -> bool {
        file.is_open()
    }

    fn read(&mut self, file: &mut Tail, place: (&Path, &mut KnownFiles)) -> io::Result<Turn> {
        let (gather, now) = (&mut self.gather, clocks::timer());
        let take = |line: &[u8]| gather.line(line, now);
        let turn = file.read(place, &mut self.buffer, take)?;
        // Of a file that is read late, the last lines are older than the file.
        self.gather.settle(file.modified().filter(|_| !turn.has_more));
        Ok(turn)
    }

    fn report(&mut self) -> Option<Observation> {
        self.gather.report().map(Observation::ServerLog)
    }
}

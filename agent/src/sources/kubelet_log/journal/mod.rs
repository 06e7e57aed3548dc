//! The journal of systemd (systemd.io/JOURNAL_FILE_FORMAT), read without systemd's library.
//!
//! journald only appends to the objects of a file, and counts an entry after it is complete. So the
//! count is read first, and then each entry that is new. All of it is read with pread(2): a file
//! that is truncated while it is mapped would end the agent (SIGBUS).
//!
//! - `file`: the header, and objects of bounded size;
//! - `entries`: the entries of one file, one after the other;
//! - `units`: of which units the messages are kubelet's;
//! - `compressed`: texts that systemd has compressed;
//! - `tail`: what was appended to one file, through rotations.

mod compressed;
mod entries;
mod file;
mod tail;
#[cfg(test)]
mod tests;
mod units;

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
use crate::sources::logs::tail::{KnownFiles, Turn};
use tail::JournalTail;
use units::Units;

/// Where systemd keeps the journal of its units, with a disk and without one. journald renames a
/// file that is full, and writes another one under this name.
const FILES: [&str; 2] = ["/var/log/journal/*/system.journal", "/run/log/journal/*/system.journal"];

/// How to read the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// Mount point of the host's root file system.
    pub prefix: PathBuf,
    /// Units with kubelet's messages beside those that are known.
    pub units: Vec<String>,
}

impl JournalConfig {
    fn files(&self) -> LogFiles {
        LogFiles { prefix: self.prefix.clone(), paths: FILES.map(PathBuf::from).into() }
    }
}

/// Reports what the journal shows until the receiver is dropped.
pub async fn run(config: JournalConfig, observations: Sender<Observation>) {
    follow::run(Journal::new(&config), config.files(), observations).await;
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
        Self { gather: Gather::default(), units: Units::new(&config.units) }
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
        JournalTail::new(path, is_old)
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

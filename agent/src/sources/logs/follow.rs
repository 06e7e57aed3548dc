//! Follows the files: reads at each event, and looks for new ones at intervals too.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

use super::LogFiles;
use super::places::{Places, places};
use super::tail::{KnownFiles, Turn};
use super::watches::Watches;
use crate::sources::health::{Health, Source};
use crate::sources::send::send_all;
use crate::sources::watch_error::WatchError;
use crate::sources::watchdog::{Progress, Watchdog};

/// Time between two looks without an event: for links, whose target may change unseen, and where
/// inotify is not available.
const RESCAN: Duration = Duration::from_secs(30);

/// A kind of log: how its files are read, and what they show.
pub(in crate::sources) trait Kind: Send + 'static {
    /// One file, and how far it was read.
    type File: Send;

    /// What the agent calls it.
    const ABOUT: About;

    /// Of a file on the host. `is_old`: it existed before the agent.
    fn file(&self, path: PathBuf, is_old: bool) -> Self::File;

    /// Whether there is a file.
    fn is_open(file: &Self::File) -> bool;

    /// Reads what was appended. The error is that of opening or reading the file; a file that does
    /// not exist has none.
    fn read(&mut self, file: &mut Self::File, place: (&Path, &mut KnownFiles)) -> io::Result<Turn>;

    /// What was seen since the last report, if there is anything to report.
    fn report(&mut self) -> Option<Observation>;
}

/// What the agent calls a kind of log.
pub(in crate::sources) struct About {
    pub(in crate::sources) source: Source,
    /// `the logs of the API server`
    pub(in crate::sources) name: &'static str,
    /// What is skipped of a file where it is too much: `bytes`
    pub(in crate::sources) parts: &'static str,
    /// Whether each path of the settings needs a file; else one of them is enough.
    pub(in crate::sources) needs_all: bool,
    /// The setting that names the files.
    pub(in crate::sources) setting: &'static str,
    /// What the agent does not see where a file cannot be read …
    pub(in crate::sources) lacks: &'static str,
    /// … and where there is none.
    pub(in crate::sources) lacks_all: &'static str,
}

/// Reports what the logs show until the receiver is dropped.
pub(in crate::sources) async fn run<K: Kind>(
    kind: K,
    config: LogFiles,
    watchdog: Watchdog,
    observations: Sender<Observation>,
) {
    let progress = watchdog.follow(K::ABOUT.source);
    let mut health = Health::new(K::ABOUT.source);
    let mut following =
        Following { follower: Follower::new(kind, config), watches: Watches::new() };
    loop {
        let Some((returned, look)) = look(following, progress.clone()).await else { break };
        following = returned;
        let state = health.update(look.trouble);
        if !send_all(&observations, look.seen.into_iter().chain(state)).await {
            return;
        }
        tokio::select! {
            () = observations.closed() => return,
            () = changed(&mut following.watches), if !look.has_more => {}
            () = tokio::time::sleep(if look.has_more { Duration::ZERO } else { RESCAN }) => {}
        }
    }
    observations.closed().await; // the runtime is shutting down
}

/// Sets the watches. Returns what does not work.
fn follow<K: Kind>(
    watches: &mut Result<Watches, WatchError>,
    prefix: &Path,
    places: &Places,
) -> Option<String> {
    let error = match watches {
        Ok(watches) => watches.follow(prefix, places)?,
        Err(error) => error.clone(),
    };
    let (name, every) = (K::ABOUT.name, RESCAN.as_secs());
    Some(format!("{error}; the agent looks at {name} every {every} s"))
}

async fn changed(watches: &mut Result<Watches, WatchError>) {
    let changed = match watches {
        Ok(watches) => watches.changed().await.is_ok(),
        Err(_) => false,
    };
    if !changed {
        std::future::pending::<()>().await; // until the next look
    }
}

/// What a look needs, and the next one, too.
struct Following<K: Kind> {
    follower: Follower<K>,
    watches: Result<Watches, WatchError>,
}

impl<K: Kind> Following<K> {
    /// Sets the watches, and reads what was appended. Blocks.
    fn look(&mut self) -> Look {
        let places = places(&self.follower.config);
        let prefix = &self.follower.config.prefix;
        let unwatched = follow::<K>(&mut self.watches, prefix, &places);
        let look = self.follower.look(&places);
        Look { trouble: look.trouble.or(unwatched), ..look }
    }
}

/// Reading files blocks, and so does setting watches. None: the runtime is shutting down.
async fn look<K: Kind>(
    mut following: Following<K>,
    progress: Progress,
) -> Option<(Following<K>, Look)> {
    let looked = tokio::task::spawn_blocking(move || {
        let look = progress.during(|| following.look());
        (following, look)
    });
    looked.await.ok()
}

/// The files, and how far each was read.
pub(in crate::sources) struct Follower<K: Kind> {
    kind: K,
    config: LogFiles,
    tails: BTreeMap<PathBuf, K::File>,
    known: KnownFiles,
    /// Whether the files were looked at: what appears from then on is new.
    has_looked: bool,
}

/// What a look at every file gave.
#[derive(Debug, Default)]
pub(in crate::sources) struct Look {
    pub(in crate::sources) seen: Option<Observation>,
    /// What does not work.
    pub(in crate::sources) trouble: Option<String>,
    /// Whether there is more to read.
    pub(in crate::sources) has_more: bool,
}

impl<K: Kind> Follower<K> {
    pub(in crate::sources) fn new(kind: K, config: LogFiles) -> Self {
        let (tails, known) = Default::default();
        Self { kind, config, tails, known, has_looked: false }
    }

    /// Reads what was appended to each file.
    pub(in crate::sources) fn look(&mut self, places: &Places) -> Look {
        for path in &places.files {
            let (kind, is_old) = (&self.kind, !self.has_looked);
            self.tails.entry(path.clone()).or_insert_with(|| kind.file(path.clone(), is_old));
        }
        self.has_looked = true;
        let mut look = Look { trouble: unmatched::<K>(places), ..Look::default() };
        self.turns(&mut look);
        // Those that were renamed were read to their end.
        self.tails.retain(|path, _| places.files.contains(path));
        look.seen = self.kind.report();
        look
    }

    /// Each file has its turn.
    fn turns(&mut self, look: &mut Look) {
        let Self { kind, config, tails, known, .. } = self;
        for (path, tail) in tails.iter_mut() {
            match kind.read(tail, (&config.prefix, &mut *known)) {
                Ok(turn) => look.add::<K>(path, turn),
                Err(error) => look.fail::<K>(&format!("cannot read {}: {error}", named(path))),
            }
        }
        let is_enough = !K::ABOUT.needs_all && tails.values().any(K::is_open);
        let missing = tails.iter().find(|(_, tail)| !K::is_open(tail)).filter(|_| !is_enough);
        if let Some((path, _)) = missing {
            look.fail::<K>(&format!("there is no file {}", named(path)));
        }
    }
}

impl Look {
    fn add<K: Kind>(&mut self, path: &Path, turn: Turn) {
        self.has_more |= turn.has_more;
        if turn.skipped > 0 {
            self.fail::<K>(&format!(
                "skipped {} {} of {}",
                turn.skipped,
                K::ABOUT.parts,
                named(path)
            ));
        }
    }

    fn fail<K: Kind>(&mut self, what: &str) {
        let text = || format!("{what}; the agent does not see {}", K::ABOUT.lacks);
        self.trouble.get_or_insert_with(text);
    }
}

fn unmatched<K: Kind>(places: &Places) -> Option<String> {
    let About { setting, lacks_all, needs_all, .. } = K::ABOUT;
    let is_enough = !needs_all && !places.files.is_empty();
    let first = places.unmatched.first().filter(|_| !is_enough)?;
    let path = named(first);
    Some(format!("no file matches {path} ({setting}); the agent does not see {lacks_all}"))
}

fn named(path: &Path) -> String {
    shown(&path.to_string_lossy()).into_owned()
}

//! Follows the files: reads at each event, and looks for new ones at intervals too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::refusals::ServerLogSeen;
use tokio::sync::mpsc::Sender;

use super::ServerLogsConfig;
use super::gather::Gather;
use super::logged::logged;
use super::places::{Places, places};
use super::tail::{KnownFiles, Tail, Turn, buffer};
use super::watches::Watches;
use crate::clocks;
use crate::sources::health::{Health, Source};
use crate::sources::send::send_all;
use crate::sources::watch_error::WatchError;

/// Time between two looks without an event: for links, whose target may change unseen, and where
/// inotify is not available.
const RESCAN: Duration = Duration::from_secs(30);

/// Reports what the logs show until the receiver is dropped.
pub async fn run(config: ServerLogsConfig, observations: Sender<Observation>) {
    let mut health = Health::new(Source::ServerLogs);
    let mut watches = Watches::new();
    let mut follower = Follower::new(config);
    loop {
        let places = places(&follower.config);
        let unwatched = follow(&mut watches, &follower, &places);
        let Some((returned, look)) = look(follower, places).await else { break };
        follower = returned;
        let state = health.update(look.trouble.or(unwatched));
        let seen = look.seen.map(Observation::ServerLog);
        if !send_all(&observations, seen.into_iter().chain(state)).await {
            return;
        }
        tokio::select! {
            () = observations.closed() => return,
            () = changed(&mut watches), if !look.has_more => {}
            () = tokio::time::sleep(if look.has_more { Duration::ZERO } else { RESCAN }) => {}
        }
    }
    observations.closed().await; // the runtime is shutting down
}

/// Sets the watches. Returns what does not work.
fn follow(
    watches: &mut Result<Watches, WatchError>,
    follower: &Follower,
    places: &Places,
) -> Option<String> {
    let error = match watches {
        Ok(watches) => watches.follow(&follower.config.prefix, places)?,
        Err(error) => error.clone(),
    };
    Some(format!(
        "{error}; the agent looks at the logs of the API server every {} s",
        RESCAN.as_secs()
    ))
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

/// Reading files blocks. None: the runtime is shutting down.
async fn look(mut follower: Follower, places: Places) -> Option<(Follower, Look)> {
    let looked = tokio::task::spawn_blocking(move || {
        let look = follower.look(&places);
        (follower, look)
    });
    looked.await.ok()
}

/// The files, and how far each was read.
pub(super) struct Follower {
    config: ServerLogsConfig,
    tails: BTreeMap<PathBuf, Tail>,
    known: KnownFiles,
    gather: Gather,
    buffer: Box<[u8]>,
    /// Whether the files were looked at: what appears from then on is new.
    has_looked: bool,
}

/// What a look at every file gave.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) seen: Option<ServerLogSeen>,
    /// What does not work.
    pub(super) trouble: Option<String>,
    /// Whether there is more to read.
    pub(super) has_more: bool,
}

impl Follower {
    pub(super) fn new(config: ServerLogsConfig) -> Self {
        let (tails, known, gather) = Default::default();
        Self { config, tails, known, gather, buffer: buffer(), has_looked: false }
    }

    /// Reads what was appended to each file.
    pub(super) fn look(&mut self, places: &Places) -> Look {
        for path in &places.files {
            let is_old = !self.has_looked;
            let new = || Tail::new(path.clone(), is_old);
            self.tails.entry(path.clone()).or_insert_with(new);
        }
        self.has_looked = true;
        let mut look = Look { trouble: unmatched(places), ..Look::default() };
        self.turns(&mut look);
        // Those that were renamed were read to their end.
        self.tails.retain(|path, _| places.files.contains(path));
        look.seen = self.gather.report();
        look
    }

    /// Each file has its turn.
    fn turns(&mut self, look: &mut Look) {
        let Self { config, tails, known, gather, buffer, .. } = self;
        let now = clocks::timer();
        for (path, tail) in tails {
            let take = |line: &[u8]| logged(line).into_iter().for_each(|it| gather.take(it, now));
            match tail.read((&config.prefix, &mut *known), buffer, take) {
                Ok(turn) => look.add(path, turn),
                Err(error) => look.fail(&format!("cannot read {}: {error}", named(path))),
            }
            if !tail.is_open() {
                look.fail(&format!("there is no file {}", named(path)));
            }
        }
    }
}

impl Look {
    fn add(&mut self, path: &Path, turn: Turn) {
        self.has_more |= turn.has_more;
        if turn.skipped > 0 {
            self.fail(&format!("skipped {} bytes of {}", turn.skipped, named(path)));
        }
    }

    fn fail(&mut self, what: &str) {
        let text = format!("{what}; the agent does not see all refused requests");
        self.trouble.get_or_insert(text);
    }
}

fn unmatched(places: &Places) -> Option<String> {
    let first = places.unmatched.first()?;
    Some(format!(
        "no file matches {} (apiserver.logs); the agent does not see which requests the API server \
         refuses",
        named(first)
    ))
}

fn named(path: &Path) -> String {
    shown(&path.to_string_lossy()).into_owned()
}

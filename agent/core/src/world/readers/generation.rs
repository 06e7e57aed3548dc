//! The generations of one token that readers may hold.

use crate::base::time::{Delta, Reading, Wall};
use crate::world::tokens::{Claims, Exchange, Generation, GenerationId, LEEWAY};

/// Life of a token whose expiry the API server does not extend, where a cluster extends that of the
/// others: one hour and some seconds (WarnOnlyBoundTokenExpirationPeriod in
/// pkg/serviceaccount/claims.go).
const WITHOUT_EXTENSION: Delta = Delta::from_secs(3_607);
/// Directories of one generation that are kept. kubelet writes a generation again, into a new one,
/// if another file of its volume changes.
const MAX_DIRECTORIES: usize = 4;

/// A generation of a token, for what follows when somebody keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its id.
    pub id: GenerationId,
    /// When it was issued.
    pub issued_at: Wall,
    /// When the API server starts to refuse it: `exp` and the leeway.
    pub dead_at: Wall,
    /// When a cluster without expiry extension would refuse it, if its expiry is extended.
    pub dead_without_extension: Option<Wall>,
    /// The service that exchanges it for another credential, if its audience shows one.
    pub exchange: Option<Exchange>,
}

impl Kept {
    /// Of a token with these claims.
    pub fn of(claims: &Claims) -> Self {
        let warned = claims.warn_after.map(|at| at.min(claims.issued_at + WITHOUT_EXTENSION));
        Self {
            id: claims.generation(),
            issued_at: claims.issued_at,
            dead_at: claims.expires_at + LEEWAY,
            dead_without_extension: warned.map(|at| at + LEEWAY),
            exchange: Exchange::of(claims),
        }
    }
}

/// A generation that is, or was, in the file, and how far its opens are seen.
#[derive(Clone, Debug, PartialEq)]
pub struct InFile {
    /// The generation.
    pub kept: Kept,
    /// When it appeared in the file, on the node's clock; when the agent first saw it, if that is
    /// all that is known.
    pub appeared: Wall,
    /// When the agent first saw it.
    known: Reading,
    /// Whether every open since it appeared was seen, up to now: in each of its directories.
    pub seen: Watched,
    /// The same without what the directories that are kept show.
    lost: Watched,
    directories: Vec<Directory>,
}

/// A directory that holds, or held, a generation.
#[derive(Clone, Debug, PartialEq)]
struct Directory {
    name: String,
    /// How far the watch on it has seen its opens.
    seen: Watched,
}

/// How far the opens of one generation are seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Watched {
    /// Nothing watches them yet.
    #[default]
    NotYet,
    /// All were seen.
    All,
    /// All but those in the first moment, which ended at this time.
    ButMoment(Wall),
    /// Some may have been missed, the last at this time, and this is why.
    Missed(Wall, String),
}

/// Why opens may have been missed before a watch was set.
pub(super) const NOT_WATCHED_YET: &str =
    "the agent did not watch the file yet when this token appeared";

/// The same, if that was only a moment.
const MOMENT: &str = "the agent did not see the first moment after this token appeared";

impl Watched {
    /// What holds if both do. What is not watched yet adds nothing.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::NotYet, one)
            | (Self::All, one @ (Self::ButMoment(_) | Self::Missed(..)))
            | (one, Self::NotYet | Self::All) => one,
            (Self::ButMoment(one), Self::ButMoment(other)) => Self::ButMoment(one.max(other)),
            (Self::Missed(until, why), Self::ButMoment(at))
            | (Self::ButMoment(at), Self::Missed(until, why)) => Self::Missed(until.max(at), why),
            (Self::Missed(one, why), Self::Missed(other, _)) => Self::Missed(one.max(other), why),
        }
    }

    /// Whether nothing but the beginning may have been missed.
    pub(super) fn is_late(&self) -> bool {
        match self {
            Self::NotYet | Self::ButMoment(_) => true,
            Self::All => false,
            Self::Missed(_, why) => why == NOT_WATCHED_YET,
        }
    }

    /// Why opens may have been missed, if they may.
    pub fn missed(&self) -> Option<&str> {
        match self {
            Self::NotYet => Some("the agent does not watch the file yet"),
            Self::All => None,
            Self::ButMoment(_) => Some(MOMENT),
            Self::Missed(_, why) => Some(why),
        }
    }
}

impl InFile {
    pub(super) fn new(generation: &Generation) -> Self {
        Self {
            kept: Kept::of(&generation.claims),
            appeared: generation.appeared_at.unwrap_or(generation.seen.wall),
            known: generation.seen,
            seen: Watched::default(),
            lost: Watched::default(),
            directories: Vec::new(),
        }
    }

    /// When it appeared, on both clocks.
    pub fn appearance(&self) -> Reading {
        let age = self.known.wall - self.appeared;
        Reading { wall: self.appeared, monotonic: self.known.monotonic - age }
    }

    /// Whether its file is, or was, in this directory.
    pub fn is_in(&self, directory: &str) -> bool {
        self.directories.iter().any(|known| known.name == directory)
    }

    /// The directories that are known to hold it, or to have held it.
    pub(super) fn into_directories(self) -> impl Iterator<Item = String> {
        self.directories.into_iter().map(|known| known.name)
    }

    pub(super) fn add(&mut self, directory: &str) {
        if self.is_in(directory) {
            return;
        }
        if self.directories.len() == MAX_DIRECTORIES {
            self.lose(self.directories[0].seen.clone());
            self.directories.remove(0);
        }
        self.directories.push(Directory { name: directory.to_owned(), seen: Watched::NotYet });
    }

    /// From now on, the opens in this directory are seen, and so far they were as in `from`: a
    /// later report excuses a watch that was late, and a watch that is set again has a gap.
    pub(super) fn watching(&mut self, directory: &str, from: Watched) {
        let found = self.directories.iter_mut().find(|known| known.name == directory);
        if let Some(found) = found {
            let before = std::mem::take(&mut found.seen);
            let is_excused = from == Watched::All && before.is_late();
            found.seen = if is_excused { from } else { from.and(before) };
        }
        self.sum_up();
    }

    /// Opens may have been missed, whatever the watches show.
    pub(super) fn lose(&mut self, missed: Watched) {
        self.lost = missed.and(std::mem::take(&mut self.lost));
        self.sum_up();
    }

    fn sum_up(&mut self) {
        let each = self.directories.iter().map(|known| known.seen.clone());
        self.seen = each.fold(self.lost.clone(), Watched::and);
    }
}

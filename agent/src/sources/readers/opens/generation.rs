//! One generation of a volume: the directory `..2026_…`, its watches, and what they show.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use inotify::WatchMask;
use tokenwatch_core::base::time::{Delta, Monotonic};

use super::files::Files;
use super::reactions::Beginning;
use super::spacing::Spacing;
use super::watches::{Event, Kind, WatchId};
use crate::sources::own_opens::Inode;

/// Events of one reading of the queue that make a generation hot: more than 2,000 opens a second.
const HOT: u32 = 400;
/// Events that make a hot one rest, so that it does not fill the queue.
const TOO_HOT: u32 = 4_096;
const REST: Delta = Delta::from_secs(1);
/// From a rotation on, a client may still open or read the file that it found a moment ago.
const GRACE: Delta = Delta::from_secs(1);

/// Where a generation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Kubelet writes it.
    Coming,
    /// `..data` leads to it.
    Current,
    /// `..data` leads to a newer one, since then.
    Replaced(Monotonic),
}

/// How much its watches report, by how often it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heat {
    /// Opens, reads and closes: equal events that follow each other are one, and these differ.
    Cool,
    /// Opens alone: one event for many of them.
    Hot,
    /// Nothing, until then.
    Resting(Monotonic),
}

/// A generation.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) directory: OsString,
    pub(super) stage: Stage,
    pub(super) inode: Option<Inode>,
    pub(super) files: Files,
    /// Whether the watches were set before `..data` led here.
    pub(super) is_complete: bool,
    /// From then to the watch; more than that if the file system has a coarse clock.
    pub(super) gap: Delta,
    pub(super) beginning: Beginning,
    /// The watched directories: `""` for its own, and those in it that lead to a token.
    pub(super) watches: Vec<(WatchId, PathBuf)>,
    /// Watches by which new directories in it are noticed at once.
    pub(super) arrivals: Vec<WatchId>,
    heat: Heat,
    events: u32,
    read_again: Spacing,
}

/// What an open or a read of a generation shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Nothing,
    /// This file of a replaced generation was read through a descriptor or a mount that was kept.
    ReadAgain(usize),
}

impl Generation {
    /// What its watches report at first.
    pub(super) const FIRST_MASK: WatchMask = WatchMask::OPEN
        .union(WatchMask::ACCESS)
        .union(WatchMask::CLOSE_NOWRITE)
        .union(WatchMask::DELETE_SELF);

    pub(super) fn new(directory: &OsStr, inode: Option<Inode>, files: Files) -> Self {
        Self {
            directory: directory.to_owned(),
            stage: Stage::Coming,
            inode,
            files,
            is_complete: false,
            gap: Delta::ZERO,
            beginning: Beginning::default(),
            watches: Vec::new(),
            arrivals: Vec::new(),
            heat: Heat::Cool,
            events: 0,
            read_again: Spacing::default(),
        }
    }

    /// What its watches report.
    pub(super) fn mask(&self) -> WatchMask {
        match self.heat {
            Heat::Cool => Self::FIRST_MASK,
            Heat::Hot => WatchMask::OPEN | WatchMask::DELETE_SELF,
            Heat::Resting(_) => WatchMask::DELETE_SELF,
        }
    }

    /// The inodes that are known: of its directory and of its files.
    pub(super) fn inodes(&self) -> impl Iterator<Item = Inode> {
        self.inode.into_iter().chain(self.files.inodes())
    }

    /// The directory in it that is watched by `watch`.
    pub(super) fn watched(&self, watch: WatchId) -> Option<&Path> {
        let found = self.watches.iter().find(|(id, _)| *id == watch);
        found.map(|(_, directory)| directory.as_path())
    }

    pub(super) fn watches(&self, directory: &Path) -> bool {
        self.watches.iter().any(|(_, watched)| watched == directory)
    }

    pub(super) fn is_current(&self) -> bool {
        self.stage == Stage::Current
    }

    /// `..data` leads here from now on.
    pub(super) fn begin(&mut self, is_complete: bool) {
        self.stage = Stage::Current;
        self.is_complete = is_complete;
        self.files.set_balanced(is_complete);
    }

    /// `..data` leads elsewhere from now on.
    pub(super) fn end(&mut self, now: Monotonic) {
        self.stage = Stage::Replaced(now);
        self.files.replaced();
    }

    /// A client that keeps a replaced generation opens nothing in it: the reads have to be seen,
    /// however hot it was. Returns whether its watches have to be set again.
    pub(super) fn cool_down(&mut self) -> bool {
        std::mem::replace(&mut self.heat, Heat::Cool) != Heat::Cool
    }

    /// Whether it is replaced, and not only just.
    pub(super) fn is_old(&self, now: Monotonic) -> bool {
        matches!(self.stage, Stage::Replaced(at) if now - at > GRACE)
    }

    /// Takes an event of one of its files, `now`, which happened after `after`. `is_own`: the
    /// agent's own open.
    pub(super) fn take(
        &mut self,
        event: &Event<'_>,
        file: Option<usize>,
        is_own: bool,
        (now, after): (Monotonic, Monotonic),
    ) -> Sign {
        self.events = self.events.saturating_add(1);
        match file {
            _ if self.stage == Stage::Coming => Sign::Nothing, // kubelet writes
            Some(file) if self.is_old(now) => self.kept(event.kind, file, is_own, now),
            Some(file) => self.used(event.kind, file, is_own, (now, after)),
            None if event.kind == Kind::Opened => self.unknown(is_own),
            None => Sign::Nothing,
        }
    }

    fn kept(&mut self, kind: Kind, file: usize, is_own: bool, now: Monotonic) -> Sign {
        let is_read = matches!(kind, Kind::Opened | Kind::Read) && !is_own;
        let is_news = is_read && self.files.is_token(file) && self.read_again.admits(now);
        if is_news { Sign::ReadAgain(file) } else { Sign::Nothing }
    }

    fn used(
        &mut self,
        kind: Kind,
        file: usize,
        is_own: bool,
        (now, after): (Monotonic, Monotonic),
    ) -> Sign {
        match kind {
            Kind::Opened if is_own => self.files.opened_by_agent(file),
            Kind::Opened => self.files.opened(file, now, after),
            Kind::Closed => self.files.closed(file),
            Kind::Read | Kind::Created | Kind::MovedHere | Kind::Removed | Kind::Ended => {}
        }
        Sign::Nothing
    }

    fn unknown(&mut self, is_own: bool) -> Sign {
        if !is_own {
            self.files.unknown_opened();
        }
        Sign::Nothing
    }

    /// After a reading of the queue. Returns whether its watches have to be set again.
    pub(super) fn adapt(&mut self, now: Monotonic) -> bool {
        let events = std::mem::take(&mut self.events);
        let heat = match self.heat {
            Heat::Cool if events > HOT => Heat::Hot,
            Heat::Hot if events > TOO_HOT => Heat::Resting(now + REST),
            Heat::Resting(until) if until <= now => Heat::Hot,
            heat @ (Heat::Cool | Heat::Hot | Heat::Resting(_)) => heat,
        };
        let before = std::mem::replace(&mut self.heat, heat);
        if before == Heat::Cool && heat == Heat::Hot {
            self.files.set_balanced(false);
        }
        before != heat
    }

    /// When something is due.
    pub(super) fn due(&self) -> Option<Monotonic> {
        let rested = match self.heat {
            Heat::Resting(until) => Some(until),
            Heat::Cool | Heat::Hot => None,
        };
        let learned = self.beginning.due().filter(|_| self.is_current());
        self.files.due().into_iter().chain(rested).chain(learned).min()
    }
}

//! One projected volume: its current generation, the files in it, and what changed since the last
//! scan.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::observation::FileContent;
use tokenwatch_core::world::tokens::LegacyClaims;

use super::context::{Reports, Scan};
use super::denied;
use super::due::Due;
use super::entry::{Entry, Place, Presence};
use super::generation::Generation;
use super::opened::stamp;
use super::stamps::Moment;
use super::{data_link, files, shown};
use crate::sources::expected::{Places, Why};
use crate::sources::names;
use crate::sources::token_volumes::TokenVolume;
use crate::sources::tokens::{At, Stamp};
use crate::sources::volumes::layout::{self, DATA, PodId};

/// Attempts to read a generation that is swapped meanwhile. Kubelet swaps at most once a minute, so
/// the second one succeeds.
const MAX_ATTEMPTS: usize = 8;
/// Where the files are if no `..data` leads to a generation.
const THE_VOLUME: &str = ".";

/// What is known of a volume.
#[derive(Debug, Default)]
pub(super) struct Volume {
    generation: Option<Generation>,
    /// Its files, sorted by path.
    entries: Vec<Entry>,
    /// The tokens that were in it, while it has no file.
    lost: Vec<PathBuf>,
    /// How many files it has, followed or not, as far as they are listed.
    wanted: usize,
    /// It has more files than are listed, or than are followed.
    is_truncated: bool,
    /// Why it could not be opened in the last scan.
    error: Option<Errno>,
    /// It was read since somebody asked.
    is_news: bool,
    /// The tokens that were expected in it when it was read.
    expected: Option<Arc<Places>>,
}

/// Whether a volume has content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// It has files, and they are known.
    Present,
    /// It has none, or none yet.
    None,
}

/// Why the content of a volume may be hidden from the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// It has no files.
    Empty,
    /// It cannot be opened.
    Directory(Errno),
    /// None of its files that may be tokens can be read.
    Files(Errno),
    /// It has more files than are followed.
    TooMany,
}

impl Volume {
    /// Number of tokens, including broken ones.
    pub(super) fn tokens(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_token()).count()
    }

    /// Number of files that are followed.
    pub(super) fn files(&self) -> usize {
        self.entries.len()
    }

    /// Number of files that are there, followed or not, as far as they are listed.
    pub(super) fn wanted(&self) -> usize {
        self.wanted
    }

    /// Whether there is so much more room for its files, of which `most` may be followed now, that
    /// it is worth a look: all fit, or a quarter more than are followed.
    pub(super) fn may_grow(&self, most: usize) -> bool {
        let (followed, may) = (self.entries.len(), self.wanted.min(most));
        followed < may && (may == self.wanted || may - followed >= followed / 4)
    }

    /// Whether it was read since the last call.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }

    /// As one with tokens; none if it holds none.
    pub(super) fn as_token_volume(&self, pod: &PodId, name: &OsStr) -> Option<TokenVolume> {
        let files = self.entries.iter().map(Entry::projected);
        (self.tokens() > 0).then(|| TokenVolume {
            pod_uid: names::text(&pod.name).into_owned(),
            volume: names::text(name).into_owned(),
            files: files.collect(),
            is_whole: !self.is_truncated && self.entries.iter().all(Entry::is_there),
        })
    }

    /// The paths of the Secret-based tokens in it, and whose each is.
    pub(super) fn legacy(&self) -> impl Iterator<Item = (&Path, &LegacyClaims)> {
        self.entries.iter().filter_map(|entry| Some((entry.path(), entry.legacy()?)))
    }

    /// Whether it has no files, and can be opened.
    pub(super) fn is_empty(&self) -> bool {
        self.error.is_none() && self.entries.is_empty()
    }

    /// The tokens that were in it, while it has no file.
    pub(super) fn lost(&self) -> &[PathBuf] {
        &self.lost
    }

    /// Whether these tokens were expected in it when it was read.
    pub(super) fn was_expected(&self, expected: Option<&Arc<Places>>) -> bool {
        self.expected.as_ref() == expected
    }

    /// The paths at which a token is expected, each with the reason.
    pub(super) fn expected(&self) -> impl Iterator<Item = (&PathBuf, Why)> {
        self.expected.iter().flat_map(|places| places.iter().map(|(path, why)| (path, *why)))
    }

    /// Whether its file at `path` is reported.
    pub(super) fn reports(&self, path: &Path) -> bool {
        self.entries.iter().any(|entry| entry.path() == path && entry.is_reported())
    }

    /// Why its content may be hidden from the agent. A volume that lost its tokens is not: they
    /// were seen here.
    pub(super) fn suspicion(&self) -> Option<Suspicion> {
        let unreadable = || self.entries.iter().find_map(Entry::hidden);
        match self.error {
            Some(errno) => Some(Suspicion::Directory(errno)),
            None if self.entries.is_empty() => self.lost.is_empty().then_some(Suspicion::Empty),
            None if self.is_truncated => Some(Suspicion::TooMany),
            None if self.tokens() > 0 => None,
            None => unreadable().map(Suspicion::Files),
        }
    }

    /// Whether the volume `name` in `parent` still has the content that is known. Compares stamps
    /// only and opens nothing. `path` is a buffer for paths.
    pub(super) fn is_unchanged(
        &self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        path: &mut PathBuf,
        moment: Moment,
    ) -> bool {
        let Some(generation) = self.generation.as_ref().filter(|_| self.error.is_none()) else {
            return false;
        };
        generation.is_current(parent, name, path, moment)
            && !self.entries.is_empty()
            && self.entries.iter().all(|entry| entry.is_unchanged(parent, path, moment))
            && self.is_shown(parent, path, moment)
    }

    /// Whether containers still find the tokens of the generation at `path`.
    fn is_shown(&self, parent: BorrowedFd<'_>, path: &mut PathBuf, moment: Moment) -> bool {
        path.pop();
        self.entries.iter().all(|entry| entry.is_shown(parent, path, moment))
    }

    /// Scans the volume and reports what changed. An error means that the volume itself cannot be
    /// read.
    pub(super) fn scan(
        &mut self,
        volume: BorrowedFd<'_>,
        scan: &mut Scan<'_>,
    ) -> nix::Result<Content> {
        (self.error, self.is_news) = (None, true);
        self.expected = scan.reports.owner.expected.cloned();
        for _ in 0..MAX_ATTEMPTS {
            if let Some(content) = self.attempt(volume, scan)? {
                return Ok(content);
            }
        }
        // Swapped faster than it can be read: what is known stays, until the next event.
        Ok(Content::Present)
    }

    /// One attempt; none if the generation was swapped meanwhile.
    fn attempt(
        &mut self,
        volume: BorrowedFd<'_>,
        scan: &mut Scan<'_>,
    ) -> nix::Result<Option<Content>> {
        let before = data_link::stamp(volume)?;
        self.generation = None;
        match self.read(volume, before, scan) {
            Err(Errno::ENOENT | Errno::ESTALE | Errno::ENOTDIR) => {
                self.missing(volume, before, scan)
            }
            result => result.map(Some),
        }
    }

    /// A file disappeared. None: kubelet swapped the generation meanwhile, or the file alone is
    /// gone. Otherwise `..data` leads nowhere.
    fn missing(
        &mut self,
        volume: BorrowedFd<'_>,
        link: Option<Stamp>,
        scan: &mut Scan<'_>,
    ) -> nix::Result<Option<Content>> {
        let Some(same) = link.filter(|_| data_link::stamp(volume) == Ok(link)) else {
            return Ok(None);
        };
        let target = data_link::target(volume)?.unwrap_or_default();
        if scan.reader.place(volume, &target).is_ok() {
            return Ok(None);
        }
        let is_due = !self.due(&scan.reports).tokens().is_empty();
        let refused = is_due.then(|| self.refuse(data_link::LEADS_NOWHERE, same, scan));
        refused.map(Some).ok_or(Errno::ENOENT)
    }

    /// Reads the generation. ENOENT: a file disappeared meanwhile, because it was swapped.
    fn read(
        &mut self,
        volume: BorrowedFd<'_>,
        link: Option<Stamp>,
        scan: &mut Scan<'_>,
    ) -> nix::Result<Content> {
        let target = link.map(|_| data_link::target(volume)).transpose()?.flatten();
        let base = target.as_deref().unwrap_or(Path::new(THE_VOLUME));
        scan.reports.directory =
            target.as_deref().map(|name| names::text(name.as_os_str()).into_owned());
        let opened = scan.reader.directory(volume, base);
        let refusal = |_| data_link::why_refused(volume, target.as_deref(), &opened, scan.reader);
        if let Some((link, reason)) = link.zip(link.and_then(refusal)) {
            return Ok(self.refuse(reason, link, scan));
        }
        self.read_files(At { volume, base, directory: opened?.as_fd() }, link, scan)
    }

    fn read_files(
        &mut self,
        at: At<'_>,
        link: Option<Stamp>,
        scan: &mut Scan<'_>,
    ) -> nix::Result<Content> {
        let directory = stamp(at.directory)?;
        let is_flat = self.list(at, link, scan)?;
        let place = Place { at, written_at: link.map(written_at), moment: scan.moment };
        self.entries.iter_mut().try_for_each(|entry| entry.scan(&place, scan))?;
        let new = self.entries.iter_mut().filter(|entry| entry.is_token());
        new.into_iter().try_for_each(|entry| shown::check(entry, &place, scan))?;
        self.report_hidden(place.written_at, &mut scan.reports);
        let link = link.filter(|_| is_flat && at.base != Path::new(THE_VOLUME));
        self.generation =
            link.and_then(|link| Generation::new(link, at.base.into(), directory, scan.moment));
        Ok(if self.entries.is_empty() { Content::None } else { Content::Present })
    }

    /// Of the files that cannot be read and may be anything, reports the one that is likeliest to
    /// be the volume's token.
    fn report_hidden(&mut self, written_at: Option<Wall>, reports: &mut Reports<'_>) {
        let volume = reports.owner.volume;
        let hidden = self.entries.iter().filter(|entry| entry.hidden().is_some());
        let ranked = hidden
            .filter_map(|entry| Some((layout::token_rank(volume, entry.path())?, entry.path())));
        let likeliest = ranked.min().map(|(_, path)| path.to_owned());
        for entry in self.entries.iter_mut().filter(|entry| entry.hidden().is_some()) {
            if likeliest.as_deref() == Some(entry.path()) {
                entry.report_hidden(written_at, reports);
            } else {
                entry.withdraw(reports);
            }
        }
    }

    /// Reports the tokens of the volume as unreadable, instead of reading files that may be
    /// anybody's. Where none is known, `..data` itself.
    fn refuse(&mut self, reason: &str, link: Stamp, scan: &mut Scan<'_>) -> Content {
        self.is_truncated = false;
        let due = self.due(&scan.reports).tokens();
        let is_known = !due.is_empty();
        let paths = if is_known { due.into_iter().collect() } else { vec![PathBuf::from(DATA)] };
        self.wanted = paths.len();
        self.set_entries(paths, &BTreeSet::new(), &mut scan.reports);
        let of_link = if is_known { "the volume's link ..data: " } else { "" };
        for entry in &mut self.entries {
            let content = FileContent::Unreadable { reason: format!("{of_link}{reason}") };
            entry.report_bad(content, Some(written_at(link)), &mut scan.reports);
        }
        Content::Present
    }

    fn due<'a>(&'a self, reports: &Reports<'a>) -> Due<'a> {
        Due { entries: &self.entries, lost: &self.lost, owner: reports.owner }
    }

    /// Follows no more than so many of its files, because others need the room. Returns whether it
    /// followed more.
    pub(super) fn shrink(&mut self, most: usize, reports: &mut Reports<'_>) -> bool {
        if self.entries.len() <= most {
            return false;
        }
        let mut paths: Vec<PathBuf> =
            self.entries.iter().map(|entry| entry.path().to_owned()).collect();
        let left_out = self.due(reports).keep_most(&mut paths, most);
        paths.sort_unstable();
        self.set_entries(paths, &left_out, reports);
        (self.is_truncated, self.is_news) = (true, true);
        true
    }

    /// Lists the files of the generation. Returns whether it has no subdirectories.
    fn list(&mut self, at: At<'_>, link: Option<Stamp>, scan: &mut Scan<'_>) -> nix::Result<bool> {
        let found = files::list(at, scan.reader)?;
        // Kubelet renames the link before it empties the old generation: a listing is complete only
        // if the link has not changed.
        if data_link::stamp(at.volume)? != link {
            return Err(Errno::ENOENT);
        }
        self.is_truncated = found.is_truncated;
        let owner = scan.reports.owner;
        let due = self.due(&scan.reports);
        let in_place = |path: &PathBuf| due.is_token(path);
        let mut paths = found.paths;
        paths.extend(found.outward_links.into_iter().filter(in_place));
        let odd: Vec<PathBuf> = found.odd.into_iter().filter(in_place).collect();
        paths.extend_from_slice(&odd);
        if found.is_truncated {
            // A token that is not listed may be there all the same, and is not gone then.
            let is_file =
                |path: &PathBuf| scan.reader.leads_to_file(at.volume, &at.base.join(path));
            paths.extend(due.unlisted(&paths).into_iter().filter(is_file));
        }
        let is_written = link.is_some() || !found.is_bare;
        let can_tell = is_written && !found.is_truncated;
        let absent = if can_tell { due.absent(&paths) } else { Vec::new() };
        paths.extend_from_slice(&absent);
        let wanted = paths.len();
        let left_out = due.keep_most(&mut paths, scan.share.most(wanted));
        self.wanted = wanted;
        self.is_truncated |= !left_out.is_empty();
        paths.sort_unstable();
        self.set_entries(paths, &left_out, &mut scan.reports);
        for entry in &mut self.entries {
            let is_in = |paths: &[PathBuf]| paths.iter().any(|path| path == entry.path());
            let other = if is_in(&odd) { Presence::Odd } else { Presence::File };
            entry.begin(if is_in(&absent) { Presence::Absent } else { other });
            if entry.is_token() || owner.expects_token(entry.path()) {
                shown::place(entry, at, link.map(written_at), scan)?;
            }
        }
        Ok(found.is_flat)
    }

    /// Replaces the list of files. A reported file that is missing from it is left out, or gone.
    fn set_entries(
        &mut self,
        paths: Vec<PathBuf>,
        left_out: &BTreeSet<PathBuf>,
        reports: &mut Reports<'_>,
    ) {
        if self.entries.iter().map(Entry::path).eq(paths.iter().map(PathBuf::as_path)) {
            return;
        }
        let lost = self.take_lost(&paths);
        let entries = Vec::with_capacity(paths.len());
        let mut before = std::mem::replace(&mut self.entries, entries).into_iter().peekable();
        for path in paths {
            while let Some(missing) = before.next_if(|entry| entry.path() < path.as_path()) {
                missing.end(left_out, reports);
            }
            let entry = before.next_if(|entry| entry.path() == path);
            let was_token = lost.contains(&path) || reports.owner.held_token(&path);
            self.entries.push(entry.unwrap_or_else(|| Entry::new(path, was_token)));
        }
        before.for_each(|missing| missing.end(left_out, reports));
    }

    /// Keeps the tokens of a volume that becomes empty: they are not reported as gone while it is
    /// there. Returns those of one that was empty.
    fn take_lost(&mut self, paths: &[PathBuf]) -> Vec<PathBuf> {
        if !paths.is_empty() {
            return std::mem::take(&mut self.lost);
        }
        let (tokens, others) =
            std::mem::take(&mut self.entries).into_iter().partition(Entry::was_token);
        let tokens: Vec<Entry> = tokens;
        self.entries = others;
        self.lost = tokens.iter().map(|entry| entry.path().to_owned()).collect();
        Vec::new()
    }

    /// Whether it holds a token whose signature was not checked with the keys of this version.
    pub(super) fn wants_check(&self, keys: u64) -> bool {
        self.entries.iter().any(|entry| entry.wants_check(keys))
    }

    /// Reports the tokens of a volume that does not exist any more as gone.
    pub(super) fn remove(self, reports: &mut Reports<'_>) {
        self.lost.iter().for_each(|path| reports.gone(path));
        self.entries.into_iter().for_each(|entry| entry.remove(reports));
    }

    /// Reports the tokens of a volume that exists and cannot be opened as unreadable.
    pub(super) fn set_unreadable(&mut self, errno: Errno, reports: &mut Reports<'_>) {
        self.generation = None;
        self.error = Some(errno);
        for entry in self.entries.iter_mut().filter(|entry| entry.is_reported()) {
            let reason = denied::failed_step("open the volume", errno);
            let content = FileContent::Unreadable { reason };
            entry.report_bad(content, None, reports);
        }
    }
}

/// When kubelet renamed the link into place.
fn written_at(link: Stamp) -> Wall {
    Wall::from_nanos(link.changed_nanos())
}

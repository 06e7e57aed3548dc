//! The readers of one token.

use std::collections::VecDeque;

use super::generation::{InFile, Kept, NOT_WATCHED_YET, Watched};
use super::reader::{Reader, UsedOld};
use super::seen::{Opener, ReaderEvent};
use crate::base::time::{Delta, Reading, Wall};
use crate::world::tokens::{Generation, GenerationId};

/// Generations that are kept: the current one, and those before it that events may still name.
const MAX_GENERATIONS: usize = 4;
/// Readers of one token that are kept: more than a pod has containers.
const MAX_READERS: usize = 16;
/// The time of a rotation is that of the file, and a client may have found the file just before:
/// for so long after a rotation, an open or a read says nothing.
const JUST_REPLACED: Delta = Delta::from_secs(2);
/// Reads that are kept until the scan has read which generation their directory holds.
const MAX_UNPLACED: usize = 16;
/// Directories of generations that are not kept any more. One that is read stays, and a reader
/// keeps one.
const MAX_OLD_DIRECTORIES: usize = 8;

/// Why an open may be lost that waited for the scan.
const TOO_EARLY: &str =
    "more opens of this token came than the agent keeps before it has read the file";

/// The readers of one token, and what is known of its generations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenReaders {
    /// Its last generations, oldest first. The last one is in the file.
    pub generations: VecDeque<InFile>,
    /// Its readers, in the order in which they were first seen.
    pub readers: Vec<Reader>,
    /// How many replaced generations somebody holds, and since when the agent knows.
    pub held: Option<(u32, Reading)>,
    /// Why opens cannot be seen at all, if they cannot.
    pub unseen: Option<String>,
    /// Whether the API server accepts it.
    pub is_for_api_server: bool,
    /// Sessions that somebody started in a container from outside, as one reader. They are nobody's
    /// reads, and the pod's use of the API server may be theirs.
    pub sessions: Option<Box<Reader>>,
    /// What may have been missed beside the generations that are kept.
    pub gaps: Gaps,
    old_directories: VecDeque<String>,
    unplaced: VecDeque<(String, ReaderEvent, Reading)>,
}

/// What may have been missed of generations and readers that are not kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gaps {
    /// Until when opens of a generation may have been missed that is not kept any more, and why.
    pub forgotten: Option<(Wall, String)>,
    /// Until when a reader was left out that may still exist: there were too many.
    pub left_out: Option<Wall>,
    /// Until when opens of a generation may have been missed that is not known yet, and why.
    lost: Option<(Wall, String)>,
}

impl TokenReaders {
    /// The generation that is in the file.
    pub fn current(&self) -> Option<&InFile> {
        self.generations.back()
    }

    /// Takes the generation that is in the file, and its directory.
    pub(super) fn generation(&mut self, generation: &Generation, directory: Option<&str>) {
        let id = generation.claims.generation();
        if self.current().is_none_or(|current| current.kept.id != id) {
            if self.generations.len() == MAX_GENERATIONS {
                self.forget_oldest();
            }
            self.replace(InFile::new(generation));
        }
        if let (Some(current), Some(directory)) = (self.generations.back_mut(), directory) {
            current.add(directory);
            self.place(directory);
        }
        self.mark_lost();
    }

    /// Events were lost after the generation appeared, and before the agent knew it.
    fn mark_lost(&mut self) {
        if let (Some(current), Some((until, why))) = (self.generations.back_mut(), &self.gaps.lost)
            && current.appeared <= *until
        {
            current.lose(Watched::Missed(*until, why.clone()));
        }
    }

    fn note_lost(&mut self, until: Wall, why: &str) {
        if self.gaps.lost.as_ref().is_none_or(|(known, _)| *known <= until) {
            self.gaps.lost = Some((until, why.to_owned()));
        }
    }

    /// What may have been missed of a generation stays known.
    fn forget_oldest(&mut self) {
        let oldest = self.generations.pop_front();
        let replaced = self.generations.front().map(|next| next.appeared);
        let Some((oldest, at)) = oldest.zip(replaced) else { return };
        let missed = match &oldest.seen {
            Watched::All | Watched::ButMoment(_) => None,
            Watched::NotYet => Some((at, NOT_WATCHED_YET.to_owned())),
            Watched::Missed(until, why) => Some((*until, why.clone())),
        };
        self.gaps.forgotten = missed.or(self.gaps.forgotten.take());
        self.old_directories.extend(oldest.into_directories());
        let surplus = self.old_directories.len().saturating_sub(MAX_OLD_DIRECTORIES);
        self.old_directories.drain(..surplus);
    }

    fn replace(&mut self, next: InFile) {
        if let Some(old) = self.current().map(|current| current.kept.clone()) {
            self.readers.iter_mut().for_each(|reader| reader.replaced(&old, next.appearance()));
        }
        self.generations.reserve_exact(1); // most tokens of a new node have one
        self.generations.push_back(next);
    }

    /// Takes the events that named `directory` before its generation was known.
    fn place(&mut self, directory: &str) {
        let waiting = std::mem::take(&mut self.unplaced);
        for (named, event, now) in waiting {
            if named == directory {
                self.see(&event, &now);
            } else {
                self.unplaced.push_back((named, event, now));
            }
        }
    }

    /// Takes an event. Returns whether something changed that decides a verdict.
    pub(super) fn see(&mut self, event: &ReaderEvent, now: &Reading) -> bool {
        match event {
            ReaderEvent::Watching { directory, complete, moment } => {
                let from = match (complete, moment) {
                    (true, _) => Watched::All,
                    (false, true) => Watched::ButMoment(now.wall),
                    (false, false) => Watched::Missed(now.wall, NOT_WATCHED_YET.to_owned()),
                };
                self.watching(directory, from, event, now)
            }
            ReaderEvent::Opened { directory, .. } => self.opened(directory, event, now),
            ReaderEvent::ReadAgain { directory, by, within, .. } => {
                self.read_again(directory, by.as_ref(), &earliest(*within, now))
            }
            ReaderEvent::Held { generations } => self.hold(*generations, now),
            ReaderEvent::Missed { span, why } => self.missed(now.wall - *span, now.wall, why),
            ReaderEvent::Unseen { why } => self.unseen.replace(why.clone()).as_ref() != Some(why),
        }
    }

    fn watching(
        &mut self,
        directory: &str,
        from: Watched,
        event: &ReaderEvent,
        now: &Reading,
    ) -> bool {
        let Some(generation) = self.generations.iter_mut().find(|one| one.is_in(directory)) else {
            return self.wait(directory, event, now);
        };
        self.unseen = None;
        generation.watching(directory, from);
        true
    }

    fn opened(&mut self, directory: &str, event: &ReaderEvent, now: &Reading) -> bool {
        let ReaderEvent::Opened { by, within, .. } = event else { return false };
        let Some(index) = self.generations.iter().position(|one| one.is_in(directory)) else {
            return self.wait(directory, event, now);
        };
        let (by, earliest) = (by.as_ref(), earliest(*within, now));
        if by.is_some_and(|by| by.session) {
            let session = self.sessions.get_or_insert_with(|| Box::new(Reader::new(None)));
            session.read(&self.generations[index], None, now);
            return false;
        }
        let replaced_at = self.generations.get(index + 1).map(InFile::appearance);
        let (of, reader) = (&self.generations[index], reader(&mut self.readers, by));
        let Some(replaced_at) = replaced_at else { return reader.read(of, by, now) };
        if earliest.wall - replaced_at.wall > JUST_REPLACED {
            reader.read_old(Some(&of.kept), by, &earliest);
            return true;
        }
        // It may have been in time, and then it was before every read of the next generation.
        let in_time = now.after((replaced_at.wall - now.wall).min(Delta::ZERO));
        let is_first = reader.read(of, by, &in_time);
        reader.replaced(&of.kept, replaced_at);
        is_first
    }

    /// A directory was read that kubelet has replaced: perhaps by another one with the same token,
    /// and perhaps just after the read.
    fn read_again(&mut self, directory: &str, by: Option<&Opener>, earliest: &Reading) -> bool {
        if by.is_some_and(|by| by.session) {
            return false;
        }
        let Some((kept, replaced_at)) = self.replaced(directory) else { return false };
        let is_old = earliest.wall - replaced_at > JUST_REPLACED;
        if is_old {
            let kept = kept.cloned();
            reader(&mut self.readers, by).read_old(kept.as_ref(), by, earliest);
        }
        is_old
    }

    /// The API server accepted this generation from the pod. Returns whether it had been replaced.
    /// Whose request it was is known where the token has one reader.
    pub(super) fn used(&mut self, generation: &GenerationId, now: &Reading) -> bool {
        let nth = self.generations.iter().position(|one| one.kept.id == *generation);
        let next = nth.and_then(|nth| Some((nth, self.generations.get(nth + 1)?.appearance())));
        let Some((nth, replaced)) = next else { return false };
        let kept = self.generations[nth].kept.clone();
        let of = match self.readers.as_mut_slice() {
            [one] => one,
            _ => reader(&mut self.readers, None),
        };
        of.used_old(&kept, UsedOld { at: *now, replaced });
        true
    }

    /// The generation that was in this directory, if it is kept, and when it was replaced at the
    /// latest. None if it is the current one, or may be.
    fn replaced(&mut self, directory: &str) -> Option<(Option<&Kept>, Wall)> {
        let Some(index) = self.generations.iter().position(|one| one.is_in(directory)) else {
            let old = self.old_directories.iter().position(|old| old == directory)?;
            let read = self.old_directories.remove(old)?;
            self.old_directories.push_back(read);
            return Some((None, self.generations.front()?.appeared));
        };
        let next = self.generations.get(index + 1)?;
        Some((Some(&self.generations[index].kept), next.appeared))
    }

    fn wait(&mut self, directory: &str, event: &ReaderEvent, now: &Reading) -> bool {
        if self.unplaced.len() == MAX_UNPLACED
            && let Some((.., dropped)) = self.unplaced.pop_front()
        {
            self.note_lost(dropped.wall, TOO_EARLY);
        }
        self.unplaced.push_back((directory.to_owned(), event.clone(), *now));
        false
    }

    fn hold(&mut self, generations: u32, now: &Reading) -> bool {
        let before = self.held.map_or(0, |(count, _)| count);
        self.held = match (generations, self.held) {
            (0, _) => None,
            (count, Some((_, since))) => Some((count, since)),
            (count, None) => Some((count, *now)),
        };
        before != generations
    }

    /// Leaves out readers if there are too many: first those whose container has ended, then those
    /// that have read the current token, and of equal ones the one that has not read for the
    /// longest time. The last one that read stays, and so does the one that stands for unknown
    /// containers.
    pub(super) fn make_room(&mut self, is_running: impl Fn(&str) -> bool, now: &Reading) {
        while self.readers.len() > MAX_READERS {
            let lives = |one: &Reader| one.container_id.as_deref().is_none_or(&is_running);
            let current = self.current().map(|current| &current.kept.id);
            let holds = |one: &Reader| one.last().is_some_and(|it| Some(&it.kept.id) == current);
            let keeps = |one: &Reader| !holds(one) || one.read_old.is_some();
            let rank = |one: &Reader| (lives(one), keeps(one), one.reads.back().copied());
            let of = |index: &usize| &self.readers[*index];
            let newest = (0..self.readers.len()).max_by_key(|index| of(index).reads.back());
            let may_go = |index: &usize| Some(*index) != newest && of(index).container_id.is_some();
            let others = (0..self.readers.len()).filter(may_go);
            let Some(index) = others.min_by_key(|index| rank(of(index))) else { return };
            if lives(&self.readers.remove(index)) {
                self.gaps.left_out = Some(now.wall);
            }
        }
    }

    /// Opens between the two times may have been missed.
    fn missed(&mut self, from: Wall, until: Wall, why: &str) -> bool {
        self.note_lost(until, why);
        let mut changed = false;
        let mut replaced_at = None;
        for generation in self.generations.iter_mut().rev() {
            if generation.appeared <= until && replaced_at.is_none_or(|at| at >= from) {
                generation.lose(Watched::Missed(until, why.to_owned()));
                changed = true;
            }
            replaced_at = Some(generation.appeared);
        }
        changed
    }
}

/// The first moment at which something may have happened that was at most `within` ago.
fn earliest(within: Delta, now: &Reading) -> Reading {
    now.after(-within.max(Delta::ZERO))
}

/// The reader that this process is, or belongs to. While the agent can see which container reads, a
/// process of none is the pod's.
fn reader<'a>(readers: &'a mut Vec<Reader>, by: Option<&Opener>) -> &'a mut Reader {
    let id = by.and_then(|by| by.container_id.as_deref());
    let found = readers.iter().position(|reader| reader.container_id.as_deref() == id);
    let index = found.unwrap_or_else(|| add(readers, id));
    &mut readers[index]
}

fn add(readers: &mut Vec<Reader>, id: Option<&str>) -> usize {
    readers.reserve_exact(1); // most tokens have one reader
    readers.push(Reader::new(id.map(ToOwned::to_owned)));
    readers.len() - 1
}

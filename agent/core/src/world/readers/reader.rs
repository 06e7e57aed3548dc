//! One reader of a token: its reads, generation by generation.

use std::collections::VecDeque;

use super::evidence::Evidence;
use super::generation::{InFile, Kept};
use super::seen::Opener;
use crate::base::time::{Delta, Reading, Wall};

/// Last reads that are kept: enough ticks for a picture.
const MAX_READS: usize = 16;
/// Generations of which the reads are kept: a habit is learned from fewer.
const MAX_VISITS: usize = 6;
/// Reads that follow each other sooner are one: a client may open the file several times.
const SAME: Delta = Delta::from_secs(2);

/// A request with a generation that kubelet had replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedOld {
    /// When the API server accepted it.
    pub at: Reading,
    /// When that generation was replaced.
    pub replaced: Reading,
}

/// A reader of one token.
#[derive(Clone, Debug, PartialEq)]
pub struct Reader {
    /// The id of its container. None: a container of the pod, and the agent cannot see which.
    pub container_id: Option<String>,
    /// The name of the program that read last, if it was seen.
    pub program: Option<String>,
    /// Its last reads, on the node's clock, oldest first.
    pub reads: VecDeque<Wall>,
    /// Its reads of each generation, oldest first.
    pub visits: VecDeque<Visit>,
    /// When it last read a generation that was replaced then; the first moment, if only a span is
    /// known.
    pub read_old: Option<Reading>,
    /// When the API server last accepted a generation from it that had been replaced.
    pub used_old: Option<UsedOld>,
    /// The generation that it read or used then, if the agent still knows it.
    pub old: Option<Kept>,
}

/// The reads of one generation.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    /// The generation.
    pub kept: Kept,
    /// The first one.
    pub first: Reading,
    /// The last one.
    pub last: Reading,
    /// Their number, without those that follow another one at once.
    pub count: u32,
    /// How long after the generation appeared the first one came.
    pub lag: Delta,
    /// How long before the generation that it held until then was refused the first one came.
    /// Negative: after that.
    pub before: Option<Delta>,
    /// When the generation was replaced, if it was.
    pub replaced_at: Option<Reading>,
    /// Uses of the API server that showed that it kept the generation after that.
    pub proven: Vec<Proof>,
}

/// A use of the API server that showed that a reader kept a generation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proof {
    /// What it is evidence of.
    pub evidence: Evidence,
    /// It happened after this, …
    pub after: Reading,
    /// … and by then.
    pub by: Reading,
}

impl Visit {
    fn new(of: &InFile, held: Option<&Kept>, now: &Reading) -> Self {
        let (lag, before) = (now.wall - of.appeared, held.map(|held| held.dead_at - now.wall));
        Self {
            kept: of.kept.clone(),
            first: *now,
            last: *now,
            count: 1,
            lag,
            before,
            replaced_at: None,
            proven: Vec::new(),
        }
    }

    fn again(&mut self, now: &Reading) {
        if now.monotonic - self.last.monotonic >= SAME {
            self.count = self.count.saturating_add(1);
            self.last = *now;
        }
    }

    /// The time from the first read to the last.
    pub fn span(&self) -> Delta {
        self.last.monotonic - self.first.monotonic
    }
}

impl Reader {
    pub(super) fn new(container_id: Option<String>) -> Self {
        Self {
            container_id,
            program: None,
            reads: VecDeque::new(),
            visits: VecDeque::new(),
            read_old: None,
            used_old: None,
            old: None,
        }
    }

    /// It read this generation. Returns whether for the first time.
    pub(super) fn read(&mut self, of: &InFile, by: Option<&Opener>, now: &Reading) -> bool {
        self.note(by, now);
        if let Some(visit) = self.visits.iter_mut().find(|visit| visit.kept.id == of.kept.id) {
            visit.again(now);
            return false;
        }
        let visit = Visit::new(of, self.last().map(|last| &last.kept), now);
        if self.visits.len() == MAX_VISITS {
            self.visits.pop_front();
        }
        self.visits.reserve_exact(1); // there are few, and most readers have fewer
        self.visits.push_back(visit);
        true
    }

    /// The generation `old` was replaced.
    pub(super) fn replaced(&mut self, old: &Kept, at: Reading) {
        let visits = self.visits.iter_mut().filter(|visit| visit.kept.id == old.id);
        visits.for_each(|visit| visit.replaced_at = Some(at));
    }

    /// It read a generation after that was replaced.
    pub(super) fn read_old(&mut self, kept: Option<&Kept>, by: Option<&Opener>, at: &Reading) {
        self.note(by, at);
        // Sources report with different delays: a later read stays the last one.
        if self.read_old.is_none_or(|known| known.monotonic <= at.monotonic) {
            (self.read_old, self.old) = (Some(*at), kept.cloned());
        }
    }

    /// The API server accepted this generation from it.
    pub(super) fn used_old(&mut self, kept: &Kept, used: UsedOld) {
        (self.used_old, self.old) = (Some(used), Some(kept.clone()));
    }

    fn note(&mut self, by: Option<&Opener>, now: &Reading) {
        if let Some(program) = by.and_then(|by| by.program.clone()) {
            self.program = Some(program);
        }
        if self.reads.back().is_some_and(|last| now.wall - *last < SAME) {
            return;
        }
        if self.reads.len() == MAX_READS {
            self.reads.pop_front();
        }
        self.reads.push_back(now.wall);
    }

    /// The same, to be changed.
    pub(super) fn last_mut(&mut self) -> Option<&mut Visit> {
        self.visits.iter_mut().max_by_key(|visit| visit.last.monotonic)
    }

    /// Its last read of a generation that was in the file.
    pub fn last(&self) -> Option<&Visit> {
        self.visits.iter().max_by_key(|visit| visit.last.monotonic)
    }
}

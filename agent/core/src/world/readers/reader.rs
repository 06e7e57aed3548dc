//! One reader of a token: its reads, generation by generation.

use std::collections::VecDeque;

use super::generation::Kept;
use super::seen::Opener;
use crate::base::time::{Delta, Reading, Wall};

/// Last reads that are kept: enough ticks for a picture.
const MAX_READS: usize = 16;
/// Generations of which the reads are kept: a habit is learned from fewer.
const MAX_VISITS: usize = 6;
/// Reads that follow each other sooner are one: a client may open the file several times.
const SAME: Delta = Delta::from_secs(2);

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
    /// When it last read a generation that was replaced then.
    pub read_old: Option<Reading>,
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
    /// The longest time between two of them.
    pub longest: Delta,
}

impl Visit {
    fn new(kept: Kept, now: &Reading) -> Self {
        Self { kept, first: *now, last: *now, count: 1, longest: Delta::ZERO }
    }

    fn again(&mut self, now: &Reading) {
        let gap = now.monotonic - self.last.monotonic;
        if gap < SAME {
            return;
        }
        self.longest = self.longest.max(gap);
        self.count = self.count.saturating_add(1);
        self.last = *now;
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
        }
    }

    /// It read the generation `kept`.
    pub(super) fn read(&mut self, kept: &Kept, by: Option<&Opener>, now: &Reading) {
        self.note(by, now);
        match self.visits.iter_mut().find(|visit| visit.kept.id == kept.id) {
            Some(visit) => visit.again(now),
            None => self.visits.push_back(Visit::new(kept.clone(), now)),
        }
        if self.visits.len() > MAX_VISITS {
            self.visits.pop_front();
        }
    }

    /// It read a generation after that was replaced.
    pub(super) fn read_old(&mut self, by: Option<&Opener>, now: &Reading) {
        self.note(by, now);
        self.read_old = Some(*now);
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

    /// Its last read of a generation that was in the file.
    pub fn last(&self) -> Option<&Visit> {
        self.visits.iter().max_by_key(|visit| visit.last.monotonic)
    }
}

//! What the agent concludes about each reader of a token.

mod case;
mod judge;
mod stale;

pub use judge::Judged;

use super::Facts;
use crate::base::time::{Monotonic, Reading, Wall};
use crate::world::readers::{HeldGeneration, Kept, ReaderView};
use case::Case;

impl<'a> Facts<'a> {
    /// Every reader of this token, and what the agent concludes about it at `now`.
    pub fn judged(&self, now: &Reading) -> Vec<Judged<'a>> {
        Case::all(self, now).iter().map(Case::judge).collect()
    }

    /// Every reader of this token, for people.
    pub fn reader_views(&self, now: &Reading) -> Vec<ReaderView> {
        self.judged(now).into_iter().map(|judged| self.view(judged)).collect()
    }

    fn view(&self, judged: Judged<'a>) -> ReaderView {
        let Judged { who, reader, held, is_current, habit, verdict, evidence, why, .. } = judged;
        ReaderView {
            key: self.tracked.key.clone(),
            pod: self.pod_ref(),
            who,
            held: held.map(|kept| shown(kept, is_current)),
            reads: reader.map(|reader| reader.reads.iter().copied().collect()).unwrap_or_default(),
            habit,
            verdict,
            evidence,
            deadline: held.filter(|_| !is_current).map(|kept| kept.dead_at),
            why,
        }
    }

    /// When a conclusion may change by the passing of time alone.
    pub fn next_reader_change(&self, now: &Reading) -> Option<Monotonic> {
        let times = Case::all(self, now).into_iter().flat_map(|case| case.times());
        let later = times.filter(|at| *at > now.wall).min();
        later.map(|at: Wall| now.monotonic + (at - now.wall))
    }
}

fn shown(kept: &Kept, is_current: bool) -> HeldGeneration {
    HeldGeneration {
        id: kept.id.as_str().to_owned(),
        issued_at: kept.issued_at,
        dead_at: kept.dead_at,
        dead_without_extension: kept.dead_without_extension,
        is_current,
    }
}

#[cfg(test)]
mod tests;

//! What the agent concludes about each reader of a token.

mod case;
mod judge;
mod stale;

pub use judge::Judged;

use super::Facts;
use crate::base::time::{Monotonic, Reading, Wall};
use crate::world::readers::{
    HabitKey, HeldGeneration, KnownHabit, Learned, ReaderVerdict, ReaderView,
};
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
            held: held.map(|kept| HeldGeneration::of(kept, is_current)),
            reads: reader.map(|reader| reader.reads.iter().copied().collect()).unwrap_or_default(),
            habit,
            verdict,
            evidence,
            deadline: held.filter(|_| !is_current).map(|kept| kept.dead_at),
            why,
        }
    }

    /// The habits of its readers that are worth keeping: those that were seen more than once, and
    /// those that were confirmed.
    pub(crate) fn learned(&self, now: &Reading) -> Vec<KnownHabit> {
        let cases = Case::all(self, now);
        cases.iter().filter_map(|case| self.known_habit(case, now.wall)).collect()
    }

    fn known_habit(&self, case: &Case<'_>, at: Wall) -> Option<KnownHabit> {
        let Learned { habit, generations } = case.habit();
        let judged = case.judge();
        let is_confirmed = judged.verdict == ReaderVerdict::Stale && judged.is_confirmed();
        let key = self.habit_key(judged.who.container.as_deref()?)?;
        let is_sure = generations > 1 || (generations == 1 && is_confirmed);
        is_sure.then_some(KnownHabit { key, habit, generations, is_confirmed, at })
    }

    fn habit_key(&self, container: &str) -> Option<HabitKey> {
        let mut containers = self.pod()?.containers.iter();
        let container = containers.find(|one| one.name == container)?;
        HabitKey::new(&self.pod_ref(), container, &self.tracked.key)
    }

    /// When a conclusion may change by the passing of time alone.
    pub fn next_reader_change(&self, now: &Reading) -> Option<Monotonic> {
        let times = Case::all(self, now).into_iter().flat_map(|case| case.times());
        let later = times.filter(|at| *at > now.wall).min();
        later.map(|at: Wall| now.monotonic + (at - now.wall))
    }
}

#[cfg(test)]
mod tests;

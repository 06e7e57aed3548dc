//! What the agent concludes about each reader of a token.

mod case;
mod evidence;
mod judge;
mod stale;
mod uses;

pub use judge::Judged;

use super::Facts;
use crate::base::time::{Monotonic, Reading, Wall};
use crate::world::cluster::Container;
use crate::world::readers::{
    Habit, HabitKey, HeldGeneration, KnownHabit, Learned, Proven, ReaderVerdict, ReaderView, Who,
    libraries,
};
use case::Case;
use evidence::SURE;

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
        let held = judged.kept();
        let is_current = held.is_some_and(|held| held.id == judged.current.kept.id);
        let Judged { who, reader, habit, verdict, evidence, why, .. } = judged;
        ReaderView {
            key: self.tracked.key.clone(),
            pod: self.pod_ref(),
            who: self.with_library(who),
            held: held.map(|kept| HeldGeneration::of(kept, is_current)),
            reads: reader.map(|reader| reader.reads.iter().copied().collect()).unwrap_or_default(),
            habit,
            verdict,
            evidence,
            deadline: held.filter(|_| !is_current).map(|kept| kept.dead_at),
            why,
        }
    }

    /// The same with the library, as far as the image and the program show it. The table is read
    /// only for what people see.
    fn with_library(&self, who: Who) -> Who {
        let image = who.container.as_deref().and_then(|name| self.container(name));
        let image = image.map_or("", |container| &container.image);
        let library = who.library.or_else(|| libraries::hint(image, who.program.as_deref()));
        Who { library, ..who }
    }

    fn container(&self, name: &str) -> Option<&'a Container> {
        self.pod()?.containers.iter().find(|container| container.name == name)
    }

    /// The habits of its readers that are worth keeping: those that were seen more than once, and
    /// those that were confirmed.
    pub(crate) fn learned(&self, now: &Reading) -> Vec<KnownHabit> {
        let cases = Case::all(self, now);
        cases.iter().filter_map(|case| self.known_habit(case, now.wall)).collect()
    }

    /// What shows that its readers keep an earlier generation, for later.
    pub(crate) fn proofs(&self, now: &Reading) -> Vec<Proven> {
        let cases = Case::all(self, now);
        let proofs = |case: &Case<'_>| Some((case.reader?.container_id.clone(), case.proofs()));
        cases.iter().filter_map(proofs).filter(|(_, found)| !found.is_empty()).collect()
    }

    fn known_habit(&self, case: &Case<'_>, at: Wall) -> Option<KnownHabit> {
        let Learned { habit, generations } = case.habit();
        if generations == 0 || !case.is_one_container() {
            return None;
        }
        let judged = case.judge();
        let is_confirmed = judged.verdict == ReaderVerdict::Stale && judged.is_confirmed();
        let key = self.habit_key(judged.who.container.as_deref()?)?;
        let is_sure = generations >= needed(habit) || is_confirmed;
        is_sure.then_some(KnownHabit { key, habit, generations, is_confirmed, since: at, at })
    }

    fn habit_key(&self, container: &str) -> Option<HabitKey> {
        HabitKey::new(&self.pod_ref(), self.container(container)?, &self.tracked.key)
    }

    /// When a conclusion may change by the passing of time alone.
    pub fn next_reader_change(&self, now: &Reading) -> Option<Monotonic> {
        let times = Case::all(self, now).into_iter().flat_map(|case| case.times());
        let later = times.filter(|at| *at > now.wall).min();
        later.map(|at: Wall| now.monotonic + (at - now.wall))
    }
}

/// Generations that have to show a habit before it is kept. Where it accuses, more.
fn needed(habit: Habit) -> u32 {
    match habit {
        Habit::AfterRefusal | Habit::BeforeExpiry { .. } => SURE,
        Habit::Unknown
        | Habit::Never
        | Habit::EachRequest
        | Habit::Every { .. }
        | Habit::OnChange
        | Habit::Once
        | Habit::Exchange => 2,
    }
}

#[cfg(test)]
mod tests;

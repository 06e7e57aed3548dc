//! What the agent concludes about all readers of one token at one moment.

use super::case::Case;
use super::evidence::SURE;
use super::judge::Judged;
use crate::base::time::{Monotonic, Reading, Wall};
use crate::world::Facts;
use crate::world::readers::{
    Habit, HabitKey, KnownHabit, Learned, Proven, ReaderVerdict, StaleReader,
};

/// What the agent concludes about the readers of one token at one moment.
pub struct Conclusions<'a> {
    facts: &'a Facts<'a>,
    now: Reading,
    readers: Vec<(Judged<'a>, Case<'a>)>,
    stale: Option<StaleReader>,
}

impl<'a> Conclusions<'a> {
    /// What the facts show at `now`.
    pub fn new(facts: &'a Facts<'a>, now: &Reading) -> Self {
        let cases = Case::all(facts, now).into_iter();
        let readers: Vec<_> = cases.map(|case| (case.judge(), case)).collect();
        let stale = facts.stale_of(readers.iter().map(|(judged, _)| judged), now);
        Self { facts, now: *now, readers, stale }
    }

    /// The reader that keeps an earlier generation.
    pub fn stale(&self) -> Option<&StaleReader> {
        self.stale.as_ref()
    }

    /// The readers that may keep an earlier generation without that the agent can tell: each by the
    /// name of its container, if that is known.
    pub(crate) fn unknown(&self) -> Vec<Option<String>> {
        let judged = self.readers.iter().map(|(judged, _)| judged);
        let unknown = judged.filter(|judged| judged.verdict == ReaderVerdict::Unknown);
        unknown.map(|judged| judged.who.container.clone()).collect()
    }

    /// The habits that are worth keeping: those that were seen more than once, those that were
    /// confirmed, and those that a known one gives way to.
    pub(crate) fn learned(&self) -> Vec<KnownHabit> {
        let habit = |(judged, case): &(Judged<'a>, Case<'a>)| self.known_habit(case, judged);
        self.readers.iter().filter_map(habit).collect()
    }

    fn known_habit(&self, case: &Case<'_>, judged: &Judged<'_>) -> Option<KnownHabit> {
        let Learned { habit, generations } = case.habit();
        let is_refuted = case.refutes_known();
        if (generations == 0 && !is_refuted) || !case.is_one_container() {
            return None;
        }
        let is_confirmed = judged.verdict == ReaderVerdict::Stale && judged.is_confirmed();
        let key = self.facts.habit_key(judged.who.container.as_deref()?)?;
        let is_seen = generations >= needed(habit) || is_confirmed;
        let (habit, is_sure) = match (is_seen, is_refuted) {
            (true, _) => (habit, true),
            (false, refuted) => (Habit::Unknown, refuted),
        };
        let at = self.now.wall;
        is_sure.then_some(KnownHabit { key, habit, generations, is_confirmed, since: at, at })
    }

    /// What shows that readers keep an earlier generation, for later.
    pub(crate) fn proofs(&self) -> Vec<Proven> {
        let cases = self.readers.iter().map(|(_, case)| case);
        let proofs = |case: &Case<'_>| Some((case.reader?.container_id.clone(), case.proofs()));
        cases.filter_map(proofs).filter(|(_, found)| !found.is_empty()).collect()
    }

    /// When a conclusion may change by the passing of time alone.
    pub fn next_change(&self) -> Option<Monotonic> {
        let times = self.readers.iter().flat_map(|(_, case)| case.times());
        let later = times.filter(|at| *at > self.now.wall).min();
        later.map(|at: Wall| self.now.monotonic + (at - self.now.wall))
    }
}

impl Facts<'_> {
    pub(super) fn habit_key(&self, container: &str) -> Option<HabitKey> {
        HabitKey::new(&self.pod_ref(), self.container(container)?, &self.tracked.key)
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

//! From reads to a habit.

use super::Habit;
use super::reader::Visit;
use crate::base::time::Delta;
use crate::world::tokens::CACHE;

/// Reads within this time of the first one belong to the start of a client.
const START: Delta = Delta::from_secs(60);
/// Time over which a reader must have come back to the same generation, and how often at least,
/// before that is a habit.
const LONG: Delta = Delta::from_secs(120);
const OFTEN: u32 = 3;
/// A client that keeps the token for a minute reads it every 50 to 60 s if it has requests. Below,
/// the requests decide when it reads.
const CACHED: Delta = Delta::from_secs(45);
/// A reader that waits for a change of the file reads within this time after it.
const AT_ONCE: Delta = Delta::from_secs(30);
/// Time after the first refusal within which a client that waits for it has read the token again.
const AFTER: Delta = Delta::from_secs(60);

/// Generations that have to show that a client waits for a refusal, or reads some time before the
/// end: one that only watches reads once or twice in ten minutes, and may do so at such a time.
const REFUSED_OFTEN: usize = 2;
const BEFORE_OFTEN: usize = 3;
/// A client that reads some time before the end does so at the same time within this.
const STEADY: Delta = Delta::from_secs(20);

/// A habit, and how many generations show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// The habit.
    pub habit: Habit,
    /// How many generations show it.
    pub generations: u32,
}

/// The habit that shows in a container's visits, oldest first. `keeps`: it keeps a generation that
/// was replaced some time ago.
pub(crate) fn habit(visits: &[&Visit], keeps: bool) -> Learned {
    returns(visits)
        .or_else(|| at_change(visits))
        .or_else(|| once(visits, keeps))
        .unwrap_or_default()
}

/// It comes back to a generation again and again.
fn returns(visits: &[&Visit]) -> Option<Learned> {
    let regular = |visit: &&&Visit| visit.count >= OFTEN && visit.span() >= LONG;
    let generations = visits.iter().filter(regular).count();
    let most = visits.iter().filter(regular).max_by_key(|visit| visit.count)?;
    let period = most.span().fraction(1, i64::from(most.count) - 1);
    let habit = if period < CACHED { Habit::EachRequest } else { Habit::Every { period } };
    Some(Learned { habit, generations: generations.try_into().unwrap_or(u32::MAX) })
}

/// It reads each generation once, at a time that has to do with the rotation, or with the end of
/// the generation before. The first one has to do with its own start.
fn at_change(visits: &[&Visit]) -> Option<Learned> {
    let later = visits.get(1..)?;
    let generations = later.len().try_into().unwrap_or(u32::MAX);
    let habit = common(later)?;
    Some(Learned { habit, generations })
}

fn common(visits: &[&Visit]) -> Option<Habit> {
    let before = || visits.iter().filter_map(|visit| visit.before);
    let (first, last) = (before().min()?, before().max()?);
    let is_refused = |before: Delta| before <= CACHE && before >= -AFTER;
    if visits.iter().all(|visit| visit.lag <= AT_ONCE) {
        return Some(Habit::OnChange);
    }
    if visits.len() >= REFUSED_OFTEN && before().all(is_refused) {
        return Some(Habit::AfterRefusal);
    }
    let is_steady = visits.len() >= BEFORE_OFTEN && first > CACHE && last - first <= STEADY;
    is_steady.then_some(Habit::BeforeExpiry { window: first.fraction(1, 2) + last.fraction(1, 2) })
}

/// It read at its start, and keeps that generation.
fn once(visits: &[&Visit], keeps: bool) -> Option<Learned> {
    let looks = keeps && looks_once(visits);
    looks.then_some(Learned { habit: Habit::Once, generations: 1 })
}

/// Whether everything that it read, it read within a minute.
pub(crate) fn looks_once(visits: &[&Visit]) -> bool {
    visits.len() == 1 && visits.iter().all(|visit| visit.span() <= START)
}

//! The evidence about one reader.

use super::case::Case;
use crate::base::time::{Delta, Wall};
use crate::world::readers::{Evidence, Habit, Learned};

/// A client that only watches sends a request when its watch ends: after 5 to 10 min (reflector.go
/// in client-go). It may have begun with a token that was a minute old.
pub(super) const WATCH: Delta = Delta::from_secs(660);
/// A read of a replaced generation says nothing about the present after this time, where nothing
/// shows which container it was: that may have been restarted.
pub(super) const LINGERS: Delta = Delta::from_secs(900);
/// Time after a rotation in which nobody has to have read the new token: a minute, and the time
/// between two looks.
pub(super) const FRESH: Delta = Delta::from_secs(75);
/// An open file may be read just after it was replaced.
const IN_FLIGHT: Delta = Delta::from_secs(10);
/// Generations that show the same habit before it is evidence: two may be chance, as an informer
/// reads once or twice in ten minutes.
pub(super) const SURE: u32 = 3;

impl Case<'_> {
    /// It read a generation that was replaced some time before, and has not turned to the current
    /// one since. Another container of the pod may have.
    pub(super) fn reads_old(&self) -> bool {
        let Some(read) = self.reader.and_then(|reader| reader.read_old) else { return false };
        !self.of.has_subpath
            && self.is_since_start(read.wall)
            && read.wall >= self.replaced().wall + IN_FLIGHT
            && self.turns_at().is_none_or(|at| self.now.wall < at)
    }

    /// When it counts as a reader of the current generation again: it has read that, and for a
    /// minute nothing else.
    pub(super) fn turns_at(&self) -> Option<Wall> {
        let is_one = self.who.container.is_some() || self.who.container_id.is_some();
        let read = self.reader?.read_old?;
        if !is_one {
            return Some(self.at(&read) + LINGERS);
        }
        let last = self.last().filter(|_| self.is_current())?;
        (read.monotonic < last.last.monotonic).then(|| self.at(&read) + FRESH)
    }

    pub(super) fn holds(&self) -> bool {
        self.token.held.is_some() && !self.of.has_subpath
    }

    pub(super) fn evidence(&self) -> Vec<Evidence> {
        let not_seen = self.last().is_some() && !self.is_current() && self.unseen().is_none();
        let not_read = not_seen && !self.misses_moment();
        let all = [
            (Evidence::ReadsOld, self.reads_old()),
            (Evidence::Audit, self.is_audited()),
            (Evidence::NewConnection, not_read && self.uses(Evidence::NewConnection)),
            (Evidence::Requests, not_read && self.uses(Evidence::Requests)),
            (Evidence::Connected, not_read && self.uses(Evidence::Connected)),
            (Evidence::LearnedHabit, not_seen && self.is_habit()),
            (Evidence::Holds, self.holds()),
            (Evidence::NotReadAgain, not_read),
            (Evidence::NotSeenAgain, not_seen && !not_read),
        ];
        all.into_iter().filter(|(_, found)| *found).map(|(evidence, _)| evidence).collect()
    }

    /// In earlier generations it waited for the refusal, or for a window that has passed now. Or
    /// an earlier container of the workload used the token of its start to the end.
    fn is_habit(&self) -> bool {
        let Learned { habit, generations } = self.habit();
        // What this generation itself has shown is no further evidence.
        let known = self.workload.known.filter(|known| known.since < self.replaced().wall);
        let is_known = known.is_some_and(|known| known.habit == habit);
        let is_settled = self.now.wall >= self.replaced_at() + FRESH;
        let is_learned = is_settled && (generations >= SURE || is_known);
        let Some(last) = self.last().filter(|_| is_learned) else { return false };
        match habit {
            Habit::Once => {
                known.is_some_and(|known| known.is_confirmed && known.habit == Habit::Once)
            }
            Habit::AfterRefusal => true,
            Habit::BeforeExpiry { window } => {
                self.now.wall >= window_passed(last.kept.dead_at, window)
            }
            Habit::Unknown
            | Habit::Never
            | Habit::EachRequest
            | Habit::Every { .. }
            | Habit::OnChange
            | Habit::Exchange => false,
        }
    }

    /// Whether an earlier container of the workload kept the token of its start, and this one has
    /// read another one.
    pub(super) fn refutes_known(&self) -> bool {
        let is_once = self.workload.known.is_some_and(|known| known.habit == Habit::Once);
        is_once && self.visits().len() > 1
    }
}

/// When one that reads this long before the end has not read.
pub(super) fn window_passed(dead_at: Wall, window: Delta) -> Wall {
    dead_at - window.fraction(3, 4)
}

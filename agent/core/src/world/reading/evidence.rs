//! The evidence about one reader.

use super::case::Case;
use crate::base::time::{Delta, Wall};
use crate::world::readers::{Evidence, Habit, Learned, Visit, libraries};

/// Time for which clients keep a token that they have read: a minute (client-go and those that
/// follow it; KEP-1205 asks for no more).
const CACHED: Delta = Delta::from_secs(60);
/// The same of older ones: client-go v9 and v10.
const CACHED_LONG: Delta = Delta::from_secs(300);
/// A client that only watches sends a request when its watch ends: after 5 to 10 min (reflector.go
/// in client-go). It may have begun with a token that was a minute old.
pub(super) const WATCH: Delta = Delta::from_secs(660);
/// The API server ends a watch whose client gave no time after 30 to 60 min (twice its
/// `--min-request-timeout`): plain watches of the Python, Java and JavaScript clients. Such a
/// client then reads the token again.
pub(super) const WATCH_UNTIL_ENDED: Delta = Delta::from_secs(3_660);
/// A read of a replaced generation says nothing about the present after this time, where nothing
/// shows which container it was: that may have been restarted.
const LINGERS: Delta = Delta::from_secs(900);
/// Time after a rotation in which nobody has to have read the new token: a minute, and the time
/// between two looks.
pub(super) const FRESH: Delta = Delta::from_secs(75);
/// An open file may be read just after it was replaced.
const IN_FLIGHT: Delta = Delta::from_secs(10);
/// Generations that show the same habit before it is evidence: two may be chance, as an informer
/// reads once or twice in ten minutes.
pub(super) const SURE: u32 = 3;
/// Time after the start of its container within which a client reads the token that it keeps.
pub(super) const AT_START: Delta = Delta::from_secs(120);
/// Two looks at the processes: what the last one counted began within this time.
pub(super) const LOOKS: Delta = Delta::from_secs(65);

impl Case<'_> {
    /// It read a generation that was replaced some time before, and has not turned to the current
    /// one since. Another container of the pod may have.
    pub(super) fn reads_old(&self) -> bool {
        let Some(read) = self.reader.and_then(|reader| reader.read_old) else { return false };
        !self.of.has_subpath
            && self.is_since_start(self.at(&read))
            && read.wall >= self.replaced_at() + IN_FLIGHT
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

    /// Whether its use of the API server shows, or has shown, that it keeps the token. What was
    /// seen stays true until it reads another one. Some time after the end of the token, nothing
    /// shows that it is used still.
    fn uses(&self, evidence: Evidence) -> bool {
        if self.may_be_a_look() {
            return false;
        }
        let was_seen = self.last().is_some_and(|last| {
            last.proven.contains(&evidence) && self.now.wall < last.kept.dead_at + LINGERS
        });
        was_seen
            || match evidence {
                Evidence::NewConnection => self.opened_connection(),
                Evidence::Requests => self.sends_requests(),
                Evidence::Connected => self.stays_connected(),
                Evidence::NotReadAgain
                | Evidence::NotSeenAgain
                | Evidence::Holds
                | Evidence::ReadsOld
                | Evidence::LearnedHabit => false,
            }
    }

    /// Whether all that was seen is one read, long after the start of the container, by a process
    /// that the agent does not know: somebody may have looked at the token, and the container use
    /// the API server with another credential.
    fn may_be_a_look(&self) -> bool {
        let Some([only]) = self.reader.map(|reader| reader.visits.as_slices().0) else {
            return false;
        };
        let began = self.started.map(|started| started + AT_START);
        let is_late = began.is_some_and(|began| self.at(&only.first) > began);
        !self.is_named() && is_late && only.count == 1
    }

    /// The uses that show that it keeps an earlier generation, for later.
    pub(super) fn proof(&self) -> Vec<Evidence> {
        let uses = [Evidence::NewConnection, Evidence::Requests, Evidence::Connected];
        let found = self.evidence();
        uses.into_iter().filter(|evidence| found.contains(evidence)).collect()
    }

    /// When a request shows that it keeps the token: it would have read a newer one by then.
    pub(super) fn must_read_after(&self) -> Option<Wall> {
        let last = self.at(&self.last()?.last);
        let usual = match self.habit().habit {
            Habit::Every { period } => longer(period).max(CACHED),
            Habit::EachRequest => CACHED,
            Habit::Unknown
            | Habit::Never
            | Habit::OnChange
            | Habit::Once
            | Habit::AfterRefusal
            | Habit::BeforeExpiry { .. }
            | Habit::Exchange => self.known_period().map_or(CACHED_LONG, longer).max(CACHED_LONG),
        };
        Some(self.replaced_at().max(last + usual))
    }

    /// When its library reads again, if the image or the program shows that.
    fn known_period(&self) -> Option<Delta> {
        let _ = self.connections?; // it matters for their evidence alone
        libraries::longest_period(self.workload.image, self.who.program.as_deref())
    }

    /// Whether the pod's use of the API server at this time may be that of another container: one
    /// that had a newer token, or had read the same one not long before.
    fn is_of_another(&self, at: Wall) -> bool {
        let Some(own) = self.last() else { return !self.others.is_empty() };
        let uses = |visit: &Visit| {
            let is_newer = visit.kept.issued_at > own.kept.issued_at;
            self.at(&visit.first) <= at && (is_newer || at < self.at(&visit.last) + CACHED_LONG)
        };
        self.others.iter().flat_map(|other| &other.visits).any(uses)
    }

    fn opened_connection(&self) -> bool {
        let opened = self.connections.and_then(|connections| connections.opened_after);
        let used = opened.zip(self.must_read_after());
        used.is_some_and(|(opened, after)| {
            let at = self.at(&opened);
            at >= after && !self.is_of_another(at)
        })
    }

    /// The last look found requests, and all that it counted is later than the read that a client
    /// would have made.
    fn sends_requests(&self) -> bool {
        let sends = self.connections.is_some_and(|one| one.requests_since.is_some());
        let counted = self.must_read_after().map(|after| after + LOOKS);
        sends
            && counted.is_some_and(|counted| self.now.wall >= counted)
            && !self.is_of_another(self.now.wall)
    }

    fn stays_connected(&self) -> bool {
        let is_connected = self.connections.is_some_and(|one| one.established > 0);
        let since = self.last().map(|last| self.at(&last.last));
        let until = since
            .zip(self.must_read_after())
            .map(|(last, after)| after.max(last + WATCH_UNTIL_ENDED));
        is_connected
            && until.is_some_and(|until| self.now.wall >= until.max(self.replaced_at() + FRESH))
            && !self.is_of_another(self.now.wall)
    }

    /// In earlier generations it waited for the refusal, or for a window that has passed now. Or
    /// an earlier container of the workload used the token of its start to the end.
    fn is_habit(&self) -> bool {
        let Learned { habit, generations } = self.habit();
        // What this generation itself has shown is no further evidence.
        let known = self.workload.known.filter(|known| known.since < self.replaced_at());
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

    /// The agent sees the use of the API server, and there is none.
    pub(super) fn is_idle(&self) -> bool {
        self.connections.is_some_and(|connections| {
            let opened = connections.opened_after;
            let lately = opened.is_some_and(|opened| opened.wall >= self.replaced_at());
            connections.established == 0 && !lately
        })
    }
}

/// When one that reads this long before the end has not read.
pub(super) fn window_passed(dead_at: Wall, window: Delta) -> Wall {
    dead_at - window.fraction(3, 4)
}

/// A quarter more than a period: a client may read a little later.
fn longer(period: Delta) -> Delta {
    period.fraction(5, 4)
}

//! The conclusion about one reader.

use super::case::Case;
use crate::base::time::{Delta, Wall};
use crate::world::cluster::Sandbox;
use crate::world::readers::{
    Evidence, Habit, InFile, Kept, Learned, Reader, ReaderVerdict, Strength, Visit, Watched, Who,
    learn, looks_once,
};

/// Time for which clients keep a token that they have read: a minute (client-go and those that
/// follow it; KEP-1205 asks for no more).
const CACHED: Delta = Delta::from_secs(60);
/// A client that only watches sends a request when its watch ends: after 5 to 10 min (reflector.go
/// in client-go). It may have begun with a token that was a minute old.
const WATCH: Delta = Delta::from_secs(660);
/// The same if its watch began with its first read.
const FIRST_WATCH: Delta = Delta::from_secs(615);
/// Time after a rotation in which nobody has to have read the new token: a minute, and the time
/// between two looks.
const FRESH: Delta = Delta::from_secs(75);
/// An open file may be read just after it was replaced.
const IN_FLIGHT: Delta = Delta::from_secs(10);
/// Time in which the agent learns that it watches a new generation.
const STARTING: Delta = Delta::from_secs(5);
/// The last moment to name a reader before its token is refused.
const LAST_CALL: Delta = Delta::from_secs(30);
/// Time after the start of its container within which a client reads the token that it keeps.
const AT_START: Delta = Delta::from_secs(120);
/// Two looks at the processes: what the last one counted began within this time.
const LOOKS: Delta = Delta::from_secs(65);
/// The start of a container is known to the second.
const ROUNDING: Delta = Delta::from_secs(1);

/// Why a container may have read the token although no read is known to be its own.
const ENDED: &str = "a process that ended before the agent could look read the new token";

const FROZEN: &str = "it has an old mount of the volume, and the agent does not see reads there";

/// What the agent concludes about a reader.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged<'a> {
    /// Who it is.
    pub who: Who,
    /// Its reads; none if nobody was seen to read.
    pub reader: Option<&'a Reader>,
    /// The generation that it read last.
    pub held: Option<&'a Kept>,
    /// The current one.
    pub current: &'a InFile,
    /// When what it holds was replaced, on the node's clock; when the current one appeared, if it
    /// holds that, or if the agent does not know.
    pub replaced_at: Wall,
    /// How it reads.
    pub habit: Habit,
    /// The conclusion.
    pub verdict: ReaderVerdict,
    /// The evidence for it.
    pub evidence: Vec<Evidence>,
    /// What limits the conclusion, for people.
    pub why: Option<String>,
}

impl Judged<'_> {
    /// Whether it has read the current generation.
    pub fn is_current(&self) -> bool {
        self.held.is_some_and(|held| held.id == self.current.kept.id)
    }

    /// Whether the evidence goes beyond "it has not read the new token".
    pub fn is_confirmed(&self) -> bool {
        self.evidence.iter().any(|evidence| evidence.strength() > Strength::Hint)
    }
}

/// Evidence, or what stands in its way.
struct Weighed {
    verdict: ReaderVerdict,
    evidence: Vec<Evidence>,
    why: Option<String>,
}

impl Weighed {
    fn plain(verdict: ReaderVerdict) -> Self {
        Self { verdict, evidence: Vec::new(), why: None }
    }

    fn unknown(why: &str) -> Self {
        Self { why: Some(why.to_owned()), ..Self::plain(ReaderVerdict::Unknown) }
    }
}

impl<'a> Case<'a> {
    /// The conclusion about this reader.
    pub(super) fn judge(&self) -> Judged<'a> {
        let Weighed { verdict, evidence, why } = self.weigh();
        Judged {
            who: self.who.clone(),
            reader: self.reader,
            held: self.last().map(|last| &last.kept),
            current: self.current,
            replaced_at: self.replaced_at(),
            habit: self.habit().habit,
            verdict,
            evidence,
            why,
        }
    }

    fn last(&self) -> Option<&'a Visit> {
        self.reader.and_then(Reader::last)
    }

    fn replaced_at(&self) -> Wall {
        let known = self.last().and_then(|last| last.replaced_at);
        known.unwrap_or(self.current.appeared)
    }

    fn weigh(&self) -> Weighed {
        if self.reads_old() {
            let evidence = self.evidence();
            return Weighed { evidence, ..Weighed::plain(ReaderVerdict::Stale) };
        }
        let Some(last) = self.last_of_container() else { return self.nobody_read() };
        if self.is_current() {
            return Weighed::plain(ReaderVerdict::Current);
        }
        if self.of.is_exchanged {
            return Weighed::plain(ReaderVerdict::Waiting);
        }
        self.weigh_old(last)
    }

    fn nobody_read(&self) -> Weighed {
        match self.unseen() {
            Some(why) => Weighed::unknown(why),
            None => Weighed::plain(ReaderVerdict::NeverRead),
        }
    }

    /// It read an earlier generation last.
    fn weigh_old(&self, last: &Visit) -> Weighed {
        let evidence = self.evidence();
        if evidence.iter().any(|one| one.strength() > Strength::Hint) {
            return Weighed { evidence, ..Weighed::plain(ReaderVerdict::Stale) };
        }
        if let Some(why) = self.unseen().filter(|_| !evidence.contains(&Evidence::Holds)) {
            return Weighed::unknown(why);
        }
        if self.is_idle() {
            return Weighed::plain(ReaderVerdict::Idle);
        }
        let held = evidence.contains(&Evidence::Holds).then(|| self.replaced_at() + FRESH);
        let once = self.looks_once(last).then(|| self.patience(last));
        let is_over = held.into_iter().chain(once).any(|until| self.now.wall >= until);
        let verdict = if is_over { ReaderVerdict::Stale } else { ReaderVerdict::Waiting };
        Weighed { evidence, ..Weighed::plain(verdict) }
    }

    /// Why the agent may have missed that a newer generation was read.
    fn unseen(&self) -> Option<&'a str> {
        let mut newer =
            self.token.generations.iter().filter(|one| one.appeared >= self.replaced_at());
        let unseen = newer.rfind(|one| !self.is_seen(one));
        let hidden = self.of.sandbox.map(Sandbox::hides_reads).or(self.token.unseen.as_deref());
        hidden
            .or(self.of.is_frozen.then_some(FROZEN))
            .or(unseen.and_then(|one| one.seen.missed()))
            .or_else(|| self.read_by_nobody())
    }

    /// A newer generation was read by a process that had ended when the agent looked: it may have
    /// been of this container.
    fn read_by_nobody(&self) -> Option<&'static str> {
        let is_newer = |visit: &Visit| visit.last.wall >= self.replaced_at();
        let nobodys = self.token.readers.iter().filter(|reader| reader.container_id.is_none());
        let read = nobodys.filter_map(Reader::last).any(is_newer);
        let is_named = self.reader.is_some_and(|reader| reader.container_id.is_some());
        (is_named && read).then_some(ENDED)
    }

    /// Whether every read of a generation was seen, or will be. Before its container was started,
    /// nobody could read.
    fn is_seen(&self, one: &InFile) -> bool {
        match &one.seen {
            Watched::All => true,
            Watched::NotYet => self.now.wall < one.appeared + STARTING,
            Watched::Missed(until, _) => self.started.is_some_and(|started| *until <= started),
        }
    }

    /// The last read, if the container may have made it: one from before its start was of a process
    /// that is gone.
    fn last_of_container(&self) -> Option<&'a Visit> {
        self.last().filter(|last| self.is_of_container(last))
    }

    fn is_of_container(&self, visit: &Visit) -> bool {
        self.started.is_none_or(|started| visit.last.wall + ROUNDING >= started)
    }

    /// What the container read, oldest first.
    fn visits(&self) -> Vec<&'a Visit> {
        let all = self.reader.into_iter().flat_map(|reader| &reader.visits);
        all.filter(|visit| self.is_of_container(visit)).collect()
    }

    /// It read a generation that was replaced some time before.
    fn reads_old(&self) -> bool {
        let read = self.reader.and_then(|reader| reader.read_old);
        !self.of.has_subpath && read.is_some_and(|read| read.wall >= self.replaced_at() + IN_FLIGHT)
    }

    fn holds(&self) -> bool {
        self.token.held.is_some() && !self.of.has_subpath
    }

    fn evidence(&self) -> Vec<Evidence> {
        let not_read = self.last().is_some() && !self.is_current() && self.unseen().is_none();
        let all = [
            (Evidence::ReadsOld, self.reads_old()),
            (Evidence::NewConnection, not_read && self.opened_connection()),
            (Evidence::Requests, not_read && self.sends_requests()),
            (Evidence::Connected, not_read && self.stays_connected()),
            (Evidence::LearnedHabit, not_read && self.is_habit()),
            (Evidence::Holds, self.holds()),
            (Evidence::NotReadAgain, not_read),
        ];
        all.into_iter().filter(|(_, found)| *found).map(|(evidence, _)| evidence).collect()
    }

    /// When a request shows that it keeps the token: it would have read a newer one by then.
    fn must_read_after(&self) -> Option<Wall> {
        let last = self.last()?.last.wall;
        let usual = match self.habit().habit {
            Habit::Every { period } => period.fraction(5, 4).max(CACHED),
            Habit::Unknown
            | Habit::Never
            | Habit::EachRequest
            | Habit::OnChange
            | Habit::Once
            | Habit::AfterRefusal
            | Habit::BeforeExpiry { .. }
            | Habit::Exchange => CACHED,
        };
        Some(self.replaced_at().max(last + usual))
    }

    fn opened_connection(&self) -> bool {
        let opened = self.connections.and_then(|connections| connections.opened_after);
        opened.zip(self.must_read_after()).is_some_and(|(opened, after)| opened.wall >= after)
    }

    /// The last look found requests, and all that it counted is later than the read that a client
    /// would have made.
    fn sends_requests(&self) -> bool {
        let sends = self.connections.is_some_and(|one| one.requests_since.is_some());
        let counted = self.must_read_after().map(|after| after + LOOKS);
        sends && counted.is_some_and(|counted| self.now.wall >= counted)
    }

    fn stays_connected(&self) -> bool {
        let is_connected = self.connections.is_some_and(|one| one.established > 0);
        let since = self.last().map(|last| last.last.wall);
        let until = since.zip(self.must_read_after()).map(|(last, after)| after.max(last + WATCH));
        is_connected
            && until.is_some_and(|until| self.now.wall >= until.max(self.replaced_at() + FRESH))
    }

    /// In earlier generations it waited for the refusal, or for a window that has passed now. Or
    /// an earlier container of the workload used the token of its start to the end.
    fn is_habit(&self) -> bool {
        let Learned { habit, generations } = self.habit();
        let is_known = self.known.is_some_and(|known| known.habit == habit);
        let is_settled = self.now.wall >= self.replaced_at() + FRESH;
        let is_learned = is_settled && (generations > 1 || is_known);
        let Some(last) = self.last().filter(|_| is_learned) else { return false };
        match habit {
            Habit::Once => {
                self.known.is_some_and(|known| known.is_confirmed && known.habit == Habit::Once)
            }
            Habit::AfterRefusal => true,
            Habit::BeforeExpiry { window } => {
                self.now.wall > last.kept.dead_at - window.fraction(3, 4)
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
    fn is_idle(&self) -> bool {
        self.connections.is_some_and(|connections| {
            let opened = connections.opened_after;
            let lately = opened.is_some_and(|opened| opened.wall >= self.replaced_at());
            connections.established == 0 && !lately
        })
    }

    /// All its reads were at the start of its container, and the agent would have seen others.
    fn looks_once(&self, last: &Visit) -> bool {
        let started = self.started.is_some_and(|started| last.first.wall <= started + AT_START);
        let watched = self.token.generations.iter().find(|one| one.kept.id == last.kept.id);
        let is_certain = watched.is_none_or(|one| self.is_seen(one));
        started && is_certain && looks_once(&self.visits())
    }

    /// Until when it may still read the new token without having failed.
    fn patience(&self, last: &Visit) -> Wall {
        let read = last.last.wall;
        let call = (last.kept.dead_at - LAST_CALL).max(read + FIRST_WATCH);
        (read + WATCH).min(call).max(self.replaced_at() + FRESH)
    }

    pub(super) fn habit(&self) -> Learned {
        if self.of.is_exchanged && self.last().is_some() {
            return Learned { habit: Habit::Exchange, generations: 0 };
        }
        let visits = self.visits();
        if visits.is_empty() {
            let habit = if self.unseen().is_none() { Habit::Never } else { Habit::Unknown };
            return Learned { habit, generations: 0 };
        }
        let keeps = !self.is_current() && self.now.wall >= self.replaced_at() + FRESH;
        let learned = learn::habit(&visits, keeps);
        let known = self.known.filter(|_| learned.habit == Habit::Unknown);
        known.map_or(learned, |known| Learned { habit: known.habit, generations: 0 })
    }

    /// The times at which the conclusion may change.
    pub(super) fn times(&self) -> Vec<Wall> {
        let Some(last) = self.last().filter(|_| !self.is_current()) else { return Vec::new() };
        let mut times = vec![
            self.current.appeared + STARTING,
            last.last.wall + WATCH,
            self.replaced_at() + FRESH,
        ];
        times.extend(self.must_read_after().map(|after| after + LOOKS));
        times.push(self.patience(last));
        times
    }
}

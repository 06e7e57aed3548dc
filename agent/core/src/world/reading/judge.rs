//! The conclusion about one reader.

use super::case::Case;
use super::evidence::{FRESH, WATCH, window_passed};
use super::uses::{AT_START, LOOKS, WATCH_UNTIL_ENDED};
use crate::base::time::{Delta, Wall};
use crate::world::cluster::Sandbox;
use crate::world::readers::{
    Evidence, Habit, InFile, Kept, Learned, Reader, ReaderVerdict, Strength, Visit, Watched, Who,
    learn, looks_once,
};
use crate::world::tokens::Exchange;

/// `WATCH`, if the watch began with its first read.
const FIRST_WATCH: Delta = Delta::from_secs(615);
/// Time in which the agent learns that it watches a new generation.
const STARTING: Delta = Delta::from_secs(5);
/// The last moment to name a reader before its token is refused.
const LAST_CALL: Delta = Delta::from_secs(30);
/// The start of a process is known to 10 ms, in the time since the machine started. The API server
/// gives that of a container in seconds, and never too late.
const ROUNDING: Delta = Delta::from_millis(100);

/// Why a container may have read the token although no read is known to be its own.
const NOBODYS: &str = "a process whose container the agent does not know read the new token";
/// Why a reader may have read it although the agent does not know.
const ENDED: &str = "a process read it that ended before the agent could look, and the agent does \
                     not know whether its container has read the new token";
/// Why a reader of a token that ended may be healthy.
const OVER: &str = "the API server refuses the token that it read, and nothing shows whether it \
                    still uses that";
/// Why a reader may not be known any more.
const CROWDED: &str = "more containers read this token than the agent keeps";
/// Why the reads of an old mount are not known.
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

impl<'a> Judged<'a> {
    /// Whether it has read the current generation.
    pub fn is_current(&self) -> bool {
        self.held.is_some_and(|held| held.id == self.current.kept.id)
    }

    /// What it holds: the earlier generation that it reads, or else the one that it read last.
    pub fn kept(&self) -> Option<&'a Kept> {
        let is_seen = |evidence| self.evidence.contains(&evidence);
        let has_old = is_seen(Evidence::ReadsOld) || is_seen(Evidence::Audit);
        let old = self.reader.and_then(|reader| reader.old.as_ref()).filter(|_| has_old);
        old.or(self.held)
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
            held: self.last_of_container().map(|last| &last.kept),
            current: self.current,
            replaced_at: self.replaced().wall,
            habit: self.habit().habit,
            verdict,
            evidence,
            why,
        }
    }

    pub(super) fn last(&self) -> Option<&'a Visit> {
        self.reader.and_then(Reader::last)
    }

    fn weigh(&self) -> Weighed {
        if self.reads_old() || self.is_audited() {
            let evidence = self.evidence();
            return Weighed { evidence, ..Weighed::plain(ReaderVerdict::Stale) };
        }
        let Some(last) = self.last_of_container() else { return self.nobody_read() };
        if self.is_current() {
            return Weighed::plain(ReaderVerdict::Current);
        }
        match last.kept.exchange {
            Some(exchange) => self.weigh_exchanged(last, exchange),
            None => self.weigh_old(last),
        }
    }

    /// It reads the token again when its other credential ends.
    fn weigh_exchanged(&self, last: &Visit, exchange: Exchange) -> Weighed {
        if self.now.wall < last.kept.dead_at + exchange.longest_life() {
            return Weighed::plain(ReaderVerdict::Waiting);
        }
        match self.unseen() {
            Some(why) => Weighed::unknown(why),
            None => Weighed { evidence: self.evidence(), ..Weighed::plain(ReaderVerdict::Stale) },
        }
    }

    /// From when on it matters that somebody holds an old generation: a client that was not seen
    /// yet has read the new one by then.
    fn held_from(&self) -> Option<Wall> {
        let (_, since) = self.token.held.filter(|_| self.holds())?;
        Some(self.at(&since).max(self.replaced_at()) + FRESH)
    }

    fn nobody_read(&self) -> Weighed {
        if self.held_from().is_some_and(|from| self.now.wall >= from) {
            return Weighed { evidence: self.evidence(), ..Weighed::plain(ReaderVerdict::Stale) };
        }
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
        if is_over {
            return Weighed { evidence, ..Weighed::plain(ReaderVerdict::Stale) };
        }
        if self.now.wall >= last.kept.dead_at {
            return Weighed::unknown(OVER);
        }
        Weighed { evidence, ..Weighed::plain(ReaderVerdict::Waiting) }
    }

    /// Why the agent may have missed that a newer generation was read.
    pub(super) fn unseen(&self) -> Option<&'a str> {
        let unseen = self.newer().rev().find(|one| !self.is_seen(one));
        let hidden = self.of.sandbox.map(Sandbox::hides_reads).or(self.token.unseen.as_deref());
        hidden
            .or(self.of.is_frozen.then_some(FROZEN))
            .or(unseen.and_then(|one| one.seen.missed()))
            .or_else(|| self.forgotten())
            .or_else(|| self.left_out())
            .or_else(|| self.read_by_nobody())
    }

    /// The generations after the one that it read last, oldest first; all, if it was not seen to
    /// read.
    fn newer(&self) -> impl DoubleEndedIterator<Item = &'a InFile> + use<'a, '_> {
        let from = self.last().map(|_| self.replaced().wall);
        self.token.generations.iter().filter(move |one| from.is_none_or(|at| one.appeared >= at))
    }

    /// Why it may have read a generation that is not kept any more.
    fn forgotten(&self) -> Option<&'a str> {
        let (until, why) = self.token.gaps.forgotten.as_ref()?;
        let is_newer = self.last().is_none_or(|_| *until >= self.replaced().wall);
        let is_its_own = self.started.is_none_or(|started| *until > started);
        (is_newer && is_its_own).then_some(why.as_str())
    }

    /// Why it may be a reader that is not kept any more: one that is known by its id is kept.
    fn left_out(&self) -> Option<&'static str> {
        let until = self.token.gaps.left_out.filter(|_| !self.is_named())?;
        self.started.is_none_or(|started| until > started).then_some(CROWDED)
    }

    /// Whether it may have read a newer generation in a moment that the agent missed, as one that
    /// waits for the rotation does.
    pub(super) fn misses_moment(&self) -> bool {
        let missed = |one: &InFile| match &one.seen {
            Watched::ButMoment(until) => self.started.is_none_or(|started| *until > started),
            Watched::NotYet | Watched::All | Watched::Missed(..) => false,
        };
        self.newer().any(missed)
    }

    /// A process read the current generation that may have been of this container; or this reader
    /// is such a process, and its container may have read since.
    fn read_by_nobody(&self) -> Option<&'static str> {
        let readers = || self.token.readers.iter();
        if self.reader?.container_id.is_none() {
            // Below `fanotify`, no container is known by its reads.
            let any_named = readers().any(|reader| reader.container_id.is_some());
            return (any_named && self.who.container_id.is_none()).then_some(ENDED);
        }
        let nobodys = readers().filter(|reader| reader.container_id.is_none());
        let is_current = |visit: &Visit| visit.kept.id == self.current.kept.id;
        nobodys.filter_map(Reader::last).any(is_current).then_some(NOBODYS)
    }

    /// Whether every read of a generation was seen, or will be. Before its container was started,
    /// nobody could read.
    fn is_seen(&self, one: &InFile) -> bool {
        match &one.seen {
            Watched::All | Watched::ButMoment(_) => true,
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
        self.is_since_start(visit.last.wall)
    }

    /// A container that is known by its id made its reads itself, whatever the clock showed.
    pub(super) fn is_since_start(&self, at: Wall) -> bool {
        self.is_named() || self.started.is_none_or(|started| at + ROUNDING >= started)
    }

    pub(super) fn is_named(&self) -> bool {
        self.reader.is_some_and(|reader| reader.container_id.is_some())
    }

    /// Whether all its visits are certain to be of one container: one that was restarted just now
    /// has no known start.
    pub(super) fn is_one_container(&self) -> bool {
        self.is_named() || self.started.is_some()
    }

    /// What the container read, oldest first.
    pub(super) fn visits(&self) -> Vec<&'a Visit> {
        let all = self.reader.into_iter().flat_map(|reader| &reader.visits);
        all.filter(|visit| self.is_of_container(visit)).collect()
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
        let read = self.at(&last.last);
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
        let is_open = learned.habit == Habit::Unknown && !self.refutes_known();
        let known = self.workload.known.filter(|_| is_open);
        known.map_or(learned, |known| Learned { habit: known.habit, generations: 0 })
    }

    /// The times at which the conclusion may change.
    pub(super) fn times(&self) -> Vec<Wall> {
        let Some(last) = self.last().filter(|_| !self.is_current()) else {
            let used = self.audited_until();
            return self.turns_at().into_iter().chain(self.held_from()).chain(used).collect();
        };
        let mut times = vec![
            self.current.appeared + STARTING,
            self.at(&last.last) + WATCH,
            self.replaced_at() + FRESH,
        ];
        times.extend(self.must_read_after().map(|after| after + LOOKS));
        times.extend(self.ends(last));
        times.push(self.patience(last));
        times.extend(self.audited_until());
        times
    }

    /// The times that have to do with the end of what it read.
    fn ends(&self, last: &Visit) -> Vec<Wall> {
        let Kept { dead_at, exchange, .. } = &last.kept;
        let mut ends = vec![*dead_at, self.at(&last.last) + WATCH_UNTIL_ENDED];
        ends.extend(exchange.map(|exchange| *dead_at + exchange.longest_life()));
        if let Habit::BeforeExpiry { window } = self.habit().habit {
            ends.push(window_passed(*dead_at, window));
        }
        ends.extend(self.turns_at());
        ends
    }
}

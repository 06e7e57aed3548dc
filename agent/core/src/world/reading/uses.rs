//! The pod's use of the API server, and what it shows of one reader.

use super::case::Case;
use super::evidence::{FRESH, LINGERS, window_passed};
use crate::base::time::{Delta, Wall};
use crate::world::readers::{Evidence, Habit, Proof, Visit, libraries};
use crate::world::tokens::CACHE;

/// Time for which clients keep a token that they have read: a minute (client-go and those that
/// follow it; KEP-1205 asks for no more).
const CACHED: Delta = Delta::from_secs(60);
/// The same of older ones: client-go v9 and v10.
const CACHED_LONG: Delta = Delta::from_secs(300);
/// Time after a rotation from which a request with the old token shows that its client keeps it:
/// the longest period of a library that reads in time (fluent-bit, 600 s), and a minute for which
/// it may keep what it read.
const AUDITED: Delta = Delta::from_secs(660);
/// The API server ends a watch whose client gave no time after 30 to 60 min (twice its
/// `--min-request-timeout`): plain watches of the Python, Java and JavaScript clients. Such a
/// client then reads the token again.
pub(super) const WATCH_UNTIL_ENDED: Delta = Delta::from_secs(3_660);
/// Time after the start of its container within which a client reads the token that it keeps.
pub(super) const AT_START: Delta = Delta::from_secs(120);
/// Two looks at the processes: what the last one counted began within this time.
pub(super) const LOOKS: Delta = Delta::from_secs(65);

/// The kinds of evidence that a use gives.
const USES: [Evidence; 3] = [Evidence::NewConnection, Evidence::Requests, Evidence::Connected];

impl Case<'_> {
    /// Whether its use of the API server shows, or has shown, that it keeps the token. What was
    /// seen stays true until it reads another one. Some time after the end of the token, nothing
    /// shows that it is used still.
    pub(super) fn uses(&self, evidence: Evidence) -> bool {
        !self.may_be_a_look() && self.proof(evidence).is_some()
    }

    /// The API server accepted a replaced generation from it at a time when it should have read a
    /// newer one, and it has read none since.
    pub(super) fn is_audited(&self) -> bool {
        let Some(used) = self.reader.and_then(|reader| reader.used_old) else { return false };
        let is_one = self.who.container.is_some() || self.who.container_id.is_some();
        let has_turned = is_one
            && self.is_current()
            && self.last().is_some_and(|last| last.last.monotonic > used.at.monotonic);
        !self.of.has_subpath
            && self.is_since_start(used.at.wall)
            && self.at(&used.at) >= self.at(&used.replaced) + AUDITED
            && self.audited_until().is_some_and(|until| self.now.wall < until)
            && !has_turned
    }

    /// Until when such a request shows what it uses.
    pub(super) fn audited_until(&self) -> Option<Wall> {
        self.reader?.used_old.map(|used| self.at(&used.at) + WATCH_UNTIL_ENDED)
    }

    /// The uses that show that it keeps an earlier generation, for later.
    pub(super) fn proofs(&self) -> Vec<Proof> {
        let found = self.evidence();
        let found = USES.into_iter().filter(|evidence| found.contains(evidence));
        found.filter_map(|evidence| self.proof(evidence)).collect()
    }

    fn proof(&self, evidence: Evidence) -> Option<Proof> {
        let kept = self.last().filter(|last| self.now.wall < last.kept.dead_at + LINGERS);
        let kept = kept.into_iter().flat_map(|last| last.proven.iter().copied());
        let kept = kept.filter(|proof| proof.evidence == evidence);
        self.seen(evidence).into_iter().chain(kept).find(|proof| self.shows(proof))
    }

    /// The use that the last look shows.
    fn seen(&self, evidence: Evidence) -> Option<Proof> {
        let (connections, now) = (self.connections?, self.now);
        let (after, by) = match evidence {
            Evidence::NewConnection => (connections.opened_after?, connections.opened_by?),
            // All that it counted is later than that.
            Evidence::Requests => connections.requests_since.map(|_| (now.after(-LOOKS), now))?,
            Evidence::Connected => (connections.established > 0).then_some((now, now))?,
            Evidence::NotReadAgain
            | Evidence::NotSeenAgain
            | Evidence::Holds
            | Evidence::ReadsOld
            | Evidence::Audit
            | Evidence::LearnedHabit => return None,
        };
        Some(Proof { evidence, after, by })
    }

    /// Whether a use shows that it keeps the token: it would have read a newer one by then, and
    /// nobody else explains the use.
    fn shows(&self, proof: &Proof) -> bool {
        let Some(must_read) = self.must_read_after() else { return false };
        let from = if proof.evidence == Evidence::Connected {
            let ended = self.last().map(|last| self.at(&last.last) + WATCH_UNTIL_ENDED);
            must_read.max(self.replaced_at() + FRESH).max(ended.unwrap_or(must_read))
        } else {
            must_read
        };
        let (after, by) = (self.at(&proof.after), self.at(&proof.by));
        after >= from && !self.is_of_another(after, by) && !self.is_of_session(after, by)
    }

    /// Whether a use between these times may be that of another reader: one that had a newer token,
    /// or had read its own not long before.
    fn is_of_another(&self, after: Wall, by: Wall) -> bool {
        let Some(own) = self.last() else { return !self.others.is_empty() };
        let uses = |visit: &Visit| {
            let is_newer = visit.kept.issued_at > own.kept.issued_at;
            self.at(&visit.first) <= by && (is_newer || after < self.at(&visit.last) + CACHED_LONG)
        };
        self.others.iter().flat_map(|other| &other.visits).any(uses)
    }

    /// Whether it may be that of a session: one that read a token, and has not ended long ago.
    fn is_of_session(&self, after: Wall, by: Wall) -> bool {
        let uses =
            |visit: &Visit| self.at(&visit.first) <= by && after < self.at(&visit.last) + LINGERS;
        self.token.sessions.iter().flat_map(|reader| &reader.visits).any(uses)
    }

    /// Whether all that was seen is one read, long after the start of the container, by a process
    /// that the agent does not know: somebody may have looked at the token, and the container use
    /// the API server with another credential.
    fn may_be_a_look(&self) -> bool {
        let Some([only]) = self.reader.map(|reader| reader.visits.as_slices().0) else {
            return false;
        };
        let began = self.started.map(|started| started + AT_START);
        let is_late = began.is_some_and(|began| only.first.wall > began);
        !self.is_named() && is_late && only.count == 1
    }

    /// When a request shows that it keeps the token: it would have read a newer one by then.
    pub(super) fn must_read_after(&self) -> Option<Wall> {
        let visit = self.last()?;
        let last = self.at(&visit.last);
        let usual = match self.habit().habit {
            Habit::BeforeExpiry { window } => {
                let passed = window_passed(visit.kept.dead_at, window);
                return Some(self.replaced_at().max(passed));
            }
            Habit::Every { period } => longer(period).max(CACHED),
            Habit::EachRequest => CACHED,
            Habit::Unknown
            | Habit::Never
            | Habit::OnChange
            | Habit::Once
            | Habit::AfterRefusal
            | Habit::Exchange => self.known_period().map_or(CACHED_LONG, longer).max(CACHED_LONG),
        };
        let usual = self.replaced_at().max(last + usual);
        Some(next_window(visit).map_or(usual, |passed| usual.max(passed)))
    }

    /// When its library reads again, if the image or the program shows that.
    fn known_period(&self) -> Option<Delta> {
        let _ = self.connections?; // it matters for their evidence alone
        libraries::longest_period(self.workload.image, self.who.program.as_deref())
    }

    /// The agent sees the use of the API server, and there is none.
    pub(super) fn is_idle(&self) -> bool {
        self.connections.is_some_and(|connections| {
            let opened = connections.opened_after;
            let lately = opened.is_some_and(|opened| opened.wall >= self.replaced().wall);
            connections.established == 0 && !lately
        })
    }
}

/// When the window has passed in which it read the last time: it kept a replaced token for
/// some time, and read the new one before the old one was refused. One such generation is no
/// habit, but it has once been right to wait. With an extended token nothing shows what the
/// client takes for its end.
fn next_window(last: &Visit) -> Option<Wall> {
    let is_extended = last.kept.dead_without_extension.is_some();
    let window = last.before.filter(|window| *window > CACHE && !is_extended)?;
    (last.lag > FRESH).then(|| window_passed(last.kept.dead_at, window))
}

/// A quarter more than a period: a client may read a little later.
fn longer(period: Delta) -> Delta {
    period.fraction(5, 4)
}

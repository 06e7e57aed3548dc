//! Which line of the server's log and which audit event are of one request.
//!
//! The API server notes when it receives a request, logs why it refuses it, and notes when it
//! answers: in this order, by one clock (k8s.io/apiserver, filters/authentication.go and
//! authn_audit.go). So the line is between the two times of its event. Of 850 refused requests of
//! Kubernetes 1.34.4, each had its line there, and half of the events took less than 0.4 ms.
//!
//! An event and a line are of one request only where the event has no other line in it, and the
//! line is in no other event.

use core::net::IpAddr;

use super::{AuditedRefusal, RefusalReason, TimedRefusals};
use crate::base::time::{Delta, Monotonic, Wall};

/// How far a line may be outside of its event. Both logs have microseconds, and the JSON format has
/// them as a fraction of a floating-point number.
const SLACK: Delta = Delta::from_nanos(2_000);
/// Time from the arrival of an event to the decision. Without inotify the agent looks at a log
/// every 30 s, and then reads one after the other.
const HOLD: Delta = Delta::from_secs(40);
/// Most lines, and most events, that wait: 25 requests a second. With more, those that arrive last
/// are left out, and nothing is joined at their time.
const MAX_HELD: usize = 1_024;

/// What waits for the other log.
#[derive(Clone, Debug, Default)]
pub(super) struct Joins {
    lines: Vec<Line>,
    events: Vec<Event>,
    unlisted: Option<Unlisted>,
}

#[derive(Clone, Debug)]
struct Line {
    at: Wall,
    reason: RefusalReason,
    seen: Monotonic,
    /// Whether it was joined: it still counts for other events.
    is_joined: bool,
}

#[derive(Clone, Debug)]
struct Event {
    refusal: AuditedRefusal,
    seen: Monotonic,
    /// Whether it was decided: it still counts for other lines.
    is_decided: bool,
}

/// The time of refusals that nobody lists: nothing is certain there.
#[derive(Clone, Copy, Debug)]
struct Unlisted {
    from: Wall,
    until: Wall,
    seen: Monotonic,
}

/// A request whose address and whose reason are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) address: IpAddr,
    pub(super) reason: RefusalReason,
    /// When its event was read.
    pub(super) seen: Monotonic,
}

impl AuditedRefusal {
    fn has(&self, at: Wall) -> bool {
        self.received - SLACK <= at && at <= self.answered + SLACK
    }
}

impl Joins {
    /// Takes what the logs showed.
    pub(super) fn take(&mut self, timed: TimedRefusals, now: Monotonic) {
        let TimedRefusals { logged, audited, unlisted } = timed;
        if let Some((from, until)) = unlisted {
            self.leave_out(from, until, now);
        }
        for (at, reason) in logged {
            self.line(Line { at, reason, seen: now, is_joined: false });
        }
        for refusal in audited {
            self.event(Event { refusal, seen: now, is_decided: false });
        }
    }

    fn line(&mut self, line: Line) {
        if self.lines.len() < MAX_HELD {
            self.lines.push(line);
        } else {
            self.leave_out(line.at, line.at, line.seen);
        }
    }

    fn event(&mut self, event: Event) {
        if self.events.len() < MAX_HELD {
            self.events.push(event);
        } else {
            self.leave_out(event.refusal.received, event.refusal.answered, event.seen);
        }
    }

    fn leave_out(&mut self, from: Wall, until: Wall, now: Monotonic) {
        let (from, until) = (from.min(until), until.max(from));
        let known = self.unlisted.get_or_insert(Unlisted { from, until, seen: now });
        (known.from, known.until) = (known.from.min(from), known.until.max(until));
        known.seen = now;
    }

    /// Decides about the events that have waited long enough.
    pub(super) fn settle(&mut self, now: Monotonic) -> Vec<Joined> {
        let is_due = |event: &Event| !event.is_decided && now - event.seen >= HOLD;
        let due: Vec<usize> =
            (0..self.events.len()).filter(|nth| is_due(&self.events[*nth])).collect();
        let joined = due.iter().filter_map(|nth| self.join(*nth)).collect();
        for nth in due {
            self.events[nth].is_decided = true;
        }
        self.forget(now);
        joined
    }

    fn join(&mut self, nth: usize) -> Option<Joined> {
        let Event { refusal, seen, .. } = &self.events[nth];
        if self.unlisted.is_some_and(|unlisted| unlisted.meets(refusal)) {
            return None;
        }
        let mut lines = self.lines.iter().enumerate().filter(|(_, line)| refusal.has(line.at));
        let (Some((of, line)), None) = (lines.next(), lines.next()) else { return None };
        let address = refusal.address.filter(|_| self.is_of_one(line))?;
        let joined = Joined { address, reason: line.reason, seen: *seen };
        self.lines[of].is_joined = true;
        Some(joined)
    }

    /// Whether this line is of the only event around it. A certificate is no token: its line is of
    /// another request.
    fn is_of_one(&self, line: &Line) -> bool {
        let events = self.events.iter().filter(|event| event.refusal.has(line.at));
        events.count() == 1 && !line.is_joined && line.reason != RefusalReason::Certificate
    }

    /// Forgets what no event that arrives now can be about: twice the time of the decision, because
    /// an event waits for as long after it has arrived.
    fn forget(&mut self, now: Monotonic) {
        let is_new = |seen: Monotonic| now - seen < HOLD + HOLD;
        self.lines.retain(|line| is_new(line.seen));
        self.events.retain(|event| is_new(event.seen));
        self.unlisted = self.unlisted.filter(|unlisted| is_new(unlisted.seen));
    }

    /// When the next event is due.
    pub(super) fn next(&self) -> Option<Monotonic> {
        let waiting = self.events.iter().filter(|event| !event.is_decided);
        waiting.map(|event| event.seen + HOLD).min()
    }
}

impl Unlisted {
    fn meets(self, refusal: &AuditedRefusal) -> bool {
        self.from - SLACK <= refusal.answered && refusal.received <= self.until + SLACK
    }
}

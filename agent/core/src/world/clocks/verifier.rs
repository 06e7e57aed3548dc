//! The clock of the API server, which decides whether a token is valid: from the `Date` header of
//! its answers (RFC 9110, section 6.6.1).
//!
//! A header names a second, and the answer was made at some moment between the request and its
//! arrival. So each answer gives an interval, and the intervals of many answers together are
//! narrower than a second. Several API servers may be behind one address: an answer that
//! contradicts a clock is of another one, or that clock was set.

use serde::{Deserialize, Serialize};

use super::bound::{HARDWARE_PPM, Range};
use super::served_by::ServedBy;
use crate::base::time::{Delta, Interval, Monotonic, Reading, Wall};

/// A header shows whole seconds, rounded down.
const RESOLUTION: Delta = Delta::from_secs(1);
/// Largest difference between the speed of two clocks, in parts per million: the node's measures
/// age by its hardware, and a time daemon may slew that of the API server (MAXFREQ in
/// include/linux/timex.h).
pub(super) const DRIFT_PPM: i64 = HARDWARE_PPM + 500;
/// Answers that took longer show too little.
const SLOWEST: Delta = Delta::from_secs(10);
/// Answers that make a clock certain: one alone may be of a proxy, or of a machine that resumes.
pub(super) const CERTAIN: u32 = 3;
/// API servers behind one address that are distinguished. Beyond, the one that has not answered for
/// the longest time is forgotten.
const MAX_CLOCKS: usize = 8;
/// A clock that nobody has read for so long is not known any more.
pub(super) const FORGOTTEN: Delta = Delta::from_secs(3_600);

/// An answer of the API server with the time at which it was made, by the API server's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DateSeen {
    /// When the agent sent the request.
    pub sent: Reading,
    /// When the head of the answer arrived.
    pub received: Reading,
    /// The second that the API server's clock showed in between.
    pub date: Wall,
    /// The DNS names in the certificate of the connection; none where it has none, or too many, or
    /// is not encrypted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// The clocks of the API servers behind the address that the agent uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifierClocks {
    /// The one that answered last is the last.
    clocks: Vec<Clock>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Clock {
    /// What it shows more than the node's monotonic clock, as of the last answer.
    ahead: Range,
    first: Monotonic,
    last: Monotonic,
    answers: u32,
    /// Whether it answered again after another one had.
    came_back: bool,
    /// What true time was more than the monotonic clock, when it answered last, if that was known.
    truth: Option<Range>,
    served_by: ServedBy,
}

/// What is known of the clock of one API server at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VerifierClock {
    /// How far it is ahead of the node's wall clock.
    pub(crate) ahead: Range,
    /// How many answers show it.
    pub(crate) answers: u32,
    /// Whether it and another one answer in turn: they are different servers.
    pub(crate) alternates: bool,
    /// How far true time was ahead of what is the node's wall clock now, when it answered last, if
    /// that was known.
    pub(crate) truth: Option<Range>,
    /// When it was first read, if another clock was read before: one of them was set, or the node
    /// stood still, or they are of two servers.
    pub(crate) differs_since: Option<Monotonic>,
    /// The names that tell its server apart from those with the other clocks, if any do. None
    /// while it does not alternate with another.
    pub(crate) names: Vec<String>,
}

impl Clock {
    fn new(seen: &DateSeen) -> Self {
        let at = seen.received.monotonic;
        let mut served_by = ServedBy::default();
        served_by.add(&seen.names);
        let (came_back, truth) = (false, None);
        Self { ahead: ahead(seen), first: at, last: at, answers: 1, came_back, truth, served_by }
    }

    fn ahead_at(&self, now: Monotonic) -> Range {
        self.ahead.wider((now - self.last).drift(DRIFT_PPM))
    }

    /// Takes an answer; false if that contradicts this clock.
    fn take(&mut self, seen: &DateSeen) -> bool {
        let at = seen.received.monotonic;
        let (known, new) = (self.ahead_at(at), ahead(seen));
        if !known.meets(&new) {
            return false;
        }
        let ahead = Range { lo: known.lo.max(new.lo), hi: known.hi.min(new.hi) };
        (self.ahead, self.last, self.answers) = (ahead, at, self.answers.saturating_add(1));
        self.served_by.add(&seen.names);
        true
    }

    /// Both came back: a clock that was set, and was set right again, did so only once.
    fn alternates_with(&self, other: &Self) -> bool {
        let overlap = self.last > other.first && other.last > self.first;
        overlap && self.came_back && other.came_back
    }
}

/// By how much the API server's clock was ahead of the monotonic clock when the answer was made.
fn ahead(seen: &DateSeen) -> Range {
    let since =
        |at: Monotonic| Delta::from_nanos(seen.date.as_nanos().saturating_sub(at.as_nanos()));
    Range { lo: since(seen.received.monotonic), hi: since(seen.sent.monotonic) + RESOLUTION }
}

impl VerifierClocks {
    /// Takes an answer. `truth` is what true time is ahead of the node's wall clock, where a time
    /// source shows that. Returns whether it is of a clock that differs from those before, and that
    /// more answers would make certain.
    pub(crate) fn see(&mut self, seen: &DateSeen, truth: Option<Range>) -> bool {
        let took = seen.received.monotonic - seen.sent.monotonic;
        if took < Delta::ZERO || took > SLOWEST {
            return false;
        }
        let index = (0..self.clocks.len()).rev().find(|index| self.clocks[*index].take(seen));
        let is_last = index.is_none_or(|index| index + 1 == self.clocks.len());
        let mut clock = self.take_out(index, seen);
        clock.came_back |= !is_last;
        clock.truth = truth.map(|truth| truth.moved(wall_of(&seen.received)));
        if self.clocks.len() == MAX_CLOCKS {
            self.clocks.remove(0);
        }
        let is_uncertain = clock.answers < CERTAIN;
        self.clocks.push(clock);
        self.clocks.len() > 1 && is_uncertain
    }

    /// The clock with this index, or a new one. That may be one of the others which was set: from
    /// now on they are of other servers.
    fn take_out(&mut self, index: Option<usize>, seen: &DateSeen) -> Clock {
        if let Some(index) = index {
            return self.clocks.remove(index);
        }
        self.clocks.iter_mut().for_each(|clock| clock.served_by = ServedBy::default());
        Clock::new(seen)
    }

    /// What the clock of the API server that answered last shows at `now`, however few answers show
    /// it.
    pub(crate) fn last(&self, now: &Reading) -> Option<Interval> {
        let last = self.clocks.last().filter(|last| now.monotonic - last.last <= FORGOTTEN)?;
        let ahead = last.ahead_at(now.monotonic).moved(-wall_of(now));
        Some(Interval { lo: now.wall + ahead.lo, hi: now.wall + ahead.hi })
    }

    /// What is known of each clock at `now`; first the one that answered last. A clock with few
    /// answers, or with none for an hour, is left out. While the one that answered last has few,
    /// nothing is known: the others may be what it was before it was set.
    pub(crate) fn known(&self, now: &Reading) -> Vec<VerifierClock> {
        let certain = self.clocks.iter().rev().filter(|clock| clock.answers >= CERTAIN);
        let known: Vec<&Clock> =
            certain.filter(|clock| now.monotonic - clock.last <= FORGOTTEN).collect();
        let alternates =
            |clock: &Clock| known.iter().any(|one| *one != clock && one.alternates_with(clock));
        let is_new = self.clocks.last().is_some_and(|last| last.answers < CERTAIN);
        let is_set = is_new && !known.iter().any(|clock| alternates(clock));
        let is_later = |clock: &Clock| self.clocks.iter().any(|one| one.first < clock.first);
        let of = |clock: &&Clock| VerifierClock {
            ahead: clock.ahead_at(now.monotonic).moved(-wall_of(now)),
            answers: clock.answers,
            alternates: alternates(clock),
            truth: clock.truth.map(|truth| {
                truth.moved(-wall_of(now)).wider((now.monotonic - clock.last).drift(DRIFT_PPM))
            }),
            differs_since: is_later(clock).then_some(clock.first),
            names: if alternates(clock) { self.names_of(clock) } else { Vec::new() },
        };
        known.iter().filter(|_| !is_set).map(of).collect()
    }
}

impl VerifierClocks {
    /// All clocks count that were ever read: a server that has not answered for long is still one.
    fn names_of(&self, clock: &Clock) -> Vec<String> {
        let others = self.clocks.iter().filter(|other| *other != clock);
        clock.served_by.apart_from(others.map(|other| &other.served_by))
    }
}

/// What the wall clock is ahead of the monotonic one.
pub(super) fn wall_of(reading: &Reading) -> Delta {
    Delta::from_nanos(reading.wall.as_nanos().saturating_sub(reading.monotonic.as_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_800_000_000;

    fn at(millis: i64) -> Reading {
        let delta = Delta::from_millis(millis);
        Reading { wall: Wall::from_secs(START) + delta, monotonic: Monotonic::default() + delta }
    }

    /// An answer of a server that is `ahead` milliseconds ahead of the node, after `took` of them.
    fn answer(sent: i64, took: i64, ahead: i64) -> DateSeen {
        let made = at(sent + took / 2).wall + Delta::from_millis(ahead);
        let date = Wall::from_secs(made.as_secs());
        DateSeen { sent: at(sent), received: at(sent + took), date, names: Vec::new() }
    }

    fn seen(answers: impl IntoIterator<Item = DateSeen>) -> VerifierClocks {
        let mut clocks = VerifierClocks::default();
        for answer in answers {
            let _ = clocks.see(&answer, None);
        }
        clocks
    }

    fn contains(range: &Range, millis: i64) -> bool {
        let it = Delta::from_millis(millis);
        range.lo <= it && it <= range.hi
    }

    #[test]
    fn many_answers_are_better_than_a_second() {
        let clocks = seen((0..30).map(|nth| answer(nth * 60_370, 8, 3_500)));
        let known = clocks.known(&at(30 * 60_370));
        assert_eq!((known.len(), known[0].answers, known[0].alternates), (1, 30, false));
        assert!(contains(&known[0].ahead, 3_500), "{known:?}");
        assert!(known[0].ahead.half() < Delta::from_millis(300), "{known:?}");
    }

    #[test]
    fn one_answer_shows_the_clock_of_the_last_server() {
        assert_eq!(VerifierClocks::default().last(&at(0)), None);
        let clocks = seen([answer(0, 8, 0), answer(60_000, 8, 7_200_000)]);
        let shown = clocks.last(&at(60_100)).unwrap();
        let expected = at(60_100 + 7_200_000).wall;
        assert!(shown.lo <= expected && expected <= shown.hi, "{shown:?}");
        assert_eq!(clocks.last(&at(3_661_000)), None, "too long ago");
    }

    #[test]
    fn few_answers_and_slow_ones_and_old_ones_are_no_knowledge() {
        assert_eq!(seen([answer(0, 8, 0), answer(60_000, 8, 0)]).known(&at(60_100)), []);
        assert_eq!(seen((0..9).map(|nth| answer(nth * 60_000, 11_000, 0))).known(&at(0)), []);
        let clocks = seen((0..3).map(|nth| answer(nth * 60_000, 8, 0)));
        assert_eq!(clocks.known(&at(3_719_000)).len(), 1);
        assert_eq!(clocks.known(&at(3_721_000)), []);
    }

    #[test]
    fn a_slow_answer_is_wide_and_still_right() {
        let clocks = seen((0..3).map(|nth| answer(nth * 60_000, 9_000, -40_000)));
        let known = clocks.known(&at(180_000));
        assert!(contains(&known[0].ahead, -40_000), "{known:?}");
    }

    #[test]
    fn servers_that_answer_in_turn_are_distinguished() {
        let turns = (0..12).map(|nth| answer(nth * 60_370, 8, (nth % 3) * 90_000));
        let known = seen(turns).known(&at(12 * 60_370));
        assert_eq!(known.len(), 3);
        assert!(known.iter().all(|clock| clock.alternates && clock.answers == 4), "{known:?}");
        assert!(contains(&known[0].ahead, 180_000), "the last one is the first: {known:?}");
    }

    #[test]
    fn a_clock_that_was_set_is_one_clock() {
        let set = (0..8).map(|nth| answer(nth * 60_000, 8, if nth < 4 { 0 } else { 7_200_000 }));
        let known = seen(set).known(&at(480_000));
        assert!(contains(&known[0].ahead, 7_200_000), "{known:?}");
        assert!(known.iter().all(|clock| !clock.alternates), "{known:?}");
    }

    #[test]
    fn a_clock_that_was_set_and_set_right_again_is_one_clock() {
        let wrong = |nth| if (4..8).contains(&nth) { 90_000 } else { 0 };
        let known =
            seen((0..12).map(|nth| answer(nth * 60_000, 8, wrong(nth)))).known(&at(720_000));
        assert!(contains(&known[0].ahead, 0), "{known:?}");
        assert!(known.iter().all(|clock| !clock.alternates), "{known:?}");
    }

    #[test]
    fn a_step_of_the_node_moves_no_api_server() {
        let clocks = seen((0..5).map(|nth| answer(nth * 60_000, 8, 0)));
        let mut later = at(300_000);
        later.wall = later.wall - Delta::from_secs(600);
        assert!(contains(&clocks.known(&later)[0].ahead, 600_000));
    }

    #[test]
    fn more_servers_than_fit_forget_the_oldest() {
        let many = (0..60).map(|nth| answer(nth * 1_000, 8, (nth % 20) * 90_000));
        assert_eq!(seen(many).clocks.len(), MAX_CLOCKS);
    }

    proptest::proptest! {
        #[test]
        fn the_clock_is_in_its_interval(
            ahead in -100_000_i64..100_000,
            answers in proptest::collection::vec((1_000_i64..90_000, 0_i64..9_000), 3..40),
        ) {
            let (mut clocks, mut now) = (VerifierClocks::default(), 0);
            for (pause, took) in answers {
                now += pause;
                let is_new = clocks.see(&answer(now, took, ahead), None);
                proptest::prop_assert!(!is_new, "it is one clock");
                now += took;
            }
            let known = clocks.known(&at(now));
            proptest::prop_assert_eq!(known.len(), 1);
            proptest::prop_assert!(contains(&known[0].ahead, ahead), "{:?}", known);
        }

        #[test]
        fn no_date_does_harm(dates: Vec<(i64, i64, i64)>, wall: i64, monotonic: i64) {
            let mut clocks = VerifierClocks::default();
            let reading = |nanos| Reading {
                wall: Wall::from_nanos(nanos),
                monotonic: Monotonic::from_nanos(nanos),
            };
            for (sent, received, date) in dates {
                let date = Wall::from_nanos(date);
                let (sent, received) = (reading(sent), reading(received));
                let truth = Some(Range::around(Delta::from_nanos(wall), Delta::ZERO));
                let seen = DateSeen { sent, received, date, names: Vec::new() };
                let _ = clocks.see(&seen, truth);
            }
            let now = Reading {
                wall: Wall::from_nanos(wall),
                monotonic: Monotonic::from_nanos(monotonic),
            };
            clocks.known(&now);
        }
    }
}

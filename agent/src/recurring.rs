//! Failures that recur: which of them the agent logs.
//!
//! What counts is the kind of a failure, which is a typed value. Its text often differs in a
//! number, a port or a time with each try. The agent logs a kind when it begins, again at intervals
//! while it lasts, and its end.

use std::time::Duration;

use tokio::time::Instant;

/// While a failure of one kind lasts, it is logged again after this: rarely enough not to fill a
/// log, often enough to be in the part of it that somebody reads.
const AGAIN: Duration = Duration::from_mins(10);
/// A failure that ends and begins again is logged so often within [`AGAIN`].
const MOST_BEGINNINGS: u32 = 3;
/// Kinds that are kept. With more, the one that was logged first is logged as new.
const MOST_KINDS: usize = 16;

/// The failures of one thing that is tried again and again.
#[derive(Debug)]
pub struct Recurring<K> {
    kinds: Vec<Known<K>>,
    failing: Option<Failing>,
}

/// A kind that was logged.
#[derive(Debug)]
struct Known<K> {
    kind: K,
    logged: Instant,
    /// Whether it has occurred since the last success.
    is_current: bool,
    /// How often its beginning was logged since `counted`.
    beginnings: u32,
    counted: Instant,
}

/// What has happened since the last success.
#[derive(Clone, Copy, Debug)]
struct Failing {
    since: Instant,
    failures: u64,
    is_logged: bool,
}

/// Why a failure is to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// This kind begins.
    Begins,
    /// It lasts, and was logged long ago.
    Lasts(Outage),
}

/// How often something failed in a row, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The number of failures.
    pub failures: u64,
    /// The time since the first one.
    pub lasted: Duration,
}

impl<K> Default for Recurring<K> {
    fn default() -> Self {
        Self { kinds: Vec::new(), failing: None }
    }
}

impl<K: PartialEq> Recurring<K> {
    /// Takes a failure of this kind; whether to log it.
    pub fn failed(&mut self, kind: K, now: Instant) -> Option<Notice> {
        let outage = self.count(now);
        let notice = self.notice(kind, outage, now);
        if let (Some(_), Some(failing)) = (notice, &mut self.failing) {
            failing.is_logged = true;
        }
        notice
    }

    /// Takes a success; returns the end of an outage that is to be logged.
    pub fn succeeded(&mut self, now: Instant) -> Option<Outage> {
        let failing = self.failing.take()?;
        self.kinds.iter_mut().for_each(|known| known.is_current = false);
        failing.is_logged.then(|| failing.outage(now))
    }

    fn count(&mut self, now: Instant) -> Outage {
        let begins = Failing { since: now, failures: 0, is_logged: false };
        let failing = self.failing.get_or_insert(begins);
        failing.failures += 1;
        failing.outage(now)
    }

    fn notice(&mut self, kind: K, outage: Outage, now: Instant) -> Option<Notice> {
        let Some(known) = self.kinds.iter_mut().find(|known| known.kind == kind) else {
            self.remember(kind, now);
            return Some(Notice::Begins);
        };
        if !std::mem::replace(&mut known.is_current, true) && known.may_begin(now) {
            return Some(Notice::Begins);
        }
        known.is_due(now).then_some(Notice::Lasts(outage))
    }

    fn remember(&mut self, kind: K, now: Instant) {
        if self.kinds.len() >= MOST_KINDS {
            self.kinds.remove(0);
        }
        let known = Known { kind, logged: now, is_current: true, beginnings: 1, counted: now };
        self.kinds.push(known);
    }
}

impl<K> Known<K> {
    /// Whether its beginning is to be logged: a collector that accepts every second request must
    /// not fill the log.
    fn may_begin(&mut self, now: Instant) -> bool {
        if now.duration_since(self.counted) >= AGAIN {
            (self.beginnings, self.counted) = (0, now);
        }
        self.beginnings += 1;
        let may = self.beginnings <= MOST_BEGINNINGS;
        if may {
            self.logged = now;
        }
        may
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now.duration_since(self.logged) >= AGAIN;
        if is_due {
            self.logged = now;
        }
        is_due
    }
}

impl Failing {
    fn outage(&self, now: Instant) -> Outage {
        Outage { failures: self.failures, lasted: now.duration_since(self.since) }
    }
}

/// `text` without what differs each time: words with a digit, or of letters in both cases, are
/// numbers, ids, addresses and times. For failures that have no kind of their own.
pub fn gist(text: &str) -> String {
    let separators = |c: char| c.is_whitespace() || "()[]{}\"'`,;=".contains(c);
    let words = text.split(separators).filter(|word| !word.is_empty() && !is_varying(word));
    words.collect::<Vec<_>>().join(" ")
}

fn is_varying(word: &str) -> bool {
    let is_mixed =
        word.chars().skip(1).any(char::is_uppercase) && word.contains(char::is_lowercase);
    word.contains(|c: char| c.is_ascii_digit()) || is_mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// What is logged when these kinds fail, one a second; a space is a success.
    fn logged(kinds: &str) -> String {
        let (mut recurring, start) = (Recurring::default(), Instant::now());
        let mut out = String::new();
        for (second, kind) in (0..).zip(kinds.chars()) {
            let now = start + secs(second);
            if kind == ' ' {
                out.extend(recurring.succeeded(now).map(|_| '.'));
            } else {
                out.extend(recurring.failed(kind, now).map(|_| kind));
            }
        }
        out
    }

    #[test]
    fn a_kind_is_logged_once_and_so_is_its_end() {
        let table = [
            ("aaaa", "a"),
            ("aaaa  ", "a."),
            ("aabb", "ab"),
            ("abababab", "ab"),
            ("ab a", "ab.a"),
            ("  ", ""),
            ("a a a a a a a ", "a.a.a."),
        ];
        for (kinds, expected) in table {
            assert_eq!(logged(kinds), expected, "{kinds:?}");
        }
    }

    #[test]
    fn what_lasts_is_logged_again_with_its_count() {
        let (mut recurring, start) = (Recurring::default(), Instant::now());
        let at = |second| start + secs(second);
        assert_eq!(recurring.failed("a", at(0)), Some(Notice::Begins));
        assert_eq!(recurring.failed("a", at(599)), None);
        let outage = Outage { failures: 3, lasted: secs(600) };
        assert_eq!(recurring.failed("a", at(600)), Some(Notice::Lasts(outage)));
        assert_eq!(recurring.failed("a", at(1_199)), None);
        let outage = Outage { failures: 4, lasted: secs(1_300) };
        assert_eq!(recurring.succeeded(at(1_300)), Some(outage));
        assert_eq!(recurring.succeeded(at(1_301)), None);
        assert_eq!(recurring.failed("a", at(1_302)), Some(Notice::Begins), "it begins again");
    }

    #[test]
    fn what_flaps_for_long_is_logged_at_intervals() {
        let (mut recurring, start) = (Recurring::default(), Instant::now());
        let mut logged = 0;
        for second in (0..7_200).step_by(2) {
            logged += u32::from(recurring.failed("a", start + secs(second)).is_some());
            let _ = recurring.succeeded(start + secs(second + 1));
        }
        assert!((12..=40).contains(&logged), "{logged} lines in two hours");
    }

    #[test]
    fn memory_is_bounded() {
        let (mut recurring, now) = (Recurring::default(), Instant::now());
        for kind in 0..1_000 {
            assert!(recurring.failed(kind, now).is_some());
        }
        assert_eq!(recurring.kinds.len(), MOST_KINDS);
    }

    #[test]
    fn the_gist_of_a_text_has_no_numbers_ids_and_addresses() {
        let same = [
            [
                "dial tcp 10.0.0.7:51234->10.0.0.1:443: i/o timeout after 2.1s",
                "dial tcp 10.0.0.9:41002->10.0.0.1:443: i/o timeout after 9.9s",
            ],
            [
                "request 7d4f2c1e-9a61-4f0e-8d3b-0242ac120002 refused at 2026-11-28T10:00:01Z",
                "request 1b9f0c77-1c55-4b7a-b1f4-0242ac120003 refused at 2026-11-28T10:00:09Z",
            ],
            ["trace aGVsbG8gd29y is late (id=q7)", "trace bmV3IHRyYWNl is late (id=z1)"],
        ];
        for [a, b] in same {
            assert_eq!(gist(a), gist(b));
        }
        assert_ne!(gist("connection refused"), gist("no route to host"));
        assert_ne!(gist("2 roots are unreadable"), gist("2 roots are missing"));
    }
}

//! When to ask the API server for its keys.

use crate::base::time::{Delta, Monotonic, Reading};

/// Time between two rounds while all is well. A key is replaced a few times a year, and the API
/// server restarts for it.
const INTERVAL: Delta = Delta::from_secs(1_800);
/// Time between two rounds while something is open, and until the first one is repeated that got no
/// answer.
const AGAIN: Delta = Delta::from_secs(60);
/// The rounds of agents that ask for the same reason are spread over this time.
const SPREAD: Delta = Delta::from_secs(30);

/// The next round, and what became of the last one.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    /// None: the agent has no access to the API server, or has not started.
    next: Option<Monotonic>,
    asked: Option<Monotonic>,
    /// Rounds since the last one that got an answer.
    unanswered: u32,
    /// The API server did not answer other requests.
    is_away: bool,
    is_enabled: bool,
    seed: u16,
}

impl Turns {
    pub(super) fn new(is_enabled: bool, seed: u16) -> Self {
        Self { is_enabled, seed, ..Self::default() }
    }

    /// The agent started. Only the first call has an effect.
    pub(super) fn begin(&mut self, now: &Reading) {
        if self.is_enabled && self.next.is_none() {
            self.next = Some(now.monotonic + self.spread());
        }
    }

    /// Agents that ask for the same reason do not ask at the same time.
    fn spread(&self) -> Delta {
        SPREAD.fraction(i64::from(self.seed), 1 << 16)
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    pub(super) fn next(&self) -> Option<Monotonic> {
        self.next
    }

    /// Whether it is a turn now.
    pub(super) fn is_now(&self, now: &Reading) -> bool {
        self.next.is_some_and(|next| next <= now.monotonic)
    }

    /// A round begins. Without an answer, the next ones come after 1, 2, 4 and more minutes.
    pub(super) fn taken(&mut self, now: &Reading) {
        let doubled = AGAIN.fraction(1 << self.unanswered.min(5), 1);
        self.unanswered = self.unanswered.saturating_add(1);
        (self.asked, self.next) =
            (Some(now.monotonic), Some(now.monotonic + doubled.min(INTERVAL)));
    }

    /// The last round got an answer.
    pub(super) fn answered(&mut self) {
        if std::mem::take(&mut self.unanswered) > 0 {
            self.next = self.asked.map(|asked| asked + INTERVAL);
        }
    }

    /// The API server answered another request, or did not. It may refuse the agent's token, or
    /// have restarted with other keys.
    pub(super) fn reached(&mut self, is_answer: bool, now: &Reading) {
        match (std::mem::replace(&mut self.is_away, !is_answer), is_answer) {
            (true, true) => self.at_most_a_minute_after(now),
            (false, false) => self.soon(now),
            (true, false) | (false, true) => {}
        }
    }

    /// Another answer would tell more: asks soon, as long as answers come.
    pub(super) fn soon(&mut self, now: &Reading) {
        if self.unanswered == 0 {
            self.at_most_a_minute_after(now);
        }
    }

    /// Moves the next round forward, at most to a minute after the last one.
    fn at_most_a_minute_after(&mut self, now: &Reading) {
        if let Some((next, asked)) = self.next.zip(self.asked) {
            let earliest = (asked + AGAIN).max(now.monotonic) + self.spread();
            self.next = Some(next.min(earliest));
        }
    }
}

//! When it is the turn of the next service account: the agent requests accounts one at a time.

use crate::base::time::{Delta, Monotonic};

/// Time in which every account has its turn, for up to twenty accounts. With more, one turn a
/// minute decides.
const ROUND: Delta = Delta::from_secs(20 * 60);
/// Shortest time between two turns on average: the agent requests at most one account a minute.
const LEAST: Delta = Delta::from_secs(60);
/// Longest time between two turns. On a node with up to 12 accounts the turns and the watch of the
/// pods (0.2 a minute) stay well below one request a minute, also counted over ten minutes.
const MOST: Delta = Delta::from_secs(120);
/// Time between two turns while there are accounts that were never requested.
const FIRST: Delta = Delta::from_secs(10);
/// The first turn: at least this long after the API server first answered, so that the token files
/// have been read.
const START: Delta = Delta::from_secs(1);
/// The first turns of 5,000 agents that start together are spread over this time.
const SPREAD: Delta = Delta::from_secs(5);
/// Number of early turns over the life of the agent: each account that a full node has when the
/// agent starts. Pods that come and go later cannot exceed the budget.
const EARLY: u16 = 256;

/// The next turn, and how many turns may still come early.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    next: Option<Monotonic>,
    early: u16,
    seed: u16,
}

impl Turns {
    /// No turn before [`Self::begin`]. `seed` is the jitter of this agent.
    pub(super) fn new(seed: u16) -> Self {
        Self { next: None, early: EARLY, seed }
    }

    /// The API server answered for the first time.
    pub(super) fn begin(&mut self, now: Monotonic) {
        let spread = SPREAD.fraction(i64::from(self.seed), 1 << 16);
        self.next = Some(now + START + spread);
    }

    /// The time of the next turn, if there is one.
    pub(super) fn next(&self) -> Option<Monotonic> {
        self.next
    }

    /// Whether it is a turn now.
    pub(super) fn is_now(&self, now: Monotonic) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    /// Ends this turn. `accounts` are in use, and `unknown` of them were never requested.
    pub(super) fn taken(&mut self, now: Monotonic, accounts: usize, unknown: usize) {
        // Without any account, the files or the pods may only not be known yet.
        let is_early = (unknown > 0 || accounts == 0) && self.early > 0;
        self.early -= u16::from(is_early);
        self.next = Some(now + if is_early { FIRST } else { spacing(accounts) });
    }
}

/// Time between two turns with so many accounts.
fn spacing(accounts: usize) -> Delta {
    let share = ROUND.fraction(1, i64::try_from(accounts).unwrap_or(i64::MAX));
    share.clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_accounts_have_their_turns_within_twenty_minutes() {
        // (accounts, seconds between two turns)
        for (accounts, secs) in
            [(0, 120), (1, 120), (10, 120), (12, 100), (15, 80), (16, 75), (20, 60), (250, 60)]
        {
            assert_eq!(spacing(accounts), Delta::from_secs(secs), "{accounts}");
        }
        for accounts in 1..=20 {
            let round = spacing(accounts).fraction(i64::try_from(accounts).unwrap(), 1);
            assert!(round <= ROUND, "{accounts}: {round}");
        }
    }

    #[test]
    fn first_turns_are_spread_over_the_nodes() {
        let first = |seed: u16| {
            let mut turns = Turns::new(seed);
            turns.begin(Monotonic::default());
            turns.next().unwrap() - Monotonic::default()
        };
        assert_eq!(first(0), START);
        let all: std::collections::BTreeSet<_> = (0..100).map(|node| first(node * 655)).collect();
        assert!(all.len() > 90, "{} different times", all.len());
        assert!(all.iter().all(|at| *at <= START + SPREAD), "{all:?}");
    }

    #[test]
    fn early_turns_are_limited_over_the_life_of_the_agent() {
        let (mut turns, mut now) = (Turns::new(0), Monotonic::default());
        turns.begin(now);
        let mut early = 0;
        for _ in 0..2_000 {
            let next = turns.next().unwrap();
            early += usize::from(next - now == FIRST);
            now = next;
            turns.taken(now, 20, 1); // there is always a new account
        }
        assert_eq!(early, usize::from(EARLY));
    }
}

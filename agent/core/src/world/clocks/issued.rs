//! The clock of the API servers that sign tokens, from `iat`: an API server signed a new token
//! before kubelet wrote it, so its clock was at least as far ahead of the node's as `iat` is ahead
//! of the moment at which the agent saw the token.
//!
//! That needs no access to an API server, and shows one that the agent does not speak with. It
//! shows no clock that is behind: kubelet may have had the token for a while.

use std::collections::VecDeque;

use super::verifier::{CERTAIN, DRIFT_PPM, FORGOTTEN, wall_of};
use crate::base::time::{Delta, Monotonic, Reading, Wall};

/// Rotations that are kept: some more than make it certain, because several API servers may sign in
/// turn, and few, so that a clock that was set right is right after the next ones.
const KEPT: usize = 8;

/// What the last rotations show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssuedClocks {
    recent: VecDeque<Issue>,
}

/// A token that an API server signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Issue {
    seen: Monotonic,
    /// What that API server's clock showed at least more than the node's monotonic clock.
    ahead: Delta,
}

/// What is known of the API servers that sign tokens, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IssuedClock {
    /// How far one of them is ahead of the node's wall clock, at least.
    pub(crate) ahead: Delta,
    /// How many tokens show it.
    pub(crate) tokens: u32,
    /// When the agent saw the last of them.
    pub(crate) last: Monotonic,
}

impl IssuedClocks {
    /// Takes a token that the agent saw at `now`, as the successor of another one. Returns whether
    /// what is known of a clock that is ahead may differ.
    pub(crate) fn see(&mut self, issued_at: Wall, now: &Reading) -> bool {
        let ahead =
            Delta::from_nanos(issued_at.as_nanos().saturating_sub(now.monotonic.as_nanos()));
        let matters = |issue: &Issue| issue.ahead > wall_of(now);
        if self.recent.len() == KEPT {
            self.recent.pop_front();
        }
        let had = self.recent.iter().any(matters);
        let issue = Issue { seen: now.monotonic, ahead };
        self.recent.push_back(issue);
        had || matters(&issue)
    }

    /// What is known at `now`. Nothing while too few tokens show it: one alone may be of an API
    /// server whose clock was set right since.
    pub(crate) fn known(&self, now: &Reading) -> Option<IssuedClock> {
        let is_recent = |issue: &&Issue| now.monotonic - issue.seen <= FORGOTTEN;
        let mut recent: Vec<&Issue> = self.recent.iter().filter(is_recent).collect();
        recent.sort_unstable_by_key(|issue| std::cmp::Reverse(issue.ahead));
        let sure = recent.get(CERTAIN as usize - 1)?.ahead;
        let showing = || recent.iter().filter(|issue| issue.ahead >= sure);
        let last = showing().map(|issue| issue.seen).max()?;
        let first = showing().map(|issue| issue.seen).min()?;
        let ahead = sure - wall_of(now) - (now.monotonic - first).drift(DRIFT_PPM);
        Some(IssuedClock { ahead, tokens: u32::try_from(showing().count()).ok()?, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_800_000_000;

    fn at(seconds: i64) -> Reading {
        let delta = Delta::from_secs(seconds);
        Reading { wall: Wall::from_secs(START) + delta, monotonic: Monotonic::default() + delta }
    }

    /// Tokens that appear one a minute, each signed by an API server that is so far ahead.
    fn seen(ahead: &[i64]) -> IssuedClocks {
        let mut clocks = IssuedClocks::default();
        for (nth, ahead) in (0_i64..).zip(ahead) {
            clocks.see(Wall::from_secs(START + nth * 60 + ahead), &at(nth * 60));
        }
        clocks
    }

    fn known(ahead: &[i64]) -> Option<IssuedClock> {
        seen(ahead).known(&at(i64::try_from(ahead.len()).unwrap() * 60))
    }

    #[test]
    fn three_tokens_show_a_clock_that_is_ahead() {
        // How far each is ahead, what is known, and by how many.
        let table: &[(&[i64], i64, u32)] = &[
            (&[90, 90, 90], 90, 3),
            (&[90, 90, 0, 0], 0, 4),
            (&[0, 90, 0, 90, 0, 90], 90, 3), // one of several
            (&[90, 120, 90, 100], 90, 4),
            (&[90, 90, 90, 90, 0, 0, 0, 0, 0, 0], 0, 8), // it was set right
            (&[-40, -40, -40], -40, 3),                  // kubelet may have had them for so long
        ];
        for (ahead, expected, tokens) in table {
            let (known, expected) = (known(ahead).unwrap(), Delta::from_secs(*expected));
            assert_eq!(known.tokens, *tokens, "{ahead:?}");
            let by = expected - known.ahead;
            assert!(by >= Delta::ZERO && by < Delta::from_secs(1), "{ahead:?}: {known:?}");
        }
        assert_eq!(known(&[90, 90]), None, "too few");
    }

    #[test]
    fn a_token_that_was_seen_late_shows_less_and_nothing_wrong() {
        let mut clocks = IssuedClocks::default();
        for nth in 0..3 {
            clocks.see(Wall::from_secs(START + nth * 60 + 90), &at(nth * 60 + 45));
        }
        let ahead = clocks.known(&at(200)).unwrap().ahead;
        assert!(ahead <= Delta::from_secs(45) && ahead > Delta::from_secs(44), "{ahead:?}");
    }

    #[test]
    fn a_step_of_the_node_moves_no_api_server() {
        let mut later = at(200);
        later.wall = later.wall - Delta::from_secs(600);
        let ahead = seen(&[0, 0, 0]).known(&later).unwrap().ahead;
        assert!(ahead > Delta::from_secs(599), "{ahead:?}");
    }

    #[test]
    fn old_tokens_are_no_knowledge() {
        assert_eq!(seen(&[90, 90, 90]).known(&at(120 + 3_601)), None);
    }

    proptest::proptest! {
        #[test]
        fn it_never_claims_more_than_the_api_server_is_ahead(
            ahead in -100_000_i64..100_000,
            tokens in proptest::collection::vec((1_i64..900, 0_i64..300), 3..20),
        ) {
            let (mut clocks, mut now) = (IssuedClocks::default(), 0);
            for (pause, late) in tokens {
                now += pause + late;
                let signed = START + now - late + ahead;
                clocks.see(Wall::from_secs(signed), &at(now));
            }
            if let Some(known) = clocks.known(&at(now)) {
                proptest::prop_assert!(known.ahead <= Delta::from_secs(ahead), "{:?}", known);
            }
        }

        #[test]
        fn no_iat_does_harm(issued: Vec<i64>, wall: i64, monotonic: i64) {
            let mut clocks = IssuedClocks::default();
            let now = Reading {
                wall: Wall::from_nanos(wall),
                monotonic: Monotonic::from_nanos(monotonic),
            };
            for one in issued {
                clocks.see(Wall::from_nanos(one), &now);
            }
            let _ = clocks.known(&now);
        }
    }
}

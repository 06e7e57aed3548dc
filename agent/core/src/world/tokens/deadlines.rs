//! The deadlines of a token, its state on the node's clock and its verdict on true time.
//!
//! The rules are those of kubelet (pkg/kubelet/token/token_manager.go) and of the API server
//! (pkg/serviceaccount/jwt.go and claims.go).

use serde::{Deserialize, Serialize};

use super::Claims;
use crate::base::time::{Delta, Interval, Wall};

/// kubelet replaces a token at the latest at this age (maxTTL in token_manager.go).
const MAX_AGE: Delta = Delta::from_secs(24 * 3_600);
/// kubelet's jitter: it replaces a token up to this much earlier (maxJitter in token_manager.go).
pub const JITTER: Delta = Delta::from_secs(10);
/// The API server's leeway on exp, nbf and iat (DefaultLeeway in go-jose's jwt/validation.go).
pub const LEEWAY: Delta = Delta::from_secs(60);
/// The time for which the API server caches a successful authentication (TokenSuccessCacheTTL in
/// pkg/kubeapiserver/options/authentication.go).
pub const CACHE: Delta = Delta::from_secs(10);
/// kubelet's default `syncFrequency`. kubelet then syncs a pod every 60 to 90 s (pod_workers.go)
/// and needs up to 92 s to write a token that is due.
const DEFAULT_SYNC_PERIOD: Delta = Delta::from_secs(60);
/// kubelet syncs a pod after 1.0 to 1.5 times that.
const LONGEST_SYNC: (i64, i64) = (3, 2);
/// A healthy kubelet with the default settings is never this late: 92 s and a margin.
const LATE: Delta = Delta::from_secs(120);
/// Three syncs at 90 s, and a margin.
const STALLED: Delta = Delta::from_secs(300);
/// The end of the life of a token that kubelet does not replace, in which somebody should do so: a
/// fifth of it, as with kubelet's. People need no more than a week.
const BY_HAND: Delta = Delta::from_secs(7 * 24 * 3_600);

/// The settings of this node's kubelet that affect rotation, and whether it can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeletPolicy {
    /// kubelet's `syncFrequency`. Default 60 s.
    pub sync_period: Delta,
    /// Whether the agent can request its metrics.
    #[serde(default)] // a recording of an older agent lacks it
    pub metrics: bool,
}

impl Default for KubeletPolicy {
    fn default() -> Self {
        Self::syncing(DEFAULT_SYNC_PERIOD)
    }
}

impl KubeletPolicy {
    /// Of a kubelet with this `syncFrequency`.
    pub fn syncing(sync_period: Delta) -> Self {
        Self { sync_period, metrics: false }
    }

    /// The longest time that a healthy kubelet needs to notice that a token is due, and to replace
    /// it.
    pub fn patience(self) -> Delta {
        self.stretched(LATE)
    }

    /// The longest time between two syncs of a pod, if kubelet has the settings that are known.
    pub fn longest_sync(self) -> Delta {
        let (times, of) = LONGEST_SYNC;
        self.sync_period.min(MAX_AGE).fraction(times, of)
    }

    /// `wait` in proportion to the sync period. A period below the default does not shorten it.
    fn stretched(self, wait: Delta) -> Delta {
        let period = self.sync_period.max(DEFAULT_SYNC_PERIOD).min(MAX_AGE);
        wait.fraction(period.as_secs(), DEFAULT_SYNC_PERIOD.as_secs())
    }
}

/// Every deadline of one token. All are wall-clock times, derived from the claims and from
/// kubelet's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// `nbf` - 60 s: the API server accepts the token from here on.
    pub accepted_from: Wall,
    /// `iat`
    pub issued: Wall,
    /// `iat` + min(80 % of the effective lifetime, 24 h): kubelet replaces the token from here on,
    /// or up to 10 s earlier ([`JITTER`]). A token that kubelet does not replace is due and late a
    /// fifth of its lifetime before its end, at most a week, and stalled in the last third of that.
    pub due: Wall,
    /// `due` + min(120 s, 80 % of the slack): a healthy kubelet has replaced the token by now.
    pub late: Wall,
    /// `due` + min(300 s, 92 % of the slack): kubelet has stopped rotating the token.
    pub stalled: Wall,
    /// `effective` less a third of the slack. The slack is the time from `due` to `effective`.
    pub critical: Wall,
    /// `warnafter` where present, else `exp`.
    pub effective: Wall,
    /// `exp`
    pub expires: Wall,
    /// `exp` + [`LEEWAY`] + [`CACHE`]: no API server accepts the token from here on.
    pub hard: Wall,
}

impl Deadlines {
    /// The deadlines of a token with these claims, on a node with this kubelet.
    pub fn of(claims: &Claims, kubelet: &KubeletPolicy) -> Self {
        let rotated = Self::of_kubelet(claims, *kubelet);
        if claims.binding.is_of_kubelet() { rotated } else { rotated.by_hand() }
    }

    /// Of a token that kubelet does not replace. It is never critical before it ends: it may be
    /// replaced at any time.
    fn by_hand(self) -> Self {
        let ttl = (self.effective - self.issued).max(Delta::ZERO);
        let slack = ttl.fraction(20, 100).min(BY_HAND);
        let due = self.effective - slack;
        let stalled = self.effective - slack.fraction(1, 3);
        Self { due, late: due, stalled, critical: self.effective, ..self }
    }

    fn of_kubelet(claims: &Claims, kubelet: KubeletPolicy) -> Self {
        let issued = claims.issued_at;
        let effective = claims.warn_after.unwrap_or(claims.expires_at);
        let ttl = (effective - issued).max(Delta::ZERO);
        let due = issued + ttl.fraction(80, 100).min(MAX_AGE);
        let slack = (effective - due).max(Delta::ZERO);
        Self {
            accepted_from: claims.not_before - LEEWAY,
            issued,
            due,
            late: due + kubelet.stretched(LATE).min(slack.fraction(80, 100)),
            stalled: due + kubelet.stretched(STALLED).min(slack.fraction(92, 100)),
            critical: effective - slack.fraction(1, 3),
            effective,
            expires: claims.expires_at,
            hard: claims.expires_at + LEEWAY + CACHE,
        }
    }

    /// The state of the token when the node's clock reads `node_now`. kubelet decides about
    /// rotation by the node's clock, whether it is right or wrong.
    pub fn state(&self, node_now: Wall) -> State {
        match node_now {
            now if now < self.accepted_from => State::NotYetValid,
            now if now >= self.expires => State::Expired,
            now if now >= self.stalled => State::Stalled,
            now if now >= self.late => State::Late,
            now if now >= self.due => State::Due,
            _ => State::Fresh,
        }
    }

    /// The next deadline after `node_now`, on the node's clock.
    pub fn next_change(&self, node_now: Wall) -> Option<Wall> {
        let all = [
            self.accepted_from,
            self.issued,
            self.due,
            self.late,
            self.stalled,
            self.critical,
            self.effective,
            self.expires,
            self.hard,
        ];
        all.into_iter().filter(|at| *at > node_now).min()
    }
}

/// The state of a token's rotation, on the node's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Before `due`: nothing to do.
    Fresh,
    /// From `due` on: kubelet replaces it with the next sync.
    Due,
    /// From `late` on: a healthy kubelet would have replaced it.
    Late,
    /// From `stalled` on: kubelet does not replace it.
    Stalled,
    /// From `exp` on.
    Expired,
    /// Before `nbf` - 60 s.
    NotYetValid,
}

impl State {
    /// Every state, in the order in which it is shown.
    pub const ALL: [Self; 6] =
        [Self::Fresh, Self::Due, Self::Late, Self::Stalled, Self::Expired, Self::NotYetValid];

    /// The name in JSON, telemetry and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Due => "due",
            Self::Late => "late",
            Self::Stalled => "stalled",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
        }
    }
}

/// What an API server with a correct clock would answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It accepts the token at every time in the interval.
    Live,
    /// It rejects the token at every time in the interval.
    Dead,
    /// A deadline or its leeway lies in the interval.
    Uncertain,
}

impl Verdict {
    /// The name in JSON, telemetry and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Dead => "dead",
            Self::Uncertain => "uncertain",
        }
    }
}

/// The verdict on a token, given that true time is in `now`.
pub fn verdict(claims: &Claims, now: &Interval) -> Verdict {
    if claims.not_before <= now.lo && now.hi < claims.expires_at {
        Verdict::Live
    } else if now.lo > claims.expires_at + LEEWAY || now.hi < claims.not_before - LEEWAY {
        Verdict::Dead
    } else {
        Verdict::Uncertain
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::tokens::claims_for_tests as claims;
    use proptest::prelude::*;

    const IAT: i64 = 1_800_000_000;

    fn ages(lifetime: i64, warn_after: Option<i64>) -> [i64; 6] {
        let d = Deadlines::of(&claims(IAT, lifetime, warn_after), &KubeletPolicy::default());
        [d.due, d.late, d.stalled, d.critical, d.effective, d.hard]
            .map(|at| (at - Wall::from_secs(IAT)).as_secs())
    }

    #[test]
    fn deadlines_follow_kubelet_and_the_api_server() {
        // lifetime, warnafter: due, late, stalled, critical, effective, hard
        let table = [
            (600, None, [480, 576, 590, 560, 600, 670]),
            (3_600, None, [2_880, 3_000, 3_180, 3_360, 3_600, 3_670]),
            (31_536_000, Some(3_607), [2_885, 3_005, 3_185, 3_366, 3_607, 31_536_070]),
            (43_200, None, [34_560, 34_680, 34_860, 40_320, 43_200, 43_270]),
            (604_800, None, [86_400, 86_520, 86_700, 432_000, 604_800, 604_870]),
        ];
        for (lifetime, warn_after, expected) in table {
            assert_eq!(ages(lifetime, warn_after), expected, "lifetime {lifetime}");
        }
    }

    #[test]
    fn a_longer_sync_period_moves_late_and_stalled_out_and_a_shorter_one_does_not() {
        let token = claims(IAT, 43_200, None);
        let at = |secs| Deadlines::of(&token, &KubeletPolicy::syncing(Delta::from_secs(secs)));
        assert_eq!((at(120).late - at(120).due).as_secs(), 240);
        assert_eq!((at(120).stalled - at(120).due).as_secs(), 600);
        assert_eq!(at(10), at(60));
    }

    #[test]
    fn states_follow_the_node_clock() {
        let deadlines = Deadlines::of(&claims(IAT, 600, None), &KubeletPolicy::default());
        let table = [
            (-61, State::NotYetValid),
            (-60, State::Fresh),
            (479, State::Fresh),
            (480, State::Due),
            (575, State::Due),
            (576, State::Late),
            (591, State::Stalled),
            (600, State::Expired),
        ];
        for (age, state) in table {
            assert_eq!(deadlines.state(Wall::from_secs(IAT + age)), state, "age {age}");
        }
    }

    #[test]
    fn an_extended_token_past_its_warning_is_still_stalled() {
        let deadlines =
            Deadlines::of(&claims(IAT, 31_536_000, Some(3_607)), &KubeletPolicy::default());
        assert_eq!(deadlines.state(Wall::from_secs(IAT + 5_000)), State::Stalled);
    }

    #[test]
    fn a_token_that_kubelet_does_not_replace_has_the_deadlines_of_people() {
        // (lifetime, age when it is late, age when it is stalled), in seconds
        let (day, year) = (86_400, 31_536_000);
        let table = [
            (600, 480, 560),
            (3_600, 2_880, 3_360),
            (30 * day, 24 * day, 28 * day),
            (year, year - 7 * day, year - 7 * day / 3),
        ];
        for (lifetime, late, stalled) in table {
            let mut claims = claims(IAT, lifetime, None);
            claims.binding.pod = None;
            let d = Deadlines::of(&claims, &KubeletPolicy::default());
            let ages = [d.due, d.late, d.stalled, d.critical].map(|at| (at - d.issued).as_secs());
            assert_eq!(ages, [late, late, stalled, lifetime], "{lifetime}");
        }
    }

    #[test]
    fn verdicts_are_three_way() {
        let token = claims(IAT, 600, None);
        let at = |age: i64, bound: i64| {
            verdict(
                &token,
                &Interval::new(Wall::from_secs(IAT + age), Delta::ZERO, Delta::from_secs(bound)),
            )
        };
        assert_eq!(at(300, 1), Verdict::Live);
        assert_eq!(at(599, 2), Verdict::Uncertain);
        assert_eq!(at(650, 1), Verdict::Uncertain); // within the leeway
        assert_eq!(at(662, 1), Verdict::Dead);
        assert_eq!(at(-62, 1), Verdict::Dead);
        assert_eq!(at(-30, 1), Verdict::Uncertain);
        assert_eq!(at(300, 400), Verdict::Uncertain);
    }

    proptest! {
        #[test]
        fn deadlines_are_in_order_for_all_claims(
            iat in any::<i64>(),
            lifetime in 0..i64::from(u32::MAX),
            sync in any::<i64>(),
        ) {
            let kubelet = KubeletPolicy::syncing(Delta::from_secs(sync));
            let of_kubelet = claims(iat, lifetime, None);
            let mut by_hand = of_kubelet.clone();
            by_hand.binding.pod = None;
            for claims in [of_kubelet, by_hand] {
                let d = Deadlines::of(&claims, &kubelet);
                let ordered = [d.issued, d.due, d.late, d.stalled, d.effective, d.hard];
                prop_assert!(ordered.is_sorted(), "{:?}", ordered);
            }
        }

        #[test]
        fn a_narrower_interval_never_reverses_a_certain_verdict(
            age in -200..900i64,
            offset in -100..100i64,
            wide in 0..200i64,
            narrow in 0..200i64,
        ) {
            let token = claims(IAT, 600, None);
            let (narrow, wide) = (narrow.min(wide), wide.max(narrow));
            let at = |bound| {
                let (wall, offset) = (Wall::from_secs(IAT + age), Delta::from_secs(offset));
                verdict(&token, &Interval::new(wall, offset, Delta::from_secs(bound)))
            };
            if at(wide) != Verdict::Uncertain {
                prop_assert_eq!(at(narrow), at(wide));
            }
        }
    }
}

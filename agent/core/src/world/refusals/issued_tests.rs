use proptest::prelude::*;

use super::issued::{GRACE, IssuedTokens};
use super::{AcceptedAccount, AcceptedPod, IssuedToken};
use crate::base::time::{Delta, Monotonic, Wall};
use crate::world::cluster::AccountName;
use crate::world::tokens::GenerationId;

fn wall(secs: i64) -> Wall {
    Wall::from_secs(1_800_000_000 + secs)
}

fn at(secs: i64) -> Monotonic {
    Monotonic::from_nanos(secs * 1_000_000_000)
}

fn issue(pod: &str, request: &str, jti: &str, secs: i64) -> IssuedToken {
    IssuedToken {
        pod_uid: pod.into(),
        request: request.into(),
        lifetime: Delta::from_secs(3_607),
        generation: GenerationId::of_jti(jti),
        at: wall(secs),
    }
}

fn user(pod: &str, jti: &str) -> AcceptedAccount {
    AcceptedAccount {
        account: AccountName { namespace: "shop".into(), name: "cart".into() },
        pod: Some(AcceptedPod { name: "cart-0".into(), uid: pod.into() }),
        node: None,
        generation: Some(GenerationId::of_jti(jti)),
        stale_for: None,
    }
}

/// Seconds since the token was replaced, for a use at this time; none: it accuses nobody.
fn used(tokens: &IssuedTokens, jti: &str, secs: i64) -> Option<i64> {
    tokens.replaced(&user("p", jti), Some(wall(secs)), at(secs)).map(Delta::as_secs)
}

/// These tokens of one pod, of the same audiences and lifetime.
fn tokens(issued: &[(&str, i64)]) -> IssuedTokens {
    let mut tokens = IssuedTokens::default();
    for (jti, secs) in issued {
        tokens.see(issue("p", "a", jti, *secs), at(*secs));
    }
    tokens
}

const G: i64 = 750;

#[test]
fn a_token_is_old_some_time_after_its_successor_was_issued() {
    assert_eq!(GRACE, Delta::from_secs(G));
    let of = tokens(&[("1", 0), ("2", 2_886)]);
    assert_eq!(used(&of, "1", 2_886 + G - 1), None, "slow libraries read again after ten minutes");
    assert_eq!(used(&of, "1", 2_886 + G), Some(G));
    assert_eq!(used(&of, "2", 9_000), None);
    assert_eq!(used(&of, "other", 9_000), None, "a token that somebody else has requested");
}

/// Look-alikes.
#[test]
fn a_token_that_may_be_the_current_one_accuses_nobody() {
    // Two volumes that ask at once, or kubelet after a restart: either may be in the file.
    let of = tokens(&[("1", 0), ("2", 0), ("3", 299)]);
    for jti in ["1", "2", "3"] {
        assert_eq!(used(&of, jti, 9_000), None, "{jti}");
    }
    let of = tokens(&[("1", 0), ("2", 299), ("3", 2_886)]);
    assert_eq!(used(&of, "1", 2_886 + G), Some(G), "the third one replaces both");
    assert_eq!(used(&of, "2", 2_886 + G), Some(G));
    // Tokens for another audience, or with another lifetime.
    let mut of = tokens(&[("1", 0)]);
    of.see(issue("p", "b", "2", 2_886), at(2_886));
    of.see(issue("q", "a", "3", 2_886), at(2_886));
    assert_eq!(used(&of, "1", 9_000), None);
    let kinds = [("vault", 3_607), ("api", 3_607), ("vault", 600)];
    let hash = |(audience, secs): (&str, i64)| {
        IssuedToken::request_of(&[audience], Delta::from_secs(secs))
    };
    assert!(kinds.windows(2).all(|two| hash(two[0]) != hash(two[1])));
    let two = IssuedToken::request_of(&["a", "b"], Delta::ZERO);
    assert_ne!(two, IssuedToken::request_of(&["ab"], Delta::ZERO));
}

/// Neither a clock that is set nor a log that is read late makes a use look late.
#[test]
fn both_clocks_must_show_that_it_is_late() {
    let of = tokens(&[("1", 0), ("2", 2_886)]);
    let replaced = |wall_secs: Option<i64>, secs: i64| {
        of.replaced(&user("p", "1"), wall_secs.map(wall), at(secs))
    };
    assert_eq!(replaced(Some(2_890), 9_000), None, "it was read late");
    assert_eq!(replaced(Some(9_000), 2_890), None, "the API server's clock was set");
    assert_eq!(replaced(None, 9_000), None);
    // The clock was set between the two requests, or the first one was read late.
    let mut of = IssuedTokens::default();
    of.see(issue("p", "a", "1", 0), at(0));
    of.see(issue("p", "a", "2", 2_886), at(5));
    assert_eq!(used(&of, "1", 9_000), None);
    let mut of = IssuedTokens::default();
    of.see(issue("p", "a", "1", 2_880), at(0));
    of.see(issue("p", "a", "2", 2_886), at(2_886));
    assert_eq!(used(&of, "1", 9_000), None);
}

#[test]
fn a_log_that_is_read_twice_or_backwards_changes_nothing() {
    let mut of = tokens(&[("1", 0), ("2", 2_886)]);
    of.see(issue("p", "a", "1", 0), at(4_000));
    assert_eq!(used(&of, "2", 9_000), None, "the first one comes again");
    assert_eq!(used(&of, "1", 9_000), Some(9_000 - 2_886));
    let mut of = IssuedTokens::default();
    of.see(issue("p", "a", "2", 2_886), at(0));
    of.see(issue("p", "a", "1", 0), at(2_886));
    assert_eq!((used(&of, "1", 9_000), used(&of, "2", 9_000)), (None, None));
}

#[test]
fn a_large_cluster_is_followed_in_part_and_always_the_same_one() {
    let mut of = IssuedTokens::default();
    let pods = 40_000;
    for round in 0..3_i64 {
        for nth in 0..pods {
            let now = round * 2_886 + nth / 50;
            of.see(issue(&format!("{nth:x}"), "a", &format!("{nth}-{round}"), now), at(now));
        }
    }
    let now = 3 * 2_886 + 2_000;
    let stale = (0..pods).filter(|nth| {
        let user = user(&format!("{nth:x}"), &format!("{nth}-1"));
        of.replaced(&user, Some(wall(now)), at(now)).is_some()
    });
    let share = stale.count();
    assert!((2_000..=8_192).contains(&share), "{share} of {pods} pods are followed throughout");
}

proptest! {
    /// Whatever is issued when, a token accuses only if a later one of the same kind was issued
    /// long enough before.
    #[test]
    fn only_a_later_token_replaces(
        issued in proptest::collection::vec((0..3u8, 0..2u8, 0..6_000i64), 0..12),
        of in 0..12usize,
        secs in 0..9_000i64,
    ) {
        let mut all = IssuedTokens::default();
        let mut sorted = issued.clone();
        sorted.sort_by_key(|(_, _, secs)| *secs);
        for (nth, (pod, request, secs)) in sorted.iter().enumerate() {
            let (pod, request) = (pod.to_string(), request.to_string());
            all.see(issue(&pod, &request, &nth.to_string(), *secs), at(*secs));
        }
        if let Some((pod, request, first)) = sorted.get(of) {
            let user = user(&pod.to_string(), &of.to_string());
            if all.replaced(&user, Some(wall(secs)), at(secs)).is_some() {
                let is_later = |(other, kind, later): &(u8, u8, i64)| {
                    other == pod && kind == request && later - first >= 300 && secs - later >= G
                };
                prop_assert!(sorted.iter().any(is_later));
            }
        }
    }
}

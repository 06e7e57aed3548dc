//! The schedule of requests, and what an answer means.

use super::*;
use crate::base::time::Wall;
use crate::world::tokens::{Deadlines, KubeletPolicy, claims_for_tests};

fn at(secs: i64) -> Reading {
    Reading {
        wall: Wall::from_secs(1_800_000_000 + secs),
        monotonic: Monotonic::from_nanos(secs * 1_000_000_000),
    }
}

fn named(name: &str) -> AccountName {
    AccountName { namespace: "shop".into(), name: name.into() }
}

fn used(names: &[&str]) -> BTreeSet<AccountName> {
    names.iter().map(|name| named(name)).collect()
}

fn many(count: usize) -> BTreeSet<AccountName> {
    (0..count).map(|number| named(&format!("a{number:03}"))).collect()
}

fn answered(uid: Option<&str>) -> AccountSeen {
    AccountSeen { account: named("cart"), uid: uid.map(Into::into) }
}

fn key() -> TokenKey {
    TokenKey { pod_uid: "p".into(), volume: "v".into(), path: "token".into() }
}

/// A generation of a token of `cart`, first seen at this second. The account's UID is "sa-uid".
fn generation(seen: i64) -> Generation {
    let claims = claims_for_tests(1_800_000_000, 600, None);
    Generation {
        deadlines: Deadlines::of(&claims, &KubeletPolicy::default()),
        claims,
        appeared_at: None,
        seen: at(seen),
        previous: None,
    }
}

fn kind(accounts: &Accounts, seen: i64) -> Option<AccountLoss> {
    accounts.loss(&key(), &generation(seen)).map(|loss| loss.kind)
}

/// Runs every turn up to this second: when, and whose.
fn turns(accounts: &mut Accounts, used: &BTreeSet<AccountName>, to: i64) -> Vec<(i64, String)> {
    let mut taken = Vec::new();
    while let Some(next) = accounts.next_turn().filter(|next| *next <= at(to).monotonic) {
        let secs = (next - Monotonic::default()).as_secs();
        let account = accounts.take_turn(used, &at(secs));
        taken.extend(account.map(|account| (secs, account.name)));
    }
    taken
}

fn begun() -> Accounts {
    let mut accounts = Accounts::new(0);
    accounts.begin(&at(0));
    accounts
}

#[test]
fn every_account_has_its_turn_soon_after_the_start_and_then_in_rounds() {
    let mut accounts = begun();
    let taken = turns(&mut accounts, &used(&["a", "b", "c"]), 700);
    // Turns are 120 s apart after the first three, and no account has another turn within 200 s.
    let expected = [(1, "a"), (11, "b"), (21, "c"), (261, "a"), (381, "b"), (501, "c"), (621, "a")];
    let expected: Vec<_> = expected.iter().map(|(at, name)| (*at, (*name).to_owned())).collect();
    assert_eq!(taken, expected);
}

#[test]
fn twenty_accounts_are_requested_once_a_minute_and_each_within_twenty_minutes() {
    let (mut accounts, used) = (begun(), many(20));
    let taken = turns(&mut accounts, &used, 4 * 3_600);
    let early = taken.iter().filter(|(secs, _)| *secs < 200).count();
    assert_eq!(early, 20, "once soon after the start");
    assert!(taken.len() <= 20 + 4 * 60, "{} requests in four hours", taken.len());
    for name in &used {
        let times: Vec<i64> =
            taken.iter().filter(|(_, taken)| *taken == name.name).map(|(secs, _)| *secs).collect();
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(longest <= Some(1_200), "{name:?}: {longest:?} s between two requests");
        assert!(times.last() >= Some(&(4 * 3_600 - 1_200)), "{name:?}");
    }
}

#[test]
fn a_node_with_few_accounts_sends_less_than_one_request_a_minute() {
    for count in [1, 3, 10, 16] {
        let mut accounts = begun();
        let used = many(count);
        let _ = turns(&mut accounts, &used, 600);
        let taken = turns(&mut accounts, &used, 600 + 6_000).len();
        assert!(taken <= 80, "{count} accounts: {taken} requests in 100 minutes");
    }
}

#[test]
fn accounts_that_come_and_go_do_not_exceed_the_budget() {
    let mut accounts = begun();
    let mut taken = 0;
    for hour in 0..40 {
        let names: Vec<String> = (0..30).map(|number| format!("job-{hour}-{number}")).collect();
        let used = names.iter().map(|name| named(name)).collect();
        taken += turns(&mut accounts, &used, (hour + 1) * 3_600).len();
        assert!(accounts.known.len() <= 30, "an account that no token uses is forgotten");
    }
    assert!(taken <= 40 * 60 + MAX_ACCOUNTS, "{taken} requests in 40 hours");
}

#[test]
fn no_account_has_a_turn_before_the_api_server_answered() {
    assert_eq!(Accounts::new(7).next_turn(), None);
}

#[test]
fn an_account_out_of_turn_is_requested_every_five_minutes() {
    let mut accounts = Accounts::new(0);
    let requested: Vec<i64> =
        (0..700).filter(|secs| accounts.query(&named("cart"), &at(*secs))).collect();
    assert_eq!(requested, [0, 300, 600]);
    assert!(accounts.query(&named("vault"), &at(601)));
}

#[test]
fn a_request_out_of_turn_counts_as_the_accounts_turn() {
    let mut accounts = begun();
    assert!(accounts.query(&named("b"), &at(0)));
    let taken = turns(&mut accounts, &used(&["a", "b"]), 200);
    assert_eq!(taken, [(1, "a".to_owned())]);
}

#[test]
fn the_uid_shows_whether_the_account_was_lost() {
    // (the UID in the answer, the loss for a token with the UID "sa-uid")
    for (uid, loss) in [
        (None, Some(AccountLoss::Missing)),
        (Some("other"), Some(AccountLoss::Replaced)),
        (Some("sa-uid"), None),
    ] {
        let mut accounts = Accounts::new(0);
        assert!(accounts.query(&named("cart"), &at(0)));
        assert_eq!(kind(&accounts, 0), None, "no answer yet");
        assert!(accounts.see(answered(uid), &at(2)));
        assert!(!accounts.see(answered(uid), &at(3)), "the same answer");
        assert_eq!(kind(&accounts, 0), loss);
        let since = accounts.loss(&key(), &generation(0)).map(|loss| loss.since);
        assert_eq!(since, loss.map(|_| at(2).monotonic), "since the first such answer");
    }
}

#[test]
fn an_answer_counts_until_the_next_one() {
    let mut accounts = Accounts::new(0);
    assert!(accounts.query(&named("cart"), &at(0)) && accounts.see(answered(None), &at(1)));
    assert_eq!(kind(&accounts, 0), Some(AccountLoss::Missing));
    assert!(accounts.query(&named("cart"), &at(100_000)), "the API server was away for a day");
    assert_eq!(kind(&accounts, 0), Some(AccountLoss::Missing));
    assert!(accounts.see(answered(Some("sa-uid")), &at(100_002)));
    assert_eq!(kind(&accounts, 0), None);
}

#[test]
fn a_token_newer_than_the_answer_proves_that_the_account_exists() {
    let mut accounts = Accounts::new(0);
    assert!(accounts.query(&named("cart"), &at(10)) && accounts.see(answered(None), &at(11)));
    assert_eq!(kind(&accounts, 5), Some(AccountLoss::Missing));
    assert_eq!(kind(&accounts, 50), None);
}

#[test]
fn a_restored_loss_counts_until_the_api_server_answers_or_the_token_is_replaced() {
    let mut accounts = Accounts::new(0);
    let was = generation(0).claims.generation().as_str().to_owned();
    accounts.restore(key(), was, AccountLoss::Replaced);
    assert_eq!(kind(&accounts, 0), Some(AccountLoss::Replaced));
    let mut newer = generation(0);
    newer.claims.credential = Some("newer".into());
    assert_eq!(accounts.loss(&key(), &newer), None, "another generation");
    assert!(accounts.query(&named("cart"), &at(1)) && accounts.see(answered(None), &at(2)));
    assert_eq!(kind(&accounts, 0), Some(AccountLoss::Missing), "the answer is newer");
}

#[test]
fn the_number_of_accounts_is_limited() {
    let mut accounts = begun();
    assert!(!accounts.see(answered(None), &at(0)), "no token is known to use it");
    let requested =
        (0..1_000).filter(|number| accounts.query(&named(&number.to_string()), &at(1))).count();
    assert_eq!((requested, accounts.known.len()), (MAX_ACCOUNTS, MAX_ACCOUNTS));
    assert_eq!(accounts.take_all(&many(1_000), &at(2)).len(), MAX_ACCOUNTS);
    assert_eq!(accounts.take_turn(&used(&["later"]), &at(3)), Some(named("later")));
}

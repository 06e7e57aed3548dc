//! The service accounts that the agent requested from the API server. It knows no others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::time::{Delta, Monotonic, Reading};
use crate::world::tokens::Claims;

/// Interval between two requests for the same account, while its token is late: an account that was
/// deleted by mistake may be created again.
const REQUEST_INTERVAL: Delta = Delta::from_secs(300);
/// Age from which an answer is no longer used: three request intervals.
const MAX_ANSWER_AGE: Delta = Delta::from_secs(900);
/// Most accounts that are kept: more than a full node (250 pods) has.
const MAX_ACCOUNTS: usize = 256;

/// The name of a service account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl AccountName {
    /// The service account that a token names.
    pub fn of(claims: &Claims) -> Self {
        Self {
            namespace: claims.binding.namespace.clone(),
            name: claims.binding.service_account.name.clone(),
        }
    }
}

/// The answer of the API server about one service account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSeen {
    /// The account that was requested.
    pub account: AccountName,
    /// The UID of the account that has this name now; nothing if there is none.
    pub uid: Option<String>,
}

/// Why the API server rejects a token because of its service account. It looks up the account and
/// compares the UIDs (Validate in pkg/serviceaccount/claims.go).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountLoss {
    /// The account does not exist. kubelet gets no new token for it, either.
    Missing,
    /// The account was deleted and created again, and the token belongs to the old one.
    Replaced,
}

impl AccountLoss {
    /// The name in the evidence of a finding.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Replaced => "replaced",
        }
    }
}

/// The requested accounts, with the last answer about each.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    requested: BTreeMap<AccountName, Requested>,
}

#[derive(Clone, Debug)]
struct Requested {
    at: Monotonic,
    answer: Option<Answer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    at: Monotonic,
    uid: Option<String>,
}

impl Accounts {
    /// Returns whether the account must be requested now. If so, it counts as requested.
    pub fn query(&mut self, account: &AccountName, now: &Reading) -> bool {
        self.requested.retain(|_, requested| now.monotonic - requested.at < MAX_ANSWER_AGE);
        let due = self.next(account).is_none_or(|next| next <= now.monotonic);
        let room = self.requested.len() < MAX_ACCOUNTS || self.requested.contains_key(account);
        if due && room {
            let answer = self.requested.remove(account).and_then(|requested| requested.answer);
            self.requested.insert(account.clone(), Requested { at: now.monotonic, answer });
        }
        due && room
    }

    /// When the account may be requested again; nothing if it never was.
    pub fn next(&self, account: &AccountName) -> Option<Monotonic> {
        self.requested.get(account).map(|requested| requested.at + REQUEST_INTERVAL)
    }

    /// Takes an answer. Returns whether it differs from the one before; false for an account that
    /// was not requested.
    pub fn see(&mut self, seen: AccountSeen, now: &Reading) -> bool {
        let Some(requested) = self.requested.get_mut(&seen.account) else { return false };
        let answer = Answer { at: now.monotonic, uid: seen.uid };
        let before = requested.answer.replace(answer.clone());
        before.is_none_or(|before| before.uid != answer.uid)
    }

    /// Why the API server rejects a token with these claims because of its account, if that is
    /// known. `seen` is when the agent first saw the token: an answer from before is out of date,
    /// because the account existed when the token was issued.
    pub fn loss(&self, claims: &Claims, seen: &Reading, now: &Reading) -> Option<AccountLoss> {
        let answer = self.requested.get(&AccountName::of(claims))?.answer.as_ref()?;
        if answer.at <= seen.monotonic || now.monotonic - answer.at >= MAX_ANSWER_AGE {
            return None;
        }
        match (&answer.uid, &claims.binding.service_account.uid) {
            (None, _) => Some(AccountLoss::Missing),
            (Some(is), Some(was)) if is != was => Some(AccountLoss::Replaced),
            (Some(_), _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Wall;
    use crate::world::tokens::claims_for_tests;

    fn at(secs: i64) -> Reading {
        Reading {
            wall: Wall::from_secs(1_800_000_000 + secs),
            monotonic: Monotonic::from_nanos(secs * 1_000_000_000),
        }
    }

    fn named(name: &str) -> AccountName {
        AccountName { namespace: "shop".into(), name: name.into() }
    }

    fn answered(uid: Option<&str>) -> AccountSeen {
        AccountSeen { account: named("cart"), uid: uid.map(Into::into) }
    }

    #[test]
    fn an_account_is_requested_every_five_minutes() {
        let mut accounts = Accounts::default();
        let requested: Vec<i64> =
            (0..700).filter(|secs| accounts.query(&named("cart"), &at(*secs))).collect();
        assert_eq!(requested, [0, 300, 600]);
        assert!(accounts.query(&named("vault"), &at(601)));
    }

    #[test]
    fn the_uid_shows_whether_the_account_was_lost() {
        let claims = claims_for_tests(1_800_000_000, 600, None);
        // (the UID in the answer, the loss for a token with the UID "sa-uid")
        for (uid, loss) in [
            (None, Some(AccountLoss::Missing)),
            (Some("other"), Some(AccountLoss::Replaced)),
            (Some("sa-uid"), None),
        ] {
            let mut accounts = Accounts::default();
            assert!(accounts.query(&named("cart"), &at(0)));
            assert_eq!(accounts.loss(&claims, &at(0), &at(1)), None, "no answer yet");
            assert!(accounts.see(answered(uid), &at(2)));
            assert!(!accounts.see(answered(uid), &at(3)), "the same answer");
            assert_eq!(accounts.loss(&claims, &at(0), &at(4)), loss);
            assert_eq!(accounts.loss(&claims, &at(0), &at(1_000)), None, "the answer is too old");
        }
    }

    #[test]
    fn an_answer_counts_until_the_next_one() {
        let (mut accounts, claims) =
            (Accounts::default(), claims_for_tests(1_800_000_000, 600, None));
        assert!(
            accounts.query(&named("cart"), &at(0))
                && accounts.see(answered(None), &at(1))
                && accounts.query(&named("cart"), &at(300))
        );
        assert_eq!(accounts.loss(&claims, &at(0), &at(301)), Some(AccountLoss::Missing));
        assert!(accounts.see(answered(Some("sa-uid")), &at(302)));
        assert_eq!(accounts.loss(&claims, &at(0), &at(303)), None);
    }

    #[test]
    fn a_token_newer_than_the_answer_proves_that_the_account_exists() {
        let (mut accounts, claims) =
            (Accounts::default(), claims_for_tests(1_800_000_000, 600, None));
        assert!(accounts.query(&named("cart"), &at(10)) && accounts.see(answered(None), &at(11)));
        assert_eq!(accounts.loss(&claims, &at(5), &at(100)), Some(AccountLoss::Missing));
        assert_eq!(accounts.loss(&claims, &at(50), &at(100)), None);
    }

    #[test]
    fn the_number_of_accounts_is_limited() {
        let mut accounts = Accounts::default();
        assert!(!accounts.see(answered(None), &at(0)), "it was not requested");
        let requested =
            (0..1_000).filter(|number| accounts.query(&named(&number.to_string()), &at(1))).count();
        assert_eq!((requested, accounts.requested.len()), (MAX_ACCOUNTS, MAX_ACCOUNTS));
        assert!(accounts.query(&named("later"), &at(2_000)), "old requests make room");
    }
}

//! Service accounts that were asked for: of no other is anything known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::time::{Delta, Monotonic, Reading};
use crate::world::tokens::Claims;

/// An account is asked for again after this, while its token still waits to be replaced: one that
/// was deleted by mistake may be back.
const AGAIN: Delta = Delta::from_secs(300);
/// What was answered longer ago than this says nothing of now.
const LASTS: Delta = Delta::from_secs(900);
/// Accounts that are kept: more than a full node (250 pods) has.
const MOST: usize = 256;

/// A service account by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl AccountName {
    /// Of whom a token speaks.
    pub fn of(claims: &Claims) -> Self {
        Self {
            namespace: claims.binding.namespace.clone(),
            name: claims.binding.service_account.name.clone(),
        }
    }
}

/// What the API server answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSeen {
    /// Which one was asked for.
    pub account: AccountName,
    /// The UID of the one that has this name now; nothing if none has.
    pub uid: Option<String>,
}

/// Why a token's account has the API server refuse it: it looks for the account, and compares UIDs
/// (kubernetes pkg/serviceaccount/claims.go, Validate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountLoss {
    /// There is none of that name: kubelet is given no new token, either.
    Missing,
    /// It was made anew under its name, and the token is of the one before.
    Replaced,
}

impl AccountLoss {
    /// For evidence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Replaced => "replaced",
        }
    }
}

/// What was asked for, when, and what was answered.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    asked: BTreeMap<AccountName, Asked>,
}

#[derive(Clone, Debug)]
struct Asked {
    at: Monotonic,
    answer: Option<Answer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    at: Monotonic,
    uid: Option<String>,
}

impl Accounts {
    /// Whether the account is to be requested now. From now on it is.
    pub fn query(&mut self, account: &AccountName, now: &Reading) -> bool {
        self.asked.retain(|_, asked| now.monotonic - asked.at < LASTS);
        let due = self.next(account).is_none_or(|next| next <= now.monotonic);
        let room = self.asked.len() < MOST || self.asked.contains_key(account);
        if due && room {
            let answer = self.asked.remove(account).and_then(|asked| asked.answer);
            self.asked.insert(account.clone(), Asked { at: now.monotonic, answer });
        }
        due && room
    }

    /// When it may be asked for again; nothing if it was not yet.
    pub fn next(&self, account: &AccountName) -> Option<Monotonic> {
        self.asked.get(account).map(|asked| asked.at + AGAIN)
    }

    /// Takes an answer to what was asked; whether it is news.
    pub fn see(&mut self, seen: AccountSeen, now: &Reading) -> bool {
        let Some(asked) = self.asked.get_mut(&seen.account) else { return false };
        let before = asked.answer.replace(Answer { at: now.monotonic, uid: seen.uid });
        before.map(|answer| answer.uid) != asked.answer.as_ref().map(|answer| answer.uid.clone())
    }

    /// What became of the account that this token is of, if that is known, and bad. A token that
    /// was first seen after the answer proves it outdated: there was an account to issue it.
    pub fn loss(&self, claims: &Claims, seen: &Reading, now: &Reading) -> Option<AccountLoss> {
        let asked = self.asked.get(&AccountName::of(claims))?;
        let answer = asked
            .answer
            .as_ref()
            .filter(|answer| answer.at > seen.monotonic && now.monotonic - answer.at < LASTS)?;
        match (&answer.uid, &claims.binding.service_account.uid) {
            (None, _) => Some(AccountLoss::Missing),
            (Some(is), Some(was)) if is != was => Some(AccountLoss::Replaced),
            _ => None,
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
    fn an_account_is_asked_for_once_in_five_minutes() {
        let mut accounts = Accounts::default();
        let asked: Vec<i64> =
            (0..700).filter(|secs| accounts.query(&named("cart"), &at(*secs))).collect();
        assert_eq!(asked, [0, 300, 600]);
        assert!(accounts.query(&named("vault"), &at(601)));
    }

    #[test]
    fn what_the_uid_says() {
        let claims = claims_for_tests(1_800_000_000, 600, None);
        // (the UID that is answered, what that means for a token of "sa-uid")
        for (uid, loss) in [
            (None, Some(AccountLoss::Missing)),
            (Some("other"), Some(AccountLoss::Replaced)),
            (Some("sa-uid"), None),
        ] {
            let mut accounts = Accounts::default();
            assert!(accounts.query(&named("cart"), &at(0)));
            assert_eq!(accounts.loss(&claims, &at(0), &at(1)), None, "nobody has answered");
            assert!(accounts.see(answered(uid), &at(2)));
            assert!(!accounts.see(answered(uid), &at(3)), "that is no news");
            assert_eq!(accounts.loss(&claims, &at(0), &at(4)), loss);
            assert_eq!(accounts.loss(&claims, &at(0), &at(1_000)), None, "that was long ago");
        }
    }

    #[test]
    fn an_old_answer_counts_until_there_is_a_new_one() {
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
    fn a_token_from_after_the_answer_proves_that_there_is_an_account() {
        let (mut accounts, claims) =
            (Accounts::default(), claims_for_tests(1_800_000_000, 600, None));
        assert!(accounts.query(&named("cart"), &at(10)) && accounts.see(answered(None), &at(11)));
        assert_eq!(accounts.loss(&claims, &at(5), &at(100)), Some(AccountLoss::Missing));
        assert_eq!(accounts.loss(&claims, &at(50), &at(100)), None);
    }

    #[test]
    fn nobody_fills_memory() {
        let mut accounts = Accounts::default();
        assert!(!accounts.see(answered(None), &at(0)), "it was not asked for");
        let asked =
            (0..1_000).filter(|number| accounts.query(&named(&number.to_string()), &at(1))).count();
        assert_eq!((asked, accounts.asked.len()), (MOST, MOST));
        assert!(accounts.query(&named("later"), &at(2_000)), "what was asked long ago makes room");
    }
}

//! Any bytes as what the API server answers about service accounts.

use bytes::Bytes;
use http::StatusCode;
use tokenwatch_core::world::cluster::{AccountName, AccountSeen};
use tokenwatch_core::world::observation::Observation;

use super::look_up;
use super::watch::{Accounts, Followed};
use crate::fuzzed::{assert_no_token, assert_recorded};
use crate::kubernetes::Error;
use crate::sources::object_watch::{self, MAX_VERSION, Watched as _};

/// As long as a UID is kept: that of a token's claims is cut there, too.
const MAX_UID: usize = 253;

fn cart() -> AccountName {
    AccountName { namespace: "shop".to_owned(), name: "cart".to_owned() }
}

/// The account itself, a list for the version, and a line of the watch.
pub(in crate::sources) fn accounts(input: &[u8], body: &[u8]) {
    one(input, look_up::seen(cart(), Ok(Bytes::copy_from_slice(body))));
    version(input, object_watch::version::<Accounts>(body));
    let followed = Followed::default();
    followed.add(&cart());
    let mut accounts = Accounts { followed, seen: Vec::new() };
    version(input, object_watch::event(&mut accounts, body));
    let seen = accounts.report();
    assert!(seen.len() <= 1, "{seen:?}");
    for seen in seen {
        kept(input, seen);
    }
}

/// A refused request: the account is missing only by the API server's own message.
pub(in crate::sources) fn refused(input: &[u8], error: Error) {
    let is_missing = error.status() == Some(StatusCode::NOT_FOUND);
    let seen = look_up::seen(cart(), Err(error));
    assert!(is_missing || seen.is_err(), "{seen:?}");
    one(input, seen);
}

fn one(input: &[u8], seen: Result<AccountSeen, Error>) {
    match seen {
        Ok(seen) => kept(input, Observation::ServiceAccount(seen)),
        Err(error) => assert_no_token(input, &error.to_string()),
    }
}

fn kept(input: &[u8], seen: Observation) {
    if let Observation::ServiceAccount(seen) = &seen {
        assert_eq!(seen.account, cart());
        assert!(seen.uid.as_ref().is_none_or(|uid| uid.len() <= MAX_UID), "{seen:?}");
    }
    assert_recorded(input, seen);
}

fn version(input: &[u8], version: Result<String, Error>) {
    match version {
        Ok(version) => assert!((1..=MAX_VERSION).contains(&version.len()), "{version}"),
        Err(error) => assert_no_token(input, &error.to_string()),
    }
}

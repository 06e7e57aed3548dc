//! Many accounts at once, for `check`.

use std::sync::Arc;
use std::time::Duration;

use tokenwatch_core::world::cluster::{AccountName, AccountSeen};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::look_up::look_up;
use crate::kubernetes::{ApiClient, Error};

/// Requests under way at the same time.
const AT_ONCE: usize = 8;

/// What the API server answered within the time limit.
#[derive(Debug, Default)]
pub struct Answers {
    /// The answers.
    pub seen: Vec<AccountSeen>,
    /// Number of accounts without an answer.
    pub missing: usize,
    /// Why the first of them has none; nothing if only the time was too short.
    pub error: Option<Error>,
}

/// Requests these accounts, and returns after `limit` at the latest.
pub async fn ask(client: &Arc<ApiClient>, accounts: Vec<AccountName>, limit: Duration) -> Answers {
    let (wanted, mut results) = (accounts.len(), Vec::new());
    // At the time limit, what is not answered is dropped.
    let _ = timeout(limit, ask_all(client, accounts, limit, &mut results)).await;
    collected(wanted, results)
}

async fn ask_all(
    client: &Arc<ApiClient>,
    accounts: Vec<AccountName>,
    limit: Duration,
    results: &mut Vec<Result<AccountSeen, Error>>,
) {
    let (mut waiting, mut asked) = (accounts.into_iter(), JoinSet::new());
    loop {
        for account in waiting.by_ref().take(AT_ONCE.saturating_sub(asked.len())) {
            let client = Arc::clone(client);
            asked.spawn(async move { look_up(&client, account, limit).await });
        }
        let Some(answered) = asked.join_next().await else { return };
        results.extend(answered);
    }
}

fn collected(wanted: usize, results: Vec<Result<AccountSeen, Error>>) -> Answers {
    let mut answers = Answers::default();
    for result in results {
        match result {
            Ok(seen) => answers.seen.push(seen),
            Err(error) => drop(answers.error.get_or_insert(error)),
        }
    }
    answers.missing = wanted - answers.seen.len();
    answers
}

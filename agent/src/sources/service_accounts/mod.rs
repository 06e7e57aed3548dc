//! Service accounts: those that the engine queries, one at a time. As an option, a watch of the
//! metadata of all accounts shows a change of these within seconds.
//!
//! - `look_up`: one request, and what the response means;
//! - `queue`: the queries that wait;
//! - `once`: many accounts at once, for `check`;
//! - `watch`: the optional watch.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzzed;
mod look_up;
mod once;
mod queue;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokenwatch_core::world::cluster::AccountName;
use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::{Receiver, Sender};

use super::health::{Health, Meaning, Source};
use super::object_watch;
use super::send::send_all;
use crate::kubernetes::{ApiClient, Error};
use look_up::look_up;
pub use once::{Answers, ask};
use queue::QueryQueue;
pub use watch::Followed;

/// Queries that may wait: as many accounts as the core keeps. The engine repeats a query that does
/// not fit.
pub const QUEUE: usize = 256;
/// Timeout of a response, as for pods: the API server waits up to 3 s for its cache, and flow
/// control queues a request for up to 15 s.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two requests, on average. When rotation stops everywhere at once, 5,000 nodes send
/// 1,000 requests a second and no more.
const SPACING: Duration = Duration::from_secs(5);
/// A failed query is repeated after this, even if the engine has not repeated it: the source must
/// notice when it works again.
const RETRY: Duration = Duration::from_mins(5);

/// Answers queries until the engine drops either channel. `followed` learns which accounts it
/// queries.
pub async fn run(
    client: Arc<ApiClient>,
    queries: Receiver<AccountName>,
    observations: Sender<Observation>,
    followed: Followed,
) {
    let pace = Pace { spacing: SPACING, retry: RETRY };
    run_at(client, queries, observations, followed, pace).await;
}

/// Watches all accounts, and reports each change of one in `followed`, until the engine drops the
/// channel.
pub async fn watch(client: Arc<ApiClient>, observations: Sender<Observation>, followed: Followed) {
    watch::run(client, observations, followed, object_watch::Pace::default()).await;
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    spacing: Duration,
    retry: Duration,
}

async fn run_at(
    client: Arc<ApiClient>,
    queries: Receiver<AccountName>,
    observations: Sender<Observation>,
    followed: Followed,
    pace: Pace,
) {
    let mut queue = QueryQueue::new(queries, pace.retry);
    let mut health = Health::new(Source::ServiceAccounts);
    while let Some(account) = queue.next().await {
        followed.add(&account);
        let answers = answer(&client, account, &mut queue, &mut health).await;
        if !send_all(&observations, answers).await {
            return;
        }
        tokio::time::sleep(jittered(pace.spacing)).await;
    }
}

/// What there is to report after a query. A failed query is kept, to be repeated.
async fn answer(
    client: &ApiClient,
    account: AccountName,
    queue: &mut QueryQueue,
    health: &mut Health,
) -> Vec<Observation> {
    let (seen, health) = match look_up(client, account.clone(), TIMEOUT).await {
        Ok(seen) => (Some(Observation::ServiceAccount(seen)), health.update(None)),
        Err(error) => {
            let text = degraded(client, &error);
            (None, health.degraded(Meaning::Api(error.kind()), text))
        }
    };
    queue.failed = seen.is_none().then_some(account);
    seen.into_iter().chain(health).collect()
}

/// The same text for every account, so that it is reported once.
fn degraded(client: &ApiClient, error: &Error) -> String {
    format!(
        "API server ({}): {error}; findings may not name a deleted service account as the cause, \
         and the agent retries within five minutes",
        client.address()
    )
}

/// Nodes that send a request at the same time do not send the next one at the same time.
fn jittered(spacing: Duration) -> Duration {
    spacing.mul_f64(rand::rng().random_range(0.5..=1.5))
}

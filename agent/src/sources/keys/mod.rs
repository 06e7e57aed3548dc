//! The keys with which the API server verifies tokens, and its issuer: requested when the engine
//! asks for them. Every service account may read both (ClusterRole
//! `system:service-account-issuer-discovery`).
//!
//! - `published`: the requests, and what the responses mean;
//! - `own`: the claims of the agent's own token, which tell something where the API server refuses
//!   it.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzzed;
mod own;
mod published;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokenwatch_core::world::keys::{KeysAnswer, KeysSeen};
use tokenwatch_core::world::observation::Observation;
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;

use super::health::{Health, Meaning, Source};
use super::send::send_all;
use super::signatures::SharedKeys;
use crate::clocks;
use crate::kubernetes::{ApiClient, Error};
use published::published;

/// Requests for the keys in one round.
const ROUND: usize = 3;
/// Timeout of a response, as for service accounts.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Answers each query until the engine drops the channel. The keys themselves go to `keys`.
pub async fn run(
    client: Arc<ApiClient>,
    queries: Arc<Notify>,
    keys: SharedKeys,
    observations: Sender<Observation>,
) {
    let mut health = Health::new(Source::Keys);
    loop {
        queries.notified().await;
        let answers = answer(&client, &keys, &mut health).await;
        if !send_all(&observations, answers).await {
            return;
        }
    }
}

/// What there is to report after a query.
async fn answer(client: &ApiClient, keys: &SharedKeys, health: &mut Health) -> Vec<Observation> {
    let Asked { seen, error } = ask(client, keys, TIMEOUT).await;
    let health = match error {
        Some(error) => health.degraded(Meaning::Api(error.kind()), degraded(client, &error)),
        None => health.update(None),
    };
    seen.into_iter().map(Observation::Keys).chain(health).collect()
}

/// What one round gave.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) seen: Vec<KeysSeen>,
    /// What went wrong, which ended the round.
    pub(super) error: Option<Error>,
}

/// Asks so many times, each time on a new connection: behind one address there may be several API
/// servers. Each response takes at most `limit`. The keys themselves go to `keys`.
pub(super) async fn ask(client: &ApiClient, keys: &SharedKeys, limit: Duration) -> Asked {
    let mut asked = Asked::default();
    while asked.seen.len() < ROUND && asked.error.is_none() {
        client.reset();
        let sent = clocks::now();
        match published(client, limit).await {
            Ok((set, published)) => {
                keys.take(&published, sent.wall);
                asked.seen.push(KeysSeen { sent, answer: KeysAnswer::Published(set) });
            }
            Err(error) => {
                let refused = refused(client, &error).await;
                asked.seen.extend(refused.map(|answer| KeysSeen { sent, answer }));
                asked.error = Some(error);
            }
        }
    }
    asked
}

/// The refusal of the agent's own token, if that is what the error means.
async fn refused(client: &ApiClient, error: &Error) -> Option<KeysAnswer> {
    let is_refused = error.status() == Some(StatusCode::UNAUTHORIZED);
    let own = if is_refused { own::claims(client).await } else { None };
    own.map(|claims| KeysAnswer::Refused(Box::new(claims)))
}

fn degraded(client: &ApiClient, error: &Error) -> String {
    format!(
        "API server ({}): {error}; the agent does not see whether the API server has the keys of \
         the tokens, and asks again within half an hour",
        client.address()
    )
}

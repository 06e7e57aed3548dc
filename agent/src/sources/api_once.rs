//! The Kubernetes API asked once, within a time limit, for `check`: the questions that the sources
//! of pods and of service accounts ask all the time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::world::clocks::DateSeen;
use tokenwatch_core::world::cluster::{AccountName, AccountSeen, ClusterSeen};
use tokenwatch_core::world::keys::KeysSeen;
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::tokens::{Claims, Signature, TokenKey};

use super::signatures::SharedKeys;
use super::token_review::{NoReview, Review, TokenFiles};
use super::tokens::TokenBytes;
use super::tokens::found::check_signature;
use super::{keys, pods, service_accounts, token_review};
use crate::kubernetes::ApiClient;

/// Longest wait for the list of pods, and then for all service accounts.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A client that is asked once.
#[derive(Clone, Debug)]
pub struct ApiOnce {
    client: Arc<ApiClient>,
    /// What its answers show of the API server's clock.
    dates: Arc<Mutex<Vec<DateSeen>>>,
}

/// The API server's answer about this node's pods.
#[derive(Debug)]
pub struct Pods {
    /// What it answered, or why it did not.
    pub observation: Option<Observation>,
    /// Number of pods that it lists.
    pub listed: Option<usize>,
    /// What is missing, for people.
    pub problem: Option<String>,
}

impl ApiOnce {
    /// With this client.
    pub fn new(client: Arc<ApiClient>) -> Self {
        let dates = Arc::<Mutex<Vec<DateSeen>>>::default();
        let seen = Arc::clone(&dates);
        client.show_dates(Arc::new(move |date| {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(date);
        }));
        Self { client, dates }
    }

    /// What the answers so far show of the API server's clock.
    pub fn dates(&self) -> Vec<DateSeen> {
        self.dates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lists the pods of the node.
    pub async fn pods(&self, node: &str) -> Pods {
        let observation = pods::first(Arc::clone(&self.client), node.to_owned(), TIMEOUT).await;
        let (listed, problem) = match cluster_seen(observation.as_ref()) {
            Some(ClusterSeen::Listed(pods)) => {
                (Some(pods.len()), pods.is_empty().then(|| pods::no_pods(node)))
            }
            Some(ClusterSeen::Unreachable { reason }) => (None, Some(without_pods(&shown(reason)))),
            Some(ClusterSeen::Pod(_) | ClusterSeen::PodGone(_) | ClusterSeen::Unchanged) | None => {
                let waited = format!("{} {}", self.client.address(), too_slow());
                (None, Some(without_pods(&waited)))
            }
        };
        Pods { observation, listed, problem }
    }

    /// Requests these accounts: the answers, and what is missing, for people.
    pub async fn accounts(&self, accounts: Vec<AccountName>) -> (Vec<AccountSeen>, Option<String>) {
        let wanted = accounts.len();
        let answers = service_accounts::ask(&self.client, accounts, TIMEOUT).await;
        let problem = (answers.missing > 0).then(|| {
            let reason = answers.error.map_or_else(too_slow, |error| error.to_string());
            without_accounts(answers.missing, wanted, &reason)
        });
        (answers.seen, problem)
    }

    /// Requests the keys of the API server: the answers, and what is missing, for people. The keys
    /// themselves go to `keys`.
    pub async fn keys(&self, keys: &SharedKeys) -> (Vec<KeysSeen>, Option<String>) {
        let asked = keys::ask(&self.client, keys, TIMEOUT).await;
        (asked.seen, asked.error.map(|error| without_keys(&error.to_string())))
    }

    /// Checks the signature of a token against the public keys: the result, and what is missing,
    /// for people.
    pub(crate) async fn signature(
        &self,
        token: &TokenBytes,
    ) -> (Option<Signature>, Option<String>) {
        let keys = SharedKeys::default();
        let (_, problem) = self.keys(&keys).await;
        (check_signature(&keys.current(), token), problem)
    }

    /// Asks about a token (TokenReview).
    pub(crate) async fn review(
        &self,
        token: TokenBytes,
        audiences: &[String],
    ) -> Result<Review, NoReview> {
        token_review::review(&self.client, token, audiences).await
    }

    /// Asks about the token of a file.
    pub(crate) async fn review_file(
        &self,
        files: &mut TokenFiles,
        token: (&TokenKey, &Claims),
    ) -> Result<Review, NoReview> {
        files.review(&self.client, token.0, token.1).await
    }
}

fn cluster_seen(observation: Option<&Observation>) -> Option<&ClusterSeen> {
    if let Some(Observation::Cluster(seen)) = observation { Some(seen) } else { None }
}

fn without_pods(reason: &str) -> String {
    format!(
        "no data from the Kubernetes API: the names of pods come from the tokens, and terminating \
         pods and deleted service accounts are not recognised ({reason})"
    )
}

fn without_accounts(missing: usize, wanted: usize, reason: &str) -> String {
    format!(
        "{missing} of {wanted} service accounts are unknown: a deleted one is not named as the \
         cause ({reason})"
    )
}

fn without_keys(reason: &str) -> String {
    format!(
        "the keys of the API server are unknown: tokens of this node whose key it does not have \
         are not recognised ({reason})"
    )
}

fn too_slow() -> String {
    format!("did not answer within {} s", TIMEOUT.as_secs())
}

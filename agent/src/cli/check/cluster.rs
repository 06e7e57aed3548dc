//! The API server's part in a check: its answers about this node's pods and service accounts.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Reading;
use tokenwatch_core::engine::{Engine, Query};
use tokenwatch_core::world::cluster::AccountName;
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::tokens::TokenKey;

use crate::clocks;
use crate::sources::api_once::ApiOnce;
use crate::sources::expected::ExpectedTokens;
use crate::sources::signatures::SharedKeys;
use crate::sources::{copies, volumes};

/// What the API server answered.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    /// Nothing if the settings do not enable the API.
    api: Option<ApiOnce>,
    /// Number of pods that the API server lists for this node.
    pods: Option<usize>,
    /// What it did not answer, for people.
    problems: Vec<String>,
    /// Why single answers are missing.
    missing: Missing,
    /// The keys that it published.
    keys: SharedKeys,
    /// Where pods should have a token by their specs.
    expected: ExpectedTokens,
}

/// What can read the tokens again, once the keys are known.
#[derive(Debug)]
pub(super) struct Scanners {
    pub(super) volumes: volumes::Scanner,
    /// Nothing if the settings look for no copies.
    pub(super) copies: Option<copies::Scanner>,
}

/// Why answers of the API server are missing, each for the end of a sentence.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Missing {
    pub(in crate::cli) pod: Option<String>,
    pub(in crate::cli) account: Option<String>,
    pub(in crate::cli) keys: Option<String>,
}

fn account(query: Query) -> Option<AccountName> {
    match query {
        Query::ServiceAccount(account) => Some(account),
        Query::Keys | Query::PodsAtAddress(_) | Query::KubeletMetrics | Query::Tokens(_) => None,
    }
}

fn tokens(query: &Query) -> Option<&BTreeSet<TokenKey>> {
    match query {
        Query::Tokens(keys) => Some(keys),
        Query::ServiceAccount(_)
        | Query::Keys
        | Query::PodsAtAddress(_)
        | Query::KubeletMetrics => None,
    }
}

impl Cluster {
    /// Lists this node's pods. A failure costs a warning, the names of pods, and what their service
    /// accounts would show.
    pub(super) async fn list(api: Option<ApiOnce>, node: &str) -> (Self, Option<Observation>) {
        let mut cluster = Self { api, ..Self::default() };
        let Some(api) = &cluster.api else { return (cluster, None) };
        let pods = api.pods(node).await;
        cluster.pods = pods.listed;
        cluster.missing.pod.clone_from(&pods.problem);
        cluster.note(pods.problem);
        (cluster, pods.observation)
    }

    /// Requests the keys and every service account that the engine asks for, and steps it with the
    /// answers. Returns the time of the last step.
    pub(super) async fn answers(&mut self, engine: &mut Engine, at: Reading) -> Reading {
        let Some(api) = &self.api else { return at };
        let queries = engine.every_query(&at);
        queries.iter().filter_map(tokens).for_each(|keys| self.expected.set(keys));
        let accounts = queries.into_iter().filter_map(account).collect();
        let ((keys, no_keys), (accounts, no_accounts)) =
            tokio::join!(api.keys(&self.keys), api.accounts(accounts));
        let dates = api.dates();
        (self.missing.keys, self.missing.account) = (no_keys.clone(), no_accounts.clone());
        self.note(no_keys);
        self.note(no_accounts);
        let now = clocks::now();
        let accounts = accounts.into_iter().map(Observation::ServiceAccount);
        let dates = dates.into_iter().map(Observation::ApiServerDate);
        let keys = keys.into_iter().map(Observation::Keys);
        for observation in dates.chain(keys).chain(accounts) {
            drop(engine.step(&now, observation));
        }
        now
    }

    /// Looks again with what the API server answered, and steps the engine with what that shows:
    /// the signatures of the tokens and copies, and what is where pods should have a token. Without
    /// an answer there is nothing new.
    pub(super) async fn look_again(&self, scanners: Scanners, engine: &mut Engine, at: &Reading) {
        if self.api.is_none() {
            return;
        }
        let (keys, expected) = (self.keys.clone(), self.expected.clone());
        let check = tokio::task::spawn_blocking(|| {
            let copies = scanners.copies.map(|of| copies::check_signatures(of, keys.clone()));
            let tokens = volumes::check_again(scanners.volumes, keys, expected);
            tokens.into_iter().chain(copies.unwrap_or_default()).collect::<Vec<_>>()
        });
        let observations = check.await.unwrap_or_default(); // it was scanned without a panic before
        for observation in observations {
            drop(engine.step(at, observation));
        }
    }

    fn note(&mut self, problem: Option<String>) {
        if let Some(problem) = &problem {
            tracing::warn!("{problem}");
        }
        self.problems.extend(problem);
    }

    /// Why answers are missing.
    pub(super) fn missing(&self) -> Missing {
        if self.api.is_some() {
            return self.missing.clone();
        }
        let off = Some("the Kubernetes API is not enabled (kubernetes.enabled)".to_owned());
        Missing { pod: off.clone(), account: off.clone(), keys: off }
    }

    /// For scripts; nothing if the settings do not enable the API.
    pub(super) fn json(&self) -> Option<Value> {
        let problems: Vec<_> = self.problems.iter().map(|problem| shown(problem)).collect();
        self.api.is_some().then(|| json!({"pods": self.pods, "problems": problems}))
    }
}

//! The API server's part in a check: its answers about this node's pods and service accounts.

use serde_json::{Value, json};
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Reading;
use tokenwatch_core::engine::{Engine, Query};
use tokenwatch_core::world::observation::Observation;

use crate::clocks;
use crate::sources::api_once::ApiOnce;

/// What the API server answered.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    /// Nothing if the settings do not enable the API.
    api: Option<ApiOnce>,
    /// Number of pods that the API server lists for this node.
    pods: Option<usize>,
    /// What it did not answer, for people.
    problems: Vec<String>,
}

impl Cluster {
    /// Lists this node's pods. A failure costs a warning, the names of pods, and what their service
    /// accounts would show.
    pub(super) async fn list(api: Option<ApiOnce>, node: &str) -> (Self, Option<Observation>) {
        let mut cluster = Self { api, ..Self::default() };
        let Some(api) = &cluster.api else { return (cluster, None) };
        let pods = api.pods(node).await;
        cluster.pods = pods.listed;
        cluster.note(pods.problem);
        (cluster, pods.observation)
    }

    /// Requests every service account that the engine asks for, and steps it with the answers.
    /// Returns the time of the last step.
    pub(super) async fn accounts(&mut self, engine: &mut Engine, at: Reading) -> Reading {
        let Some(api) = &self.api else { return at };
        let queries = engine.every_query(&at).into_iter();
        let accounts: Vec<_> = queries.map(|Query::ServiceAccount(account)| account).collect();
        if accounts.is_empty() {
            return at;
        }
        let (seen, problem) = api.accounts(accounts).await;
        self.note(problem);
        let now = clocks::now();
        for account in seen {
            drop(engine.step(&now, Observation::ServiceAccount(account)));
        }
        now
    }

    fn note(&mut self, problem: Option<String>) {
        if let Some(problem) = &problem {
            tracing::warn!("{problem}");
        }
        self.problems.extend(problem);
    }

    /// For scripts; nothing if the settings do not enable the API.
    pub(super) fn json(&self) -> Option<Value> {
        let problems: Vec<_> = self.problems.iter().map(|problem| shown(problem)).collect();
        self.api.is_some().then(|| json!({"pods": self.pods, "problems": problems}))
    }
}

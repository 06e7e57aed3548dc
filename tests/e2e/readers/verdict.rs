//! What the three agents said about one client, beside what is expected.

use serde_json::Value;

use super::Level;
use super::agent::{Agent, CODES};
use super::clients::{Client, Named};
use super::kubernetes::Pods;

pub struct Verdict {
    pub client: &'static Client,
    pub refused_at: Option<f64>,
    pub found: Vec<Found>,
}

/// At one level.
pub struct Found {
    pub level: Level,
    pub named: Named,
    /// When, in seconds since 1970; of the fault, or of the suspicion if it remained one.
    pub at: Option<f64>,
    pub habit: String,
}

impl Verdict {
    pub fn about(
        client: &'static Client,
        pods: &Pods<'_>,
        agents: &[Agent; 3],
        seen: &[Vec<Value>; 3],
    ) -> Self {
        let refused_at = pods.first_refusal(client.pod, client.container);
        let found = agents.iter().zip(seen);
        let found = found.map(|(agent, seen)| Found::by(agent, seen, client, pods.uid(client.pod)));
        Self { client, refused_at, found: found.collect() }
    }

    /// Seconds from the report to the first 401.
    pub fn lead(&self, found: &Found) -> Option<f64> {
        self.refused_at.zip(found.at).map(|(refused, named)| refused - named)
    }

    /// What differs from what is expected, for people.
    pub fn differences(&self) -> Vec<String> {
        let Client { pod, container, is_refused, .. } = self.client;
        let refused = self.refused_at.is_some();
        let answer = (refused != *is_refused)
            .then(|| format!("{pod}/{container}: refused by the API server: {refused}"));
        let found = self.found.iter().flat_map(|found| self.differences_at(found));
        answer.into_iter().chain(found).collect()
    }

    fn differences_at(&self, found: &Found) -> Vec<String> {
        let Client { pod, container, habit, named, .. } = self.client;
        let (habit, named) = (habit.at(found.level), named.at(found.level));
        let at = format!("{pod}/{container} at {}", found.level.name());
        let mut differences = Vec::new();
        if found.named != named {
            differences.push(format!("{at}: {:?}, expected {named:?}", found.named));
        }
        if found.habit != habit {
            differences.push(format!("{at}: habit {}, expected {habit}", found.habit));
        }
        if self.lead(found).is_some_and(|lead| lead <= 0.0) {
            differences.push(format!("{at}: named after the 401"));
        }
        differences
    }
}

impl Found {
    fn by(agent: &Agent, seen: &[Value], client: &Client, uid: &str) -> Self {
        let alerts = agent.alerts(uid);
        let fault = alerts.iter().find(|alert| alert.severity() != "info");
        let shown = fault.or(alerts.first());
        let code = shown.and_then(|shown| CODES.into_iter().find(|code| *code == shown.code()));
        let named = match (code, fault) {
            (None, _) => Named::Not,
            (Some(code), None) => Named::Suspected(code),
            (Some(code), Some(_)) => Named::Reported(code),
        };
        let at = shown.map(|alert| alert.at as f64 / 1e9);
        Self { level: agent.level, named, at, habit: habit_of(seen, uid, client.container) }
    }
}

/// The habit of a container; empty if no container is named.
fn habit_of(seen: &[Value], uid: &str, container: &str) -> String {
    let of_it = |reader: &&Value| reader["pod"]["uid"] == uid && reader["container"] == container;
    let habit = seen.iter().find(of_it).and_then(|reader| reader["habit"]["name"].as_str());
    habit.unwrap_or_default().to_owned()
}

//! What an agent reported about one client, beside what is expected.

use std::fmt;

use serde_json::Value;

use super::agent::{Agent, CODES};
use super::clients::{Client, Named};
use super::kubernetes::Pods;
use crate::telemetry::Alert;
use tokenwatch_core::world::privileges::Level;

pub struct Verdict {
    client: &'static Client,
    level: Level,
    /// When the API server first refused its token, in seconds since 1970.
    refused_at: Option<f64>,
    /// What was reported before the first 401, or at any time if there is none.
    named: Named,
    /// When, in seconds since 1970: as a fault, or as a suspicion if it remained one until then.
    named_at: Option<f64>,
    /// When kubelet replaced the token, in seconds since 1970.
    rotated_at: Option<f64>,
    habit: String,
    /// When its container was first seen to read, in seconds since 1970.
    read_at: Option<f64>,
    /// What the agent shows and reported, for people who look for a difference.
    shown: String,
}

/// Shortest time from a report to the first 401, in seconds: enough to notice the report.
const LEAD: f64 = 10.0;
/// A client may print a refusal so much later. A report of this time may be its consequence.
const PRINTED: f64 = 6.0;

/// Longest time for which a client watches with the token that it read: client-go asks for 5 to 10
/// minutes, and the agent adds 15 s.
const WATCH: f64 = 615.0;
/// What the agent reports where it saw less.
const MISSED_MOMENT: [&str; 2] = ["missed the first moment", "not_seen_again"];
const NOBODYS: &str = "whose container the agent does not know";

impl Verdict {
    /// `seen`: the readers that the agent shows at the end. `earlier`: after the first rotation.
    pub fn about(
        client: &'static Client,
        pods: &Pods<'_>,
        agent: &Agent,
        (earlier, seen): (&[Value], &[Value]),
    ) -> Self {
        let uid = pods.uid(client.pod);
        let refused_at = pods.first_refusal(client.pod, client.container);
        let mut alerts = agent.alerts(uid);
        alerts.retain(|alert| is_about(alert, client.container));
        alerts.retain(|alert| refused_at.is_none_or(|at| seconds(alert) < at - PRINTED));
        let fault = alerts.iter().find(|alert| alert.severity() != "info");
        let shown = fault.or(alerts.first());
        let code = shown.and_then(|shown| CODES.into_iter().find(|code| *code == shown.code()));
        Self {
            client,
            level: agent.level(),
            refused_at,
            named: named(code, fault.is_some()),
            named_at: shown.map(seconds),
            rotated_at: pods.rotated_at(client.pod),
            habit: habit_of(seen, uid, client.container),
            read_at: first_read(earlier, uid, client.container),
            shown: everything(&[earlier, seen].concat(), uid, &agent.alerts(uid)),
        }
    }

    /// Seconds from the report to the first 401.
    fn lead(&self) -> Option<f64> {
        self.refused_at.zip(self.named_at).map(|(refused, named)| refused - named)
    }

    /// Its row in the page of the last run; none for one that is neither named nor refused.
    pub fn row(&self) -> Option<String> {
        let Client { what, .. } = self.client;
        let number = |it: Option<f64>| it.map_or_else(|| "-".to_owned(), |it| format!("{it:.0} s"));
        let named = self.named_at.zip(self.rotated_at).map(|(named, rotated)| named - rotated);
        let (habit, named, lead) =
            (self.habit.replace('_', " "), number(named), number(self.lead()));
        let is_shown = self.named_at.is_some() || self.refused_at.is_some();
        is_shown.then(|| format!("| {what} | {habit} | {named} | {lead} |\n"))
    }

    /// What is expected where the agent saw less because the machine was busy, and says so: no more
    /// than a suspicion if it missed the first moment of a generation, and nothing if another
    /// container of the pod may have been the one that read the new token. And nothing of a client
    /// that may only watch until its token is refused.
    fn as_far_as_seen(&self, expected: Named) -> Named {
        let says_any = |all: &[&str]| all.iter().any(|words| self.shown.contains(words));
        let is_less_sure = says_any(&MISSED_MOMENT);
        let suspected = match expected {
            Named::Reported(code) if is_less_sure && self.named != expected => {
                Named::Suspected(code)
            }
            Named::Reported(_) | Named::Suspected(_) | Named::Not => expected,
        };
        let may_be_healthy = says_any(&[NOBODYS]) || self.may_watch();
        match suspected {
            Named::Suspected(_) if may_be_healthy && self.named == Named::Not => Named::Not,
            Named::Reported(_) | Named::Suspected(_) | Named::Not => suspected,
        }
    }

    /// Whether it read its token so late that it may have watched with it until the first 401.
    fn may_watch(&self) -> bool {
        let both = self.read_at.zip(self.refused_at);
        both.is_some_and(|(read, refused)| read + WATCH >= refused - PRINTED - LEAD)
    }

    /// What differs from what is expected, for people.
    pub fn differences(&self) -> Vec<String> {
        let Client { habit, is_refused, named, .. } = self.client;
        let (habit, named) = (habit.at(self.level), self.as_far_as_seen(named.at(self.level)));
        let all = [
            (self.refused_at.is_some() != *is_refused, format!("refused: expected {is_refused}")),
            (self.named != named, format!("expected {named:?}")),
            (self.lead().is_some_and(|lead| lead < LEAD), format!("expected {LEAD} s of lead")),
            (
                !habit.split(" or ").any(|one| one == self.habit),
                format!("expected the habit {habit}"),
            ),
        ];
        let wrong = all.into_iter().filter(|(is_wrong, _)| *is_wrong);
        let mut wrong: Vec<String> = wrong.map(|(_, why)| format!("{self}: {why}")).collect();
        if !wrong.is_empty() {
            wrong.push(self.shown.clone());
        }
        wrong
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Client { pod, container, .. } = self.client;
        write!(f, "{pod}/{container} at {}: {:?}", self.level.name(), self.named)?;
        if let Some(lead) = self.lead() {
            write!(f, ", {lead:.0} s before the 401")?;
        }
        let refused = if self.refused_at.is_some() { "refused" } else { "not refused" };
        write!(f, ", {refused}, habit {}", self.habit)
    }
}

/// Whether it names this container, or none.
fn is_about(alert: &Alert, container: &str) -> bool {
    let name = alert.body.strip_prefix("Container ").and_then(|rest| rest.split(' ').next());
    name.is_none_or(|name| name == container)
}

/// The first read of a container that the agent shows, in seconds since 1970.
fn first_read(seen: &[Value], uid: &str, container: &str) -> Option<f64> {
    let of_it = |reader: &&Value| reader["pod"]["uid"] == uid && reader["container"] == container;
    let read = seen.iter().find(of_it)?["reads"][0].as_str()?;
    Some(chrono::DateTime::parse_from_rfc3339(read).ok()?.timestamp() as f64)
}

fn seconds(alert: &Alert) -> f64 {
    alert.at as f64 / 1e9
}

fn named(code: Option<&'static str>, is_fault: bool) -> Named {
    match code {
        None => Named::Not,
        Some(code) if is_fault => Named::Reported(code),
        Some(code) => Named::Suspected(code),
    }
}

fn everything(seen: &[Value], uid: &str, alerts: &[Alert]) -> String {
    let of_it = seen.iter().filter(|reader| reader["pod"]["uid"] == uid);
    let readers = of_it.map(ToString::to_string);
    let alert = |alert: &Alert| format!("{} {:.0} {}", alert.event, seconds(alert), alert.body);
    readers.chain(alerts.iter().map(alert)).collect::<Vec<String>>().join("\n")
}

/// The habit of a container; empty if no container is named.
fn habit_of(seen: &[Value], uid: &str, container: &str) -> String {
    let of_it = |reader: &&Value| reader["pod"]["uid"] == uid && reader["container"] == container;
    let habit = seen.iter().find(of_it).and_then(|reader| reader["habit"]["name"].as_str());
    habit.unwrap_or_default().to_owned()
}

//! A story through the real engine, as a recording of it would be replayed.

use std::collections::BTreeMap;
use std::collections::btree_map::OccupiedEntry;

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::engine::{Engine, Outcome, Query, Report};
use tokenwatch_core::findings::{Code, Severity};
use tokenwatch_core::ledger::AlertEvent;
use tokenwatch_core::replay::{Content, Entry, Header};
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::tokens::Claims;

use crate::node::{Node, Spec, key};
use crate::truth::first_failure;

/// Shortest time between two steps of the engine.
const MOMENT: Delta = Delta::from_millis(1);
/// Time in which the API server answers.
const ANSWER: Delta = Delta::from_millis(20);
/// The agent's own pod, if a story has it.
pub(crate) const AGENT: &str = "tokenwatch-x7k2p";

/// One alert of the engine.
pub(crate) struct Reported {
    /// True time since the story began.
    pub at: Delta,
    pub event: AlertEvent,
    pub code: Code,
    pub severity: Severity,
    pub summary: String,
}

/// What came of a story.
pub(crate) struct Played {
    pub reports: Vec<Reported>,
    /// When the first request fails.
    pub fails: Option<i64>,
    /// When the story ends.
    pub end: i64,
    /// What a recorder would have written.
    pub header: Header,
    pub entries: Vec<Entry>,
}

/// Observations by time, and in the order in which they came.
type Queue = BTreeMap<(Delta, usize), Observation>;

struct Player<'a> {
    node: &'a Node,
    engine: Engine,
    queue: Queue,
    count: usize,
    reports: Vec<Reported>,
    entries: Vec<Entry>,
}

/// Plays a story to its end.
pub(crate) fn play(node: &Node) -> Played {
    let mut player = Player {
        node,
        engine: Engine::new(node.config.clone()),
        queue: BTreeMap::new(),
        count: 0,
        reports: Vec::new(),
        entries: Vec::new(),
    };
    for (at, observation) in &node.observed {
        player.queue(*at, observation.clone());
    }
    player.run();
    Played {
        reports: player.reports,
        fails: first_failure(node),
        end: node.end,
        header: Header::new("0.1.0", node.config.clone()),
        entries: player.entries,
    }
}

impl Player<'_> {
    fn queue(&mut self, at: Delta, observation: Observation) {
        self.queue.insert((at, self.count), observation);
        self.count += 1;
    }

    fn run(&mut self) {
        let (mut now, end) = (Delta::ZERO, Delta::from_secs(self.node.end));
        loop {
            let wake = self.engine.next_wake().map(|wake| self.node.when(wake).max(now + MOMENT));
            let next = self.queue.keys().next().map(|(at, _)| *at);
            let Some(at) = next.into_iter().chain(wake).min().filter(|at| *at <= end) else {
                return;
            };
            now = at.max(now);
            let queued = self.queue.first_entry().filter(|entry| entry.key().0 <= now);
            let observation = queued.map_or(Observation::Tick, OccupiedEntry::remove);
            self.step(now, observation);
        }
    }

    fn step(&mut self, at: Delta, observation: Observation) {
        let now = self.node.reading(at);
        self.entries.push(Entry { now, content: Content::Observation(observation.clone()) });
        let Outcome { reports, queries } = self.engine.step(&now, observation);
        self.reports.extend(reports.into_iter().filter_map(|report| reported(at, report)));
        for query in queries {
            self.answer(at, query);
        }
    }

    fn answer(&mut self, at: Delta, query: Query) {
        let (second, cluster) = (at.as_secs(), &self.node.cluster);
        let answers: Vec<Observation> = match query {
            Query::ServiceAccount(name) => {
                cluster.account(name, second).map(Observation::ServiceAccount).into_iter().collect()
            }
            Query::Keys => {
                let own = self.own_token(second);
                let answers = cluster.keys(own.as_ref(), self.node.reading(at), second);
                answers.into_iter().map(Observation::Keys).collect()
            }
            // No incident has an API server's logs.
            Query::PodsAtAddress(_) | Query::KubeletMetrics | Query::Tokens(_) => Vec::new(),
        };
        for (nth, answer) in answers.into_iter().enumerate() {
            let date = self.node.date(at, at + ANSWER, nth);
            self.queue(at + ANSWER, Observation::ApiServerDate(date));
            self.queue(at + ANSWER, answer);
        }
    }

    /// The token with which the agent asks: what is in its file.
    fn own_token(&self, second: i64) -> Option<Claims> {
        let key = key(AGENT, Spec::HOUR);
        self.node.pods.contains_key(AGENT).then(|| self.node.in_file(&key, second.max(2)).1)
    }
}

fn reported(at: Delta, report: Report) -> Option<Reported> {
    let Report::Alert(alert) = report else { return None };
    let (event, finding) = (alert.event, alert.finding);
    let (code, severity, summary) = (finding.code, finding.severity, finding.summary.clone());
    Some(Reported { at, event, code, severity, summary })
}

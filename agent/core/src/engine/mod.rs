//! The engine: it takes observations and returns reports and queries. It is deterministic: the same
//! steps give the same outcomes.
//!
//! Each step updates the [`World`], diagnoses what changed, and passes the findings to the
//! [`Ledger`], which decides what to report.

mod outcome;

pub use crate::view::{
    AccountState, AgentView, ApiClock, ClockView, FindingCounts, NamedFinding, NamedFindings,
    NamedPod, Readiness, Snapshot, Status, TokenView, Why,
};
pub use crate::world::{ClusterFigures, Config, Query};
pub use outcome::{Outcome, Report};

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::schedule::Schedule;
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::diagnosis::{self, Survey, TokenDiagnosis};
use crate::findings::{Code, Finding};
use crate::ledger::{Judgement, Ledger, Missing, Restored, Scope};
use crate::traces::{self, Exported};
use crate::view::Scene;
use crate::world::clocks::{Estimate, ServerReport};
use crate::world::observation::Observation;
use crate::world::tokens::{Generation, TokenKey, Tracked};
use crate::world::{Changed, ChangedTokens, Event, Learned, World};

/// Time in which more may change that a finding counts. A pod can bring thousands of files at once,
/// and a diagnosis of the node for each would delay those of other pods.
const COUNTED: Delta = Delta::from_secs(1);

/// The engine of one node. See the documentation of this module.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    world: World,
    /// The estimate of the clock in the last diagnosis of the tokens.
    estimate: Estimate,
    survey: Survey,
    ledger: Ledger,
    exported: Exported,
    schedule: Schedule<TokenKey>,
    /// When the node itself must be diagnosed again.
    node_next: Option<Monotonic>,
}

impl Engine {
    /// An engine without observations.
    pub fn new(config: Config) -> Self {
        let world = World::new(&config);
        Self {
            estimate: world.clock.estimate(&Reading::default()),
            ledger: Ledger::new(&config.node, config.reminder_interval()),
            survey: Survey::default(),
            exported: Exported::default(),
            schedule: Schedule::default(),
            node_next: None,
            world,
            config,
        }
    }

    /// Takes one observation, made at `now`. It needs a `Tick` at the time of [`Self::next_wake`].
    pub fn step(&mut self, now: &Reading, observation: Observation) -> Outcome {
        let mut outcome = Outcome::default();
        let before = self.world.visibility.delivery.again.round;
        let changed = self.world.learn(now, observation);
        let again = &self.world.visibility.delivery.again;
        if again.round != before {
            outcome.alerts(self.ledger.again(now, again));
        }
        let node_changed = self.apply(changed, now, &mut outcome);
        let before = std::mem::replace(&mut self.estimate, self.world.clock.estimate(now));
        self.ledger.known_offset = self.estimate.offset_beyond(self.config.clock.offset);
        if self.estimate.differs_from(&before) {
            self.schedule_all();
        }
        self.resolve_unseen(now, &mut outcome);
        let kubelet_changed = self.diagnose_tokens(now, &mut outcome);
        outcome.queries.extend(self.world.take_turn(now).map(Query::ServiceAccount));
        outcome.queries.extend(self.world.cluster.keys.take_turn(now).then_some(Query::Keys));
        outcome.queries.extend(self.world.kubelet.metrics.query(self.is_cause_open(), now));
        outcome.queries.extend(self.world.take_expected(now).map(Query::Tokens));
        let due = self.node_next.is_some_and(|next| next <= now.monotonic);
        if self.survey.take_posture_changed() || node_changed || kubelet_changed || due {
            self.diagnose_node(now, &mut outcome);
        }
        outcome
    }

    /// Takes the findings that were active before a restart. Call it before the first step.
    pub fn restore(&mut self, now: &Reading, restored: Vec<Restored>) -> Outcome {
        diagnosis::restore(&mut self.world, restored.iter().map(|one| one.finding.as_ref()), now);
        self.ledger.restore(now, restored);
        self.step(now, Observation::Tick)
    }

    /// Reports the event, and schedules the changed tokens. Returns whether the node is due, too.
    fn apply(&mut self, changed: Changed, now: &Reading, outcome: &mut Outcome) -> bool {
        for key in changed.left_out {
            self.close_left_out(&key, now, outcome);
        }
        match changed.event {
            Some(Event::Rotated { key, old, at }) => self.rotated(&key, &old, at, outcome),
            Some(Event::Gone(tracked)) => self.gone(*tracked, now, outcome),
            Some(Event::Measured(round)) => {
                let node = &self.config.node;
                outcome.spans(self.exported.measured(node, &self.world.clock, &round));
            }
            None => {}
        }
        for tracked in changed.evicted {
            self.left_out(&tracked, now, outcome);
        }
        if changed.counted {
            self.node_next = self.node_next.into_iter().chain([now.monotonic + COUNTED]).min();
        }
        match changed.tokens {
            ChangedTokens::These(keys) => self.schedule.due_now(&keys),
            ChangedTokens::All => self.schedule_all(),
        }
        changed.node
    }

    fn rotated(&mut self, key: &TokenKey, old: &Generation, at: Wall, outcome: &mut Outcome) {
        outcome.rotated(old.deadlines.due, at);
        outcome.spans(self.exported.replaced(&self.world, key, old, at));
    }

    fn gone(&mut self, tracked: Tracked, now: &Reading, outcome: &mut Outcome) {
        outcome.spans(self.exported.gone(&self.world, &tracked, now.wall));
        self.schedule.remove(&tracked.key);
        self.survey.remove(&tracked);
        self.world.forget(&tracked.key);
        // What should be there may be missing: what was found stays until that is known.
        if self.world.absent.get(&tracked.key).is_none() {
            outcome.alerts(self.ledger.judge(now, &Scope::Token(tracked.key), Judgement::gone()));
        }
    }

    /// The agent tracks a token no more that still exists.
    fn left_out(&mut self, tracked: &Tracked, now: &Reading, outcome: &mut Outcome) {
        outcome.spans(self.exported.open(&self.world, tracked, now.wall));
        self.schedule.remove(&tracked.key);
        self.survey.remove(tracked);
        self.world.forget(&tracked.key);
        self.close_left_out(&tracked.key, now, outcome);
    }

    /// Nothing is known of the token from now on.
    fn close_left_out(&mut self, key: &TokenKey, now: &Reading, outcome: &mut Outcome) {
        let judgement = Judgement { findings: Vec::new(), missing: Missing::LeftOut };
        outcome.alerts(self.ledger.judge(now, &Scope::Token(key.clone()), judgement));
    }

    fn schedule_all(&mut self) {
        self.schedule.due_now(self.world.tokens.iter().map(|tracked| &tracked.key));
        self.schedule.due_now(self.world.absent.iter().map(|absent| &absent.key));
    }

    /// Resolves restored findings about tokens that are gone. One that is not seen may still exist.
    fn resolve_unseen(&mut self, now: &Reading, outcome: &mut Outcome) {
        let unseen = self.ledger.unseen(now.monotonic).into_iter();
        for key in unseen.filter(|key| self.world.is_gone(key)) {
            outcome.alerts(self.ledger.judge(now, &Scope::Token(key), Judgement::gone()));
        }
    }

    /// Diagnoses the due tokens, after a look at all. Returns whether kubelet's finding may differ.
    fn diagnose_tokens(&mut self, now: &Reading, outcome: &mut Outcome) -> bool {
        let mut due: BTreeSet<TokenKey> =
            self.schedule.take_due(now.monotonic).into_iter().collect();
        if let Some(ready) = self.world.startup.tokens_ready_at(now) {
            for key in &due {
                self.schedule.at(key, ready);
            }
            return false;
        }
        let facts = |key| self.world.known_facts(key, now, &self.estimate);
        for (facts, known) in due.iter().filter_map(facts) {
            self.survey.see(&facts, &known);
        }
        let before = self.survey.kubelet.symptom().cloned();
        let active = |token: Option<&TokenKey>, code| self.ledger.is_active(token, code);
        due.extend(self.survey.conclude(&self.world, now, active));
        for key in &due {
            self.diagnose_token(now, key, outcome);
        }
        before.as_ref() != self.survey.kubelet.symptom()
    }

    fn diagnose_token(&mut self, now: &Reading, key: &TokenKey, outcome: &mut Outcome) {
        let Some((facts, known)) = self.world.known_facts(key, now, &self.estimate) else {
            let (alerts, next) = self.ledger.judge_absent(now, &self.world, key);
            outcome.alerts(alerts);
            return self.schedule.at(key, next);
        };
        let facts = self.survey.complete(facts);
        // An exported trace is final: it ends as expired once both clocks are past exp.
        let earliest =
            facts.claimed_time(known.wall).map_or(known.wall, |time| time.min(known.wall));
        outcome.spans(self.exported.expired(&self.world, facts.tracked, earliest));
        let diagnosis = diagnosis::token(&facts, &known);
        let current = facts.generation().map(|of| traces::generation::root(key, &of.claims));
        // Without a finding there is none to keep, and nothing to judge again.
        let stale = self.ledger.find(key, Code::ReaderStale).map(Finding::only_container);
        let is_reader_unknown = stale.is_some_and(|named| diagnosis.readers.is_unknown(named));
        let TokenDiagnosis { explained, resumed, .. } = diagnosis;
        let missing = Missing::Token { current, explained, is_reader_unknown, resumed };
        self.report_token(now, key, diagnosis, missing, outcome);
    }

    /// Passes the diagnosis of a token to the ledger, and schedules the next one.
    fn report_token(
        &mut self,
        now: &Reading,
        key: &TokenKey,
        diagnosis: TokenDiagnosis,
        missing: Missing,
        outcome: &mut Outcome,
    ) {
        let TokenDiagnosis { findings, query, readers, next, .. } = diagnosis;
        self.survey.see_readers(key, &readers);
        self.world.readers.learn(key, readers.learned, readers.proofs);
        let scope = Scope::Token(key.clone());
        outcome.alerts(self.ledger.judge(now, &scope, Judgement { findings, missing }));
        let (query, again) = self.world.query(query, now);
        outcome.queries.extend(query.map(Query::ServiceAccount));
        let next = next.filter(|_| !self.world.visibility.are_files_still());
        let next = next.into_iter().chain(self.ledger.next_wake(&scope)).chain(again).min();
        self.schedule.at(key, next);
    }

    /// Every query that there is, for a caller that looks only once.
    pub fn every_query(&mut self, now: &Reading) -> Vec<Query> {
        let accounts = self.world.take_all_accounts(now).into_iter().map(Query::ServiceAccount);
        let expected = Some(self.world.lacking(now)).filter(|keys| !keys.is_empty());
        let keys = self.world.cluster.keys.is_enabled().then_some(Query::Keys);
        accounts.chain(keys).chain(expected.map(Query::Tokens)).collect()
    }

    /// Whether kubelet does not renew a token, and nothing names the cause.
    pub fn is_cause_open(&self) -> bool {
        self.survey.is_cause_open()
    }

    fn diagnose_node(&mut self, now: &Reading, outcome: &mut Outcome) {
        self.ledger.judge_refusals(now, &mut self.world);
        if self.config.cluster_configured {
            outcome.queries.extend(self.world.take_address(now).map(Query::PodsAtAddress));
        }
        let diagnosis = diagnosis::node(&self.world, &self.config, &self.survey, now);
        let dated = self.survey.set_ahead(diagnosis.api_server.ahead, &self.world, now);
        for key in &dated {
            self.diagnose_token(now, key, outcome);
        }
        let mut next = diagnosis.next;
        let delivery = &self.world.visibility.delivery;
        for (scope, judgement) in Judgement::of_node(diagnosis, delivery, self.estimate.state) {
            outcome.alerts(self.ledger.judge(now, &scope, judgement));
            next = next.into_iter().chain(self.ledger.next_wake(&scope)).min();
        }
        let (alerts, copies) = self.ledger.judge_copies(now, &self.world, &self.config);
        outcome.alerts(alerts);
        self.node_next = next.into_iter().chain(copies).min();
    }

    /// When to call [`Self::step`] with [`Observation::Tick`], if there is no observation before.
    pub fn next_wake(&self) -> Option<Monotonic> {
        let unseen = self.ledger.next_unseen(|key| self.world.is_gone(key));
        let turns =
            self.world.accounts.next_turn().into_iter().chain(self.world.cluster.keys.next_turn());
        let turns = turns.chain(self.world.kubelet.metrics.next_turn(self.is_cause_open()));
        self.schedule.next().into_iter().chain(self.node_next).chain(unseen).chain(turns).min()
    }

    /// Reports the known part of unfinished traces. Call it when the agent stops.
    #[must_use = "the engine never acts: its reports are for the caller to deliver"]
    pub fn close(&mut self, now: &Reading) -> Vec<Report> {
        let mut outcome = Outcome::default();
        for tracked in self.world.tokens.iter() {
            outcome.spans(self.exported.open(&self.world, tracked, now.wall));
        }
        outcome.reports
    }

    fn scene(&self, now: &Reading) -> Scene<'_> {
        Scene {
            config: &self.config,
            world: &self.world,
            ledger: &self.ledger,
            estimate: &self.estimate,
            survey: &self.survey,
            now: *now,
        }
    }

    /// The figures for metrics.
    pub fn snapshot(&self, now: &Reading) -> Snapshot {
        self.scene(now).snapshot()
    }

    /// Whether the figures are those of the node.
    pub fn readiness(&self, now: &Reading) -> Readiness {
        self.scene(now).readiness()
    }

    /// Every token, ordered by pod UID, volume and path, for `check`.
    pub fn tokens(&self, now: &Reading) -> Vec<TokenView> {
        self.scene(now).tokens()
    }

    /// What decides whether the API server accepts this token. Nothing if there is none.
    pub fn why(&self, key: &TokenKey, now: &Reading) -> Option<Why> {
        self.scene(now).why(key)
    }

    /// What the next agent on this node should know, beside the findings.
    pub fn learned(&self) -> Learned {
        self.world.learned()
    }

    /// Everything that the status page shows.
    pub fn status(&self, now: &Reading) -> Status {
        self.scene(now).status()
    }

    /// Active findings, highest severity first, as of their last diagnosis.
    pub fn findings(&self) -> Vec<Finding> {
        self.ledger.raised().into_iter().map(|(finding, _)| Arc::unwrap_or_clone(finding)).collect()
    }

    /// The estimate of the node's clock at `now`.
    pub fn clock(&self, now: &Reading) -> Estimate {
        self.world.clock.estimate(now)
    }

    /// The time servers, with their last results.
    pub fn servers(&self) -> Vec<ServerReport> {
        self.world.clock.servers()
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

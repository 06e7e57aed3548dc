//! The one thing the outside drives: observations in, reports and queries out. Deterministic: the
//! same steps give the same outcomes.
//!
//! Each step learns, diagnoses what changed, and lets the ledger decide what is news.

mod outcome;
mod schedule;

pub use crate::view::{AgentView, ClockView, Snapshot, Status, TokenView};
pub use crate::world::{ClusterFigures, Config};
pub use outcome::{Outcome, Query, Report};

use crate::base::time::{Delta, Monotonic, Reading};
use crate::diagnosis::{self, AffectedTokens};
use crate::findings::Finding;
use crate::ledger::{Judgement, Ledger, Missing, Restored, Scope};
use crate::traces::{self, Exported};
use crate::view::Scene;
use crate::world::clocks::{Estimate, ServerReport};
use crate::world::cluster::AccountName;
use crate::world::observation::Observation;
use crate::world::tokens::TokenKey;
use crate::world::{Changed, ChangedTokens, Event, World};
use schedule::Schedule;

/// An offset that moved by less than this moves no verdict that matters: kubelet's own jitter is
/// ten times that.
const OFFSET_CHANGE: Delta = Delta::from_secs(1);

/// The engine.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    world: World,
    /// The clock as the tokens were last judged by it.
    believed: Estimate,
    affected: AffectedTokens,
    ledger: Ledger,
    exported: Exported,
    schedule: Schedule,
    /// When the node itself is to be judged again.
    node_next: Option<Monotonic>,
}

impl Engine {
    /// Nothing is known yet.
    pub fn new(config: Config) -> Self {
        let world = World::new(&config);
        Self {
            believed: world.clock.estimate(&Reading::default()),
            ledger: Ledger::new(&config.node, config.remind_every),
            affected: AffectedTokens::default(),
            exported: Exported::default(),
            schedule: Schedule::default(),
            node_next: None,
            world,
            config,
        }
    }

    /// Takes one observation, made at `now`.
    pub fn step(&mut self, now: &Reading, observation: Observation) -> Outcome {
        let mut outcome = Outcome::default();
        let changed = self.world.learn(now, observation);
        let node = self.take(changed, now, &mut outcome);
        self.believe(now);
        self.resolve_unseen(now, &mut outcome);
        for key in self.schedule.take_due(now.monotonic) {
            self.judge_token(now, &key, &mut outcome);
        }
        if node || self.node_next.is_some_and(|next| next <= now.monotonic) {
            self.judge_node(now, &mut outcome);
        }
        outcome
    }

    /// Takes over the findings that the agent before this one had raised. Before anything else.
    pub fn restore(&mut self, now: &Reading, restored: Vec<Restored>) -> Outcome {
        self.ledger.restore(now, restored);
        self.step(now, Observation::Tick)
    }

    /// Puts up for judgement what changed, and reports what ended. Whether the node is up.
    fn take(&mut self, changed: Changed, now: &Reading, outcome: &mut Outcome) -> bool {
        match changed.tokens {
            ChangedTokens::These(keys) => keys.iter().for_each(|key| self.schedule.due_now(key)),
            ChangedTokens::All => self.judge_all(),
        }
        match changed.event {
            Some(Event::Rotated { key, old, at }) => {
                outcome.rotated(old.deadlines.due, at);
                let pod = self.world.cluster.pod(&key.pod_uid);
                let tracked = self.world.tokens.get(&key);
                let spans = tracked.map(|tracked| self.exported.replaced(tracked, pod, &old, at));
                outcome.spans(spans.unwrap_or_default());
            }
            Some(Event::Gone(tracked)) => {
                let pod = self.world.cluster.pod(&tracked.key.pod_uid);
                outcome.spans(self.exported.gone(&tracked, pod, now.wall));
                self.forget(&tracked.key);
                outcome.alerts(self.ledger.judge(
                    now,
                    &Scope::Token(tracked.key),
                    Judgement::gone(),
                ));
            }
            Some(Event::Measured(round)) => {
                outcome.spans(traces::clock::spans(&self.config.node, &self.world.clock, &round));
            }
            None => {}
        }
        changed.node
    }

    fn forget(&mut self, key: &TokenKey) {
        self.schedule.forget(key);
        self.affected.forget(key);
        self.world.forget_pods();
    }

    fn judge_all(&mut self) {
        self.world.tokens.iter().for_each(|tracked| self.schedule.due_now(&tracked.key));
    }

    /// Takes over what the clock model believes now. A real change puts every token up.
    fn believe(&mut self, now: &Reading) {
        let estimate = self.world.clock.estimate(now);
        let moved = (estimate.offset - self.believed.offset).abs() >= OFFSET_CHANGE;
        let differs =
            estimate.state != self.believed.state || estimate.assumed != self.believed.assumed;
        self.believed = estimate;
        if moved || differs {
            self.judge_all();
        }
    }

    /// Resolves the findings of an agent before this one about tokens that went away meanwhile.
    /// What cannot be seen has not been seen to be gone.
    fn resolve_unseen(&mut self, now: &Reading, outcome: &mut Outcome) {
        let is_gone =
            |world: &World, key: &TokenKey| world.tokens.get(key).is_none() && world.would_see(key);
        for key in self.ledger.unseen(now.monotonic) {
            if is_gone(&self.world, &key) {
                outcome.alerts(self.ledger.judge(now, &Scope::Token(key), Judgement::gone()));
            }
        }
    }

    fn judge_token(&mut self, now: &Reading, key: &TokenKey, outcome: &mut Outcome) {
        if let Some(ready) = self.world.startup.tokens_ready_at(now) {
            self.schedule.at(key, ready);
            return;
        }
        let Some(facts) = self.world.facts(key, now, &self.believed) else { return };
        // A trace cannot be taken back: a token is dead once both the node's clock and true time,
        // where the two are known to differ, are past exp.
        let earliest = facts.true_time(now.wall).map_or(now.wall, |time| time.min(now.wall));
        outcome.spans(self.exported.expired(facts.tracked, facts.pod(), earliest));
        let judged = diagnosis::token(&facts, now);
        self.affected.set(key, judged.clock_effect);
        let scope = Scope::Token(key.clone());
        let current =
            facts.generation().map(|generation| traces::generation::root(key, &generation.claims));
        let missing = Missing::Token { current, effect: judged.clock_effect };
        let judgement = Judgement { findings: judged.findings, missing };
        outcome.alerts(self.ledger.judge(now, &scope, judgement));
        let again = self.query(judged.query, now, outcome);
        let next = judged.next.into_iter().chain(self.ledger.next_wake(&scope)).chain(again).min();
        if let Some(at) = next {
            self.schedule.at(key, at);
        }
    }

    /// Queries an account where that is wanted and was not done lately. When to query it again.
    fn query(
        &mut self,
        account: Option<AccountName>,
        now: &Reading,
        outcome: &mut Outcome,
    ) -> Option<Monotonic> {
        let account = account.filter(|_| self.config.cluster_configured)?;
        if self.world.accounts.query(&account, now) {
            outcome.queries.push(Query::ServiceAccount(account.clone()));
        }
        self.world.accounts.next(&account)
    }

    fn judge_node(&mut self, now: &Reading, outcome: &mut Outcome) {
        let judged = diagnosis::node(&self.world, &self.config, self.affected.count(), now);
        let delivery = &self.world.delivery;
        let delivered = Missing::Delivered { lost: delivery.given_up + delivery.rejected };
        let scopes = [
            (Scope::Clock, judged.clock, Missing::Clock(self.believed.state)),
            (Scope::Visibility, judged.visibility.into_iter().collect(), Missing::Recovered),
            (Scope::Delivery, judged.delivery.into_iter().collect(), delivered),
        ];
        let mut next = judged.next;
        for (scope, findings, missing) in scopes {
            let judgement = Judgement { findings, missing };
            outcome.alerts(self.ledger.judge(now, &scope, judgement));
            next = next.into_iter().chain(self.ledger.next_wake(&scope)).min();
        }
        self.node_next = next;
    }

    /// When to step with [`Observation::Tick`] if nothing is observed before.
    pub fn next_wake(&self) -> Option<Monotonic> {
        let unseen = self.ledger.next_unseen(|key| self.world.would_see(key));
        self.schedule.next().into_iter().chain(self.node_next).chain(unseen).min()
    }

    /// The agent stops: reports open traces as far as they are known.
    #[must_use = "the engine never acts: its reports are for the caller to deliver"]
    pub fn close(&mut self, now: &Reading) -> Vec<Report> {
        let mut outcome = Outcome::default();
        for tracked in self.world.tokens.iter() {
            let pod = self.world.cluster.pod(&tracked.key.pod_uid);
            outcome.spans(self.exported.open(tracked, pod, now.wall));
        }
        outcome.reports
    }

    fn scene(&self, now: &Reading) -> Scene<'_> {
        Scene {
            config: &self.config,
            world: &self.world,
            ledger: &self.ledger,
            believed: &self.believed,
            affected: self.affected.count(),
            now: *now,
        }
    }

    /// What metrics show.
    pub fn snapshot(&self, now: &Reading) -> Snapshot {
        self.scene(now).snapshot()
    }

    /// Every token, in a fixed order, as `check` shows it.
    pub fn tokens(&self, now: &Reading) -> Vec<TokenView> {
        self.scene(now).tokens()
    }

    /// Everything there is to see.
    pub fn status(&self, now: &Reading) -> Status {
        self.scene(now).status()
    }

    /// Active findings, worst first, as they were last judged.
    pub fn findings(&self) -> Vec<Finding> {
        self.ledger.raised().into_iter().map(|(finding, _)| finding).collect()
    }

    /// What is believed about the clock.
    pub fn clock(&self, now: &Reading) -> Estimate {
        self.world.clock.estimate(now)
    }

    /// The time servers' last answers.
    pub fn servers(&self) -> Vec<ServerReport> {
        self.world.clock.servers()
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

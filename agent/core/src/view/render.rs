//! The world and the ledger as views of one moment.

use super::{AgentView, ClockView, Snapshot, Status, TokenView};
use crate::base::time::{Reading, Wall};
use crate::diagnosis;
use crate::findings::{Affected, Finding, Subject};
use crate::ledger::Ledger;
use crate::world::clocks::Estimate;
use crate::world::cluster::PodRef;
use crate::world::tokens::{Tracked, verdict};
use crate::world::{Config, World};

/// Everything that views are made from.
pub(crate) struct Scene<'a> {
    pub(crate) config: &'a Config,
    pub(crate) world: &'a World,
    pub(crate) ledger: &'a Ledger,
    /// The clock as the tokens were last judged by it.
    pub(crate) believed: &'a Estimate,
    pub(crate) affected: Affected,
    pub(crate) now: Reading,
}

impl Scene<'_> {
    /// What metrics show.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let (world, visibility) = (self.world, &self.world.visibility);
        let works =
            |(source, degraded): (&String, &Option<String>)| (source.clone(), degraded.is_none());
        let mut snapshot = Snapshot {
            clock: world.clock.estimate(&self.now),
            sources: visibility.sources().iter().map(works).collect(),
            rung: visibility.privileges().map(|privileges| privileges.rung),
            cluster: world.cluster_figures(&self.now),
            awaits_clock: world.startup.clock_ready_at(&self.now).is_some(),
            ..Snapshot::default()
        };
        for generation in world.tokens.generations() {
            *snapshot.tokens.entry(generation.deadlines.state(self.now.wall)).or_default() += 1;
            let left = generation.deadlines.effective - self.now.wall;
            snapshot.nearest_deadline = snapshot.nearest_deadline.into_iter().chain([left]).min();
        }
        for finding in self.ledger.active() {
            *snapshot.findings.entry((finding.code, finding.severity)).or_default() += 1;
        }
        snapshot
    }

    /// Every token, in a fixed order, as `check` shows it.
    pub(crate) fn tokens(&self) -> Vec<TokenView> {
        let interval = self.world.clock.estimate(&self.now).interval(self.now.wall);
        let view = |tracked: &Tracked| {
            let generation = tracked.current.as_ref()?;
            let known = self.world.cluster.pod(&tracked.key.pod_uid).cloned();
            Some(TokenView {
                key: tracked.key.clone(),
                pod: PodRef::of(tracked, known.as_ref()),
                state: generation.deadlines.state(self.now.wall),
                verdict: verdict(&generation.claims, &interval),
                claims: generation.claims.clone(),
                deadlines: generation.deadlines,
                appeared_at: generation.appeared_at,
                known,
            })
        };
        self.world.tokens.iter().filter_map(view).collect()
    }

    /// What was raised, in the words of this moment: a sentence gives the times of its own moment.
    fn raised_by_now(&self) -> Vec<(Finding, Wall)> {
        let node = diagnosis::node(self.world, self.config, self.affected, &self.now);
        let node: Vec<Finding> =
            node.clock.into_iter().chain(node.visibility).chain(node.delivery).collect();
        let again = |old: &Finding| {
            let same = |new: &Finding| new.code == old.code && new.id("") == old.id("");
            self.of_token(&old.subject).into_iter().chain(node.iter().cloned()).find(same)
        };
        let raised = self.ledger.raised().into_iter();
        raised.map(|(old, at)| (again(&old).unwrap_or(old), at)).collect()
    }

    /// What is wrong with this token at this moment.
    fn of_token(&self, subject: &Subject) -> Vec<Finding> {
        let facts =
            subject.token_key().and_then(|key| self.world.facts(&key, &self.now, self.believed));
        facts.map(|facts| diagnosis::token(&facts, &self.now).findings).unwrap_or_default()
    }

    /// Everything there is to see.
    pub(crate) fn status(&self) -> Status {
        let (world, visibility) = (self.world, &self.world.visibility);
        Status {
            node: self.config.node.clone(),
            now: self.now,
            tokens: self.tokens(),
            findings: self.raised_by_now(),
            clock: ClockView {
                estimate: world.clock.estimate(&self.now),
                offset_limit: self.config.clock.offset,
                servers: world.clock.servers(),
                kernel: world.clock.last_kernel().copied(),
            },
            agent: AgentView {
                blind: world.blind_spots(),
                sources: visibility.sources().clone(),
                delivery: world.delivery.clone(),
                privileges: visibility.privileges().cloned(),
                cluster: world.cluster_figures(&self.now),
                unreachable: world.cluster.unreachable().map(ToOwned::to_owned),
            },
        }
    }
}

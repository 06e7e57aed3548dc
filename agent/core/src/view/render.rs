//! Rendering of the state and the ledger as views.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{AgentView, ClockView, NamedFindings, Readiness, Snapshot, Status, TokenView};
use crate::base::time::{Delta, Interval, Reading, Wall};
use crate::diagnosis::{self, Survey};
use crate::findings::{CauseId, Code, Finding, Severity, Subject};
use crate::ledger::Ledger;
use crate::world::clocks::{ClockFacts, Estimate};
use crate::world::cluster::PodRef;
use crate::world::readers::ReaderView;
use crate::world::tokens::{Generation, LegacyToken, Tracked, Verdict};
use crate::world::{Config, Facts, World};

/// The inputs of all views.
pub(crate) struct Scene<'a> {
    pub(crate) config: &'a Config,
    pub(crate) world: &'a World,
    pub(crate) ledger: &'a Ledger,
    /// The estimate of the clock in the last diagnosis of the tokens.
    pub(crate) estimate: &'a Estimate,
    pub(crate) survey: &'a Survey,
    pub(crate) now: Reading,
}

/// Most causes that metrics name: a node with more has a cause of its own behind them.
const MAX_CAUSES: usize = 16;

/// The number of findings of each cause that other nodes may have, too: the worst causes.
fn causes<'a>(
    active: impl Iterator<Item = &'a Finding>,
) -> BTreeMap<(CauseId, Code, Severity), u64> {
    let mut all = BTreeMap::new();
    for finding in active.filter(|finding| finding.severity > Severity::Info) {
        if let Some(cause) = finding.cause() {
            *all.entry((Reverse(finding.severity), cause, finding.code)).or_default() += 1;
        }
    }
    let worst = all.into_iter().take(MAX_CAUSES);
    worst.map(|((severity, cause, code), count)| ((cause, code, severity.0), count)).collect()
}

impl Scene<'_> {
    /// The figures for metrics.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let (world, visibility) = (self.world, &self.world.visibility);
        let mut snapshot = Snapshot {
            clock: world.clock.estimate(&self.now),
            sources: visibility.sources_up(&self.now),
            rung: visibility.privileges().map(|privileges| privileges.rung),
            cluster: world.cluster_figures(&self.now),
            refusals: world.readers.refusals.figures(),
            ..Snapshot::default()
        };
        self.count_tokens(&mut snapshot);
        for judged in self.facts().flat_map(|facts| facts.judged(&self.now)) {
            *snapshot.readers.entry(judged.verdict).or_default() += 1;
        }
        for finding in self.ledger.active() {
            *snapshot.findings.by_code.entry((finding.code, finding.severity)).or_default() += 1;
        }
        snapshot.findings.by_cause = causes(self.ledger.active());
        snapshot.findings.named = NamedFindings::of(self.ledger.active());
        snapshot
    }

    /// Whether the figures are those of the node.
    pub(crate) fn readiness(&self) -> Readiness {
        let (startup, visibility) = (&self.world.startup, &self.world.visibility);
        Readiness {
            is_scanned: visibility.has_scanned(),
            clock_ready_at: startup.clock_ready_at(&self.now),
            still_since: visibility.files_still_since(),
        }
    }

    fn count_tokens(&self, snapshot: &mut Snapshot) {
        for Generation { deadlines, .. } in self.world.tokens.generations() {
            *snapshot.tokens.entry(deadlines.state(self.now.wall)).or_default() += 1;
            let left = deadlines.effective - self.now.wall;
            snapshot.nearest_deadline = snapshot.nearest_deadline.into_iter().chain([left]).min();
        }
    }

    /// Every token, ordered by pod UID, volume and path.
    pub(crate) fn tokens(&self) -> Vec<TokenView> {
        let interval = self.world.clock.estimate(&self.now).interval(self.now.wall);
        self.world.tokens.iter().filter_map(|tracked| self.token(tracked, &interval)).collect()
    }

    pub(super) fn token(&self, tracked: &Tracked, interval: &Interval) -> Option<TokenView> {
        let generation = tracked.current.as_ref()?;
        let Generation { claims, deadlines, appeared_at, .. } = generation;
        let facts = self.world.facts(&tracked.key, &self.now, self.estimate)?;
        Some(TokenView {
            key: tracked.key.clone(),
            pod: facts.pod_ref(),
            state: deadlines.state(self.now.wall),
            verdict: self.known_verdict(&facts, generation, interval),
            claims: claims.clone(),
            deadlines: *deadlines,
            appeared_at: *appeared_at,
            known: facts.pod().cloned(),
            signature: tracked.signature,
        })
    }

    /// The verdict, or that it is not known: of a file that is not read any more, the token may
    /// have been replaced before it ended.
    fn known_verdict(
        &self,
        facts: &Facts<'_>,
        generation: &Generation,
        interval: &Interval,
    ) -> Verdict {
        let verdict = facts.verdict(generation, interval);
        let known = self.world.known_at(&facts.tracked.key, &self.now);
        let age = self.now.monotonic - known.monotonic;
        let then = Interval { lo: interval.lo - age, hi: interval.hi - age };
        let ended_since = age > Delta::ZERO && facts.verdict(generation, &then) != Verdict::Dead;
        if verdict == Verdict::Dead && ended_since { Verdict::Uncertain } else { verdict }
    }

    /// Every reader of a token, ordered by pod UID, volume and path.
    pub(crate) fn readers(&self) -> Vec<ReaderView> {
        self.facts().flat_map(|facts| facts.reader_views(&self.now)).collect()
    }

    fn facts(&self) -> impl Iterator<Item = Facts<'_>> {
        let facts = |tracked: &Tracked| self.world.facts(&tracked.key, &self.now, self.estimate);
        self.world.tokens.iter().filter_map(facts)
    }

    /// Active findings, diagnosed again at this moment: their sentences contain the time left.
    pub(super) fn active_findings(&self) -> Vec<(Finding, Wall)> {
        let node = diagnosis::node(self.world, self.config, self.survey, &self.now);
        let known = self.world.visibility.copies_known_at(&self.now);
        let copies = diagnosis::copies(self.world, self.config, &known).into_iter();
        let copies = copies.filter_map(|copy| copy.finding);
        let others: Vec<Finding> = node.findings().into_iter().chain(copies).collect();
        let again = |old: &Finding| {
            let same = |new: &Finding| new.id("") == old.id("");
            self.of_token(&old.subject).into_iter().chain(others.iter().cloned()).find(same)
        };
        let raised = self.ledger.raised().into_iter();
        let now = |old: Arc<Finding>| again(&old).unwrap_or_else(|| Arc::unwrap_or_clone(old));
        raised.map(|(old, at)| (now(old), at)).collect()
    }

    /// The findings about this token at this moment.
    fn of_token(&self, subject: &Subject) -> Vec<Finding> {
        let Some(key) = subject.token_key() else { return Vec::new() };
        match self.world.known_facts(&key, &self.now, self.estimate) {
            Some((facts, known)) => diagnosis::token(&self.survey.complete(facts), &known).findings,
            None => diagnosis::absent(self.world, &key, &self.now).findings.unwrap_or_default(),
        }
    }

    /// Everything that the status page shows.
    pub(crate) fn status(&self) -> Status {
        Status {
            node: self.config.node.clone(),
            now: self.now,
            tokens: self.tokens(),
            legacy: self.legacy(),
            readers: self.readers(),
            findings: self.active_findings(),
            clock: self.clock(),
            agent: self.agent(),
        }
    }

    fn legacy(&self) -> Vec<(LegacyToken, PodRef)> {
        let used = |one: &&LegacyToken| self.world.is_used(&one.key, None, &self.now);
        let all = self.world.tokens.legacy.iter().filter(used);
        all.map(|one| (one.clone(), self.world.pod_of_legacy(one))).collect()
    }

    fn clock(&self) -> ClockView {
        let clock = &self.world.clock;
        let facts = ClockFacts::new(clock, &self.now);
        ClockView {
            agreeing: facts.agreeing(),
            voters: facts.voters(),
            estimate: clock.estimate(&self.now),
            offset_limit: self.config.clock.offset,
            servers: clock.servers(),
            servers_configured: self.config.clock.servers_configured,
            kernel: clock.last_kernel().copied(),
        }
    }

    fn agent(&self) -> AgentView {
        let (world, visibility) = (self.world, &self.world.visibility);
        AgentView {
            blind: visibility.blind().to_vec(),
            crowded: world.crowded(),
            sources: visibility.sources(&self.now),
            delivery: world.visibility.delivery.clone(),
            privileges: visibility.privileges().cloned(),
            cluster: world.cluster_figures(&self.now),
            unreachable: world.cluster.unreachable().map(ToOwned::to_owned),
        }
    }
}

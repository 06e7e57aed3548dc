//! The one thing the outside drives: observations in, actions out. Deterministic: the same steps
//! give the same actions.

mod config;
mod outcome;
mod schedule;
mod view;

pub use config::Config;
pub use outcome::{Outcome, Query, Report};
pub use view::{ClusterFigures, Snapshot, Status, TokenView};

use std::collections::{BTreeMap, BTreeSet};

use crate::base::ids::TraceContext;
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::diagnosis::{self, Affected, CatchingUp, ClockEffect, Context, Ending};
use crate::findings::{Code, Finding, Subject};
use crate::ledger::Alert;
use crate::ledger::{Ledger, Restored, Scope};
use crate::traces;
use crate::traces::Exported;
use crate::traces::generation::{self, Ended};
use crate::world::clocks::{ClockModel, ClockState, Estimate, ServerReport, Step};
use crate::world::cluster::{
    AccountLoss, AccountName, AccountSeen, Accounts, Cluster, ClusterSeen, Known, Pod,
};
use crate::world::observation::{BlindSpot, DeliveryState, FileSeen, Observation};
use crate::world::privileges::Privileges;
use crate::world::tokens::{Change, Generation, Tracked};
use crate::world::tokens::{TokenKey, verdict};
use schedule::Schedule;

/// An offset that moved by less than this moves no verdict that matters: kubelet's own jitter is
/// ten times that.
const OFFSET_CHANGE: Delta = Delta::from_secs(1);

/// Tokens that are followed: twice what a full node (250 pods) has where each pod has four. A pod
/// can project as many files that look like tokens as it likes; each takes up to 7 kB here if it
/// was made for that, and twice as much while a page is made.
const MOST_TOKENS: usize = 2_048;
/// The source of token files, by the name it has in what it tells of itself.
const FILES: &str = "files";

/// The engine.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    clock: ClockModel,
    believed: Estimate,
    heard_clock: bool,
    heard_cluster: bool,
    started: Option<Reading>,
    /// Boxed, because half of a map's room is empty when it was filled in order.
    tokens: BTreeMap<TokenKey, Box<Tracked>>,
    schedule: Schedule,
    look_wrong: BTreeSet<TokenKey>,
    refused: BTreeSet<TokenKey>,
    catching_up: Option<CatchingUp>,
    told: Exported,
    blind: Vec<BlindSpot>,
    /// Tokens that were left out for want of room; as many of them as are followed at most.
    left_out: BTreeSet<TokenKey>,
    delivery: DeliveryState,
    sources: BTreeMap<String, Option<String>>,
    cluster: Cluster,
    accounts: Accounts,
    privileges: Option<Privileges>,
    ledger: Ledger,
    node_next: Option<Monotonic>,
}

impl Engine {
    /// Knows nothing yet.
    pub fn new(config: Config) -> Self {
        let clock = ClockModel::new(config.clock.clone());
        Self {
            believed: clock.estimate(&Reading::default()),
            heard_clock: !config.clock.servers_configured,
            heard_cluster: !config.cluster_configured,
            ledger: Ledger::new(&config.node, config.remind_every),
            started: None,
            node_next: None,
            tokens: BTreeMap::new(),
            schedule: Schedule::default(),
            look_wrong: BTreeSet::new(),
            refused: BTreeSet::new(),
            catching_up: None,
            told: Exported::default(),
            blind: Vec::new(),
            left_out: BTreeSet::new(),
            delivery: DeliveryState::default(),
            sources: BTreeMap::new(),
            cluster: Cluster::default(),
            accounts: Accounts::default(),
            privileges: None,
            clock,
            config,
        }
    }

    /// Takes one observation, made at `now`.
    pub fn step(&mut self, now: &Reading, observation: Observation) -> Outcome {
        self.started.get_or_insert(*now);
        let about_a_file = matches!(observation, Observation::File(_) | Observation::Gone(_));
        let mut outcome = Outcome { reports: self.observe(now, observation), queries: Vec::new() };
        self.believe(now);
        outcome.reports.extend(self.unseen(now));
        for key in self.schedule.take_due(now.monotonic) {
            self.judge_token(now, &key, &mut outcome);
        }
        if !about_a_file || self.node_next.is_some_and(|next| next <= now.monotonic) {
            outcome.reports.extend(self.judge_node(now));
        }
        outcome
    }

    /// Takes over the findings that the agent before this one had raised. Before anything else.
    pub fn restore(&mut self, now: &Reading, restored: Vec<Restored>) -> Outcome {
        self.ledger.restore(now, restored);
        self.step(now, Observation::Tick)
    }

    fn observe(&mut self, now: &Reading, observation: Observation) -> Vec<Report> {
        match observation {
            Observation::File(seen) => return self.file(now, seen),
            Observation::Gone(key) => return self.gone(now, &key),
            Observation::Blind(spots) => self.blind = spots,
            Observation::Source(state) => {
                self.sources.insert(state.source, state.degraded);
            }
            Observation::NtpRound(round) => {
                self.clock.round(&round);
                self.heard_clock = true;
                return traces::clock::spans(&self.clock, &round)
                    .into_iter()
                    .map(|span| Report::Span(Box::new(span)))
                    .collect();
            }
            Observation::Kernel(kernel) => self.clock.kernel(&kernel),
            Observation::ClockStep(step) => {
                self.clock.step(&step);
                self.catching_up = self.to_catch_up(&step);
                self.schedule.all_due(self.tokens.keys());
            }
            Observation::Cluster(seen) => self.cluster(now, seen),
            Observation::ServiceAccount(seen) => self.account(now, seen),
            Observation::Privileges(privileges) => self.privileges = Some(privileges),
            Observation::Delivery(state) => self.delivery = state,
            Observation::Tick => {}
        }
        Vec::new()
    }

    /// What changed about a pod may change the verdict on its tokens.
    fn cluster(&mut self, now: &Reading, seen: ClusterSeen) {
        let first = !self.heard_cluster && !matches!(seen, ClusterSeen::Unreachable { .. });
        self.heard_cluster |= first;
        let changed = self.cluster.see(seen, now);
        self.keep_pods();
        let keys = self.tokens.keys().filter(|key| first || changed.contains(&key.pod_uid));
        self.schedule.all_due(keys);
    }

    /// A pod that is gone is known as long as a token of it is there.
    fn keep_pods(&mut self) {
        let tokens = &self.tokens;
        self.cluster.keep(|uid| tokens.keys().any(|key| key.pod_uid == uid));
    }

    /// What became of a service account may be why its tokens were not replaced.
    fn account(&mut self, now: &Reading, seen: AccountSeen) {
        let account = seen.account.clone();
        if !self.accounts.see(seen, now) {
            return;
        }
        let is_of = |tracked: &Tracked| {
            tracked
                .current
                .as_ref()
                .is_some_and(|generation| AccountName::of(&generation.claims) == account)
        };
        let keys = self.tokens.iter().filter(|(_, tracked)| is_of(tracked)).map(|(key, _)| key);
        self.schedule.all_due(keys);
    }

    /// Asks for a token's service account, where that is wanted and not known; and when to ask
    /// again.
    fn ask(
        &mut self,
        now: &Reading,
        account: Option<AccountName>,
    ) -> (Option<Query>, Option<Monotonic>) {
        let Some(account) = account.filter(|_| self.config.cluster_configured) else {
            return (None, None);
        };
        let asks = self.accounts.ask(&account, now);
        let again = self.accounts.next(&account);
        (asks.then_some(Query::ServiceAccount(account)), again)
    }

    /// Tokens that an agent before this one had findings about, and that went away meanwhile. What
    /// cannot be seen has not been seen to be gone.
    fn unseen(&mut self, now: &Reading) -> Vec<Report> {
        let mut gone = self.ledger.unseen(now.monotonic);
        gone.retain(|key| !self.tokens.contains_key(key) && self.would_see(key));
        let cleared =
            |key| self.ledger.judge(now, &Scope::Token(key), Vec::new(), |_| Ending::Gone);
        gone.into_iter().flat_map(cleared).map(alert).collect()
    }

    /// Whether this token, if it were there, would be known.
    fn would_see(&self, key: &TokenKey) -> bool {
        let covers = |spot: &BlindSpot| {
            spot.is_root()
                || (spot.pod_uid == key.pod_uid && (spot.is_pod() || spot.volume == key.volume))
        };
        let works = self.sources.get(FILES).is_none_or(Option::is_none);
        works && !self.blind.iter().any(covers) && !self.left_out.contains(key)
    }

    fn file(&mut self, now: &Reading, seen: FileSeen) -> Vec<Report> {
        let key = seen.key.clone();
        if self.tokens.len() >= MOST_TOKENS && !self.tokens.contains_key(&key) {
            self.leave_out(now, key);
            return Vec::new();
        }
        self.not_left_out(now, &key);
        let tracked =
            self.tokens.entry(key.clone()).or_insert_with(|| Box::new(Tracked::new(key.clone())));
        let change = tracked.see(seen, now, self.config.kubelet);
        let pod = self.cluster.pod(&key.pod_uid);
        let actions = match &change {
            Change::Rotated { old, at } => rotated(&mut self.told, tracked, pod, old, *at),
            _ => Vec::new(),
        };
        if change != Change::None {
            self.schedule.due_now(&key);
        }
        actions
    }

    fn leave_out(&mut self, now: &Reading, key: TokenKey) {
        if self.left_out.len() < MOST_TOKENS && self.left_out.insert(key) {
            self.node_next = Some(now.monotonic);
        }
    }

    /// It is followed now, or gone. Where room becomes free otherwise, what was left out stays so
    /// until its file changes, and so does what is said of it.
    fn not_left_out(&mut self, now: &Reading, key: &TokenKey) {
        if self.left_out.remove(key) {
            self.node_next = Some(now.monotonic);
        }
    }

    /// The first that was left out speaks for all.
    fn blind_spots(&self) -> Vec<BlindSpot> {
        let left_out = self.left_out.first().map(|key| BlindSpot {
            pod_uid: key.pod_uid.clone(),
            volume: key.volume.clone(),
            directory: String::new(),
            reason: format!(
                "there are more than {MOST_TOKENS} tokens on this node, and {} of them are not \
                 followed",
                self.left_out.len()
            ),
        });
        self.blind.iter().cloned().chain(left_out).collect()
    }

    fn gone(&mut self, now: &Reading, key: &TokenKey) -> Vec<Report> {
        self.not_left_out(now, key);
        let Some(tracked) = self.tokens.remove(key) else { return Vec::new() };
        self.schedule.forget(key);
        self.look_wrong.remove(key);
        self.refused.remove(key);
        let alerts =
            self.ledger.judge(now, &Scope::Token(key.clone()), Vec::new(), |_| Ending::Gone);
        let ended = tracked.current.as_ref().filter(|generation| !generation.told);
        let pod = self.cluster.pod(&key.pod_uid);
        let spans = ended
            .map(|generation| {
                closed(&mut self.told, &tracked, pod, generation, now.wall, &Ended::Gone)
            })
            .unwrap_or_default();
        self.keep_pods();
        spans.into_iter().chain(alerts.into_iter().map(alert)).collect()
    }

    /// Takes over what the clock model believes now; a real change puts every token up for
    /// judgement.
    fn believe(&mut self, now: &Reading) {
        let estimate = self.clock.estimate(now);
        let moved = (estimate.offset - self.believed.offset).abs() >= OFFSET_CHANGE;
        if moved
            || estimate.state != self.believed.state
            || estimate.assumed != self.believed.assumed
        {
            self.schedule.all_due(self.tokens.keys());
        }
        self.believed = estimate;
    }

    fn judge_token(&mut self, now: &Reading, key: &TokenKey, outcome: &mut Outcome) {
        if let Some(ready) = self.ready_at(now) {
            self.schedule.at(key, ready);
            return;
        }
        let catching_up = self.catching_up_at(now);
        let Some(tracked) = self.tokens.get_mut(key) else { return };
        let known = self.cluster.known(&key.pod_uid, now);
        let lost = lost(&self.accounts, tracked, known, now);
        let context =
            Context { clock: &self.believed, settle: self.config.settle, catching_up, known, lost };
        // A trace cannot be taken back: a token is dead once both the node's clock and true time,
        // where it is known to differ, are past exp.
        let pod = known.map(|known| known.pod);
        outcome.reports.extend(expire(
            &mut self.told,
            tracked,
            pod,
            context.corrected(now.wall).map_or(now.wall, |true_now| true_now.min(now.wall)),
        ));
        let judged = diagnosis::judge(tracked, now, context);
        let next = diagnosis::next_change(tracked, now, context);
        let in_question = tracked
            .current
            .as_ref()
            .and_then(|generation| diagnosis::in_question(generation, now.wall, context));
        let current =
            tracked.current.as_ref().map(|generation| generation::root(key, &generation.claims));
        let looks_wrong = judged.clock_effect == ClockEffect::LooksWrong;
        set_member(&mut self.look_wrong, key, looks_wrong);
        set_member(&mut self.refused, key, judged.clock_effect == ClockEffect::Refused);
        let scope = Scope::Token(key.clone());
        let ending = |finding: &Finding| ending_of_token(finding, current, looks_wrong);
        let alerts = self.ledger.judge(now, &scope, judged.findings, ending);
        outcome.reports.extend(alerts.into_iter().map(alert));
        let (asked, again) = self.ask(now, in_question);
        outcome.queries.extend(asked);
        if let Some(at) = next.into_iter().chain(self.ledger.next_wake(&scope)).chain(again).min() {
            self.schedule.at(key, at);
        }
    }

    /// Steps that follow one another before kubelet has caught up add up.
    fn to_catch_up(&self, step: &Step) -> Option<CatchingUp> {
        let before = self.catching_up_at(&step.after).map_or(Delta::ZERO, |before| before.size);
        let size = before + step.size;
        (size > Delta::ZERO).then(|| CatchingUp {
            size,
            until: step.after.monotonic + self.config.kubelet.patience(),
        })
    }

    fn catching_up_at(&self, now: &Reading) -> Option<CatchingUp> {
        self.catching_up.filter(|step| now.monotonic < step.until)
    }

    /// Tokens are not accused before the clock and the API server were heard once, or have had
    /// their time to speak: until then it may be the clock that is to blame, or a pod that is
    /// going.
    fn ready_at(&self, now: &Reading) -> Option<Monotonic> {
        self.grace_end(now).filter(|_| !self.heard_clock || !self.heard_cluster)
    }

    /// The clock is not judged before it was heard, either.
    fn clock_ready_at(&self, now: &Reading) -> Option<Monotonic> {
        self.grace_end(now).filter(|_| !self.heard_clock)
    }

    /// When those who are asked at the start have had their time, if that is still to come.
    fn grace_end(&self, now: &Reading) -> Option<Monotonic> {
        let end =
            self.started.map_or(now.monotonic, |started| started.monotonic + self.config.grace);
        (now.monotonic < end).then_some(end)
    }

    fn judge_node(&mut self, now: &Reading) -> Vec<Report> {
        let ending =
            |finding: &Finding| ending_of_node(finding, self.believed.state, &self.delivery);
        let judged = self.of_node(now).into_iter();
        let actions = judged
            .flat_map(|(scope, findings)| self.ledger.judge(now, &scope, findings, ending))
            .map(alert)
            .collect();
        self.node_next = self.next_for_node(now);
        actions
    }

    /// What is wrong with the node itself, at this moment.
    fn of_node(&self, now: &Reading) -> [(Scope, Vec<Finding>); 3] {
        let (node, affected) = (
            &self.config.node,
            Affected { look_wrong: self.look_wrong.len(), refused: self.refused.len() },
        );
        let clock = if self.clock_ready_at(now).is_some() {
            Vec::new()
        } else {
            diagnosis::clock::findings(&self.clock, now)
        };
        let clock =
            clock.into_iter().map(|finding| diagnosis::of_clock(node, finding, affected)).collect();
        let sight = diagnosis::blind(node, &self.blind_spots()).into_iter().collect();
        let delivery = diagnosis::delivery(node, &self.delivery, now, self.config.delivery_limit)
            .into_iter()
            .collect();
        [(Scope::Clock, clock), (Scope::Sight, sight), (Scope::Delivery, delivery)]
    }

    /// When the node's own findings may change by the passing of time alone.
    fn next_for_node(&self, now: &Reading) -> Option<Monotonic> {
        let scopes = [Scope::Clock, Scope::Sight, Scope::Delivery]
            .into_iter()
            .filter_map(|scope| self.ledger.next_wake(&scope));
        let delayed =
            self.delivery.waiting_since.map(|since| since.monotonic + self.config.delivery_limit);
        let rest = [
            self.clock.next_change(now),
            delayed.filter(|at| *at > now.monotonic),
            self.clock_ready_at(now),
        ];
        scopes.chain(rest.into_iter().flatten()).min()
    }

    /// When to step with [`Observation::Tick`] if nothing is seen before.
    pub fn next_wake(&self) -> Option<Monotonic> {
        self.schedule
            .next()
            .into_iter()
            .chain(self.node_next)
            .chain(self.ledger.next_unseen(|key| self.would_see(key)))
            .min()
    }

    /// The agent stops: what is open is told as far as it went.
    #[must_use = "the engine never acts: its reports are for the caller to deliver"]
    pub fn close(&mut self, now: &Reading) -> Vec<Report> {
        let open = self.tokens.values().filter_map(|tracked| {
            let generation = tracked.current.as_ref().filter(|generation| !generation.told)?;
            let pod = self.cluster.pod(&tracked.key.pod_uid);
            Some(Report::Span(Box::new(generation::open(
                &tracked.key,
                &tracked.pod(pod),
                generation,
                now.wall,
            ))))
        });
        open.collect()
    }

    /// What metrics show.
    pub fn snapshot(&self, now: &Reading) -> Snapshot {
        let mut snapshot = Snapshot {
            clock: self.clock.estimate(now),
            sources: self
                .sources
                .iter()
                .map(|(source, degraded)| (source.clone(), degraded.is_none()))
                .collect(),
            rung: self.privileges.as_ref().map(|privileges| privileges.rung),
            cluster: self.cluster_figures(now),
            awaits_clock: self.clock_ready_at(now).is_some(),
            ..Snapshot::default()
        };
        for generation in self.generations() {
            *snapshot.tokens.entry(generation.deadlines.state(now.wall)).or_default() += 1;
        }
        for finding in self.ledger.active() {
            *snapshot.findings.entry((finding.code, finding.severity)).or_default() += 1;
        }
        snapshot.nearest_deadline =
            self.generations().map(|generation| generation.deadlines.effective - now.wall).min();
        snapshot
    }

    fn cluster_figures(&self, now: &Reading) -> Option<ClusterFigures> {
        self.cluster.age(now).map(|age| ClusterFigures { pods: self.cluster.len(), age })
    }

    fn generations(&self) -> impl Iterator<Item = &Generation> {
        self.tokens.values().filter_map(|tracked| tracked.current.as_ref())
    }

    /// Every token, in a fixed order, as `check` shows it.
    pub fn tokens(&self, now: &Reading) -> Vec<TokenView> {
        let interval = self.clock.estimate(now).interval(now.wall);
        let view = |tracked: &Tracked| {
            let generation = tracked.current.as_ref()?;
            let known = self.cluster.pod(&tracked.key.pod_uid).cloned();
            Some(TokenView {
                key: tracked.key.clone(),
                pod: tracked.pod(known.as_ref()),
                state: generation.deadlines.state(now.wall),
                verdict: verdict(&generation.claims, &interval),
                claims: generation.claims.clone(),
                deadlines: generation.deadlines,
                appeared_at: generation.appeared_at,
                known,
            })
        };
        self.tokens.values().map(Box::as_ref).filter_map(view).collect()
    }

    /// Active findings, worst first.
    pub fn findings(&self) -> Vec<Finding> {
        self.raised().into_iter().map(|(finding, _)| finding).collect()
    }

    /// What was raised, in the words of this moment: the sentence with which it was raised tells
    /// times from then.
    fn raised_by_now(&self, now: &Reading) -> Vec<(Finding, Wall)> {
        let node: Vec<Finding> =
            self.of_node(now).into_iter().flat_map(|(_, findings)| findings).collect();
        let again = |old: &Finding| {
            let same = |new: &Finding| new.code == old.code && new.id("") == old.id("");
            self.of_token(now, &old.subject).into_iter().chain(node.iter().cloned()).find(same)
        };
        self.raised().into_iter().map(|(old, at)| (again(&old).unwrap_or(old), at)).collect()
    }

    /// What is wrong with this token at this moment.
    fn of_token(&self, now: &Reading, subject: &Subject) -> Vec<Finding> {
        let Subject::Token { pod, volume, path } = subject else { return Vec::new() };
        let key = TokenKey { pod_uid: pod.uid.clone(), volume: volume.clone(), path: path.clone() };
        let Some(tracked) = self.tokens.get(&key) else { return Vec::new() };
        diagnosis::judge(tracked, now, self.context(now, &key)).findings
    }

    fn context(&self, now: &Reading, key: &TokenKey) -> Context<'_> {
        let known = self.cluster.known(&key.pod_uid, now);
        let lost =
            self.tokens.get(key).and_then(|tracked| lost(&self.accounts, tracked, known, now));
        Context {
            clock: &self.believed,
            settle: self.config.settle,
            catching_up: self.catching_up_at(now),
            known,
            lost,
        }
    }

    fn raised(&self) -> Vec<(Finding, Wall)> {
        let mut raised: Vec<_> =
            self.ledger.raised().map(|(finding, at)| (finding.clone(), at)).collect();
        raised.sort_by(|(a, _), (b, _)| {
            b.severity
                .cmp(&a.severity)
                .then(a.code.cmp(&b.code))
                .then_with(|| subject_order(a).cmp(&subject_order(b)))
        });
        raised
    }

    /// Everything there is to see.
    pub fn status(&self, now: &Reading) -> Status {
        Status {
            node: self.config.node.clone(),
            now: *now,
            tokens: self.tokens(now),
            findings: self.raised_by_now(now),
            clock: self.clock.estimate(now),
            offset_limit: self.config.clock.offset,
            servers: self.clock.servers(),
            kernel: self.clock.last_kernel().copied(),
            blind: self.blind_spots(),
            sources: self.sources.clone(),
            delivery: self.delivery.clone(),
            privileges: self.privileges.clone(),
            cluster: self.cluster_figures(now),
            unreachable: self.cluster.unreachable().map(ToOwned::to_owned),
        }
    }

    /// What is believed about the clock.
    pub fn clock(&self, now: &Reading) -> Estimate {
        self.clock.estimate(now)
    }

    /// The state of the clock as last judged.
    pub fn clock_state(&self) -> ClockState {
        self.believed.state
    }

    /// The time servers' last answers.
    pub fn servers(&self) -> Vec<ServerReport> {
        self.clock.servers()
    }
}

/// What became of the account that the token is of.
fn lost(
    accounts: &Accounts,
    tracked: &Tracked,
    known: Option<Known<'_>>,
    now: &Reading,
) -> Option<AccountLoss> {
    let generation = tracked.current.as_ref()?;
    let _ = diagnosis::account_of(generation, known.map(|known| known.pod))?;
    accounts.loss(&generation.claims, &generation.seen, now)
}

/// A finding about another generation than the one in the file ended with that one.
fn ending_of_token(
    finding: &Finding,
    current: Option<TraceContext>,
    symptom_of_clock: bool,
) -> Ending {
    match finding.trace {
        Some(_) if finding.trace != current => Ending::Replaced,
        _ if symptom_of_clock => Ending::ClockToBlame,
        _ => Ending::Over,
    }
}

fn ending_of_node(finding: &Finding, clock: ClockState, delivery: &DeliveryState) -> Ending {
    match finding.code {
        Code::AgentBlind => Ending::Over,
        Code::DeliveryDelayed => Ending::Delivered { lost: delivery.given_up + delivery.rejected },
        _ => Ending::Clock(clock),
    }
}

fn rotated(
    told: &mut Exported,
    tracked: &Tracked,
    pod: Option<&Pod>,
    old: &Generation,
    at: Wall,
) -> Vec<Report> {
    let rotation = Report::Rotation { delay: generation::rotation_delay(old, at) };
    let next = tracked.current.as_ref().filter(|_| !old.told).map(|next| next.claims.generation());
    let spans = next
        .map(|next| closed(told, tracked, pod, old, at, &Ended::Replaced(next)))
        .unwrap_or_default();
    std::iter::once(rotation).chain(spans).collect()
}

/// A generation that dies in the file ends its trace there; what kubelet does later belongs to the
/// next one.
fn expire(told: &mut Exported, tracked: &mut Tracked, pod: Option<&Pod>, now: Wall) -> Vec<Report> {
    let Some(generation) = tracked
        .current
        .as_mut()
        .filter(|generation| !generation.told && now >= generation.claims.expires_at)
    else {
        return Vec::new();
    };
    generation.told = true;
    let generation = generation.clone();
    closed(told, tracked, pod, &generation, generation.claims.expires_at, &Ended::Expired)
}

/// The whole trace of a generation that ended; nothing if it was told before.
fn closed(
    told: &mut Exported,
    tracked: &Tracked,
    pod: Option<&Pod>,
    generation: &Generation,
    end: Wall,
    ended: &Ended,
) -> Vec<Report> {
    if !told.first(generation::root(&tracked.key, &generation.claims).span_id) {
        return Vec::new();
    }
    let spans = generation::closed(&tracked.key, &tracked.pod(pod), generation, end, ended);
    spans.into_iter().map(|span| Report::Span(Box::new(span))).collect()
}

fn alert(alert: Alert) -> Report {
    Report::Alert(Box::new(alert))
}

fn set_member(set: &mut BTreeSet<TokenKey>, key: &TokenKey, member: bool) {
    if member {
        set.insert(key.clone());
    } else {
        set.remove(key);
    }
}

fn subject_order(finding: &Finding) -> String {
    match &finding.subject {
        Subject::Token { pod, volume, path } => {
            format!(
                "{}/{}/{}/{volume}/{path}",
                pod.namespace.as_deref().unwrap_or(""),
                pod.name.as_deref().unwrap_or(""),
                pod.uid
            )
        }
        Subject::Node { node } => node.clone(),
        Subject::Server { server } => server.clone(),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

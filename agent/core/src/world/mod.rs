//! What is: everything that the sources have observed, kept as plain state. No findings, no spans.

pub mod clocks;
pub mod cluster;
mod config;
mod delivery;
mod facts;
pub mod kubelet;
pub mod observation;
pub mod privileges;
mod startup;
pub mod tokens;
mod visibility;

pub use config::Config;
pub use facts::Facts;
pub use startup::Startup;
pub use visibility::{ClusterFigures, Visibility};

use crate::base::time::{Delta, Reading, Wall};
use clocks::{ClockModel, Estimate, Round};
use cluster::{AccountName, AccountSeen, Accounts, Cluster, ClusterSeen};
use kubelet::Kubelet;
use observation::{BlindSpot, DeliveryState, FileSeen, Observation};
use tokens::{Change, Generation, MOST_TOKENS, TokenKey, Tokens, Tracked};

/// The node as the agent knows it.
#[derive(Clone, Debug)]
pub struct World {
    /// The token files.
    pub tokens: Tokens,
    /// The node's clock.
    pub clock: ClockModel,
    /// The node's pods.
    pub cluster: Cluster,
    /// The service accounts that were requested.
    pub accounts: Accounts,
    /// The node's kubelet.
    pub kubelet: Kubelet,
    /// What the agent can see.
    pub visibility: Visibility,
    /// How alerts get out.
    pub delivery: DeliveryState,
    /// Who has answered since the start.
    pub startup: Startup,
    /// How long a broken file may be settling.
    settle: Delta,
}

/// What an observation changed: which judgements may differ now, and what happened with it.
#[must_use]
#[derive(Debug)]
pub struct Changed {
    /// Tokens whose judgement may differ.
    pub tokens: ChangedTokens,
    /// Whether the judgement on the node itself may differ.
    pub node: bool,
    /// What happened that is more than a new state.
    pub event: Option<Event>,
}

/// A set of tokens.
#[derive(Debug, PartialEq, Eq)]
pub enum ChangedTokens {
    /// These, or none.
    These(Vec<TokenKey>),
    /// Every token of the node.
    All,
}

/// Something that ended with an observation.
#[derive(Debug)]
pub enum Event {
    /// A generation was replaced by the next one.
    Rotated {
        /// Where.
        key: TokenKey,
        /// The generation that ended.
        old: Box<Generation>,
        /// When, on the node's clock.
        at: Wall,
    },
    /// A token file went away.
    Gone(Box<Tracked>),
    /// A clock measurement ended.
    Measured(Round),
}

impl Changed {
    /// A change about the node alone.
    fn node() -> Self {
        Self { tokens: ChangedTokens::These(Vec::new()), node: true, event: None }
    }

    fn with(self, tokens: ChangedTokens) -> Self {
        Self { tokens, ..self }
    }
}

impl World {
    /// Nothing is known yet.
    pub fn new(config: &Config) -> Self {
        Self {
            tokens: Tokens::default(),
            clock: ClockModel::new(config.clock.clone()),
            cluster: Cluster::default(),
            accounts: Accounts::default(),
            kubelet: Kubelet::new(config.kubelet),
            visibility: Visibility::default(),
            delivery: DeliveryState::default(),
            startup: Startup::new(
                config.grace,
                config.clock.servers_configured,
                config.cluster_configured,
            ),
            settle: config.settle,
        }
    }

    /// Takes one observation, made at `now`.
    pub fn learn(&mut self, now: &Reading, observation: Observation) -> Changed {
        self.startup.begin(now);
        match observation {
            Observation::File(seen) => return self.file(now, seen),
            Observation::Gone(key) => return self.gone(&key),
            Observation::NtpRound(round) => return self.measured(round),
            Observation::ClockStep(step) => {
                self.clock.step(&step);
                self.kubelet.clock_stepped(&step);
                return Changed::node().with(ChangedTokens::All);
            }
            Observation::Cluster(seen) => return self.pods(now, seen),
            Observation::ServiceAccount(seen) => return self.account(now, seen),
            Observation::Blind(spots) => self.visibility.hidden(spots),
            Observation::Source(state) => self.visibility.source(state),
            Observation::Privileges(privileges) => self.visibility.granted(privileges),
            Observation::Kernel(kernel) => self.clock.kernel(&kernel),
            Observation::Delivery(state) => self.delivery = state,
            Observation::Tick => {}
        }
        Changed::node()
    }

    fn file(&mut self, now: &Reading, seen: FileSeen) -> Changed {
        let key = seen.key.clone();
        let seen = self.tokens.see(seen, now, self.kubelet.policy());
        let tokens = if seen.change == Change::None { Vec::new() } else { vec![key.clone()] };
        let event = match seen.change {
            Change::Rotated { old, at } => Some(Event::Rotated { key, old, at }),
            Change::None | Change::First | Change::Trouble => None,
        };
        Changed { tokens: ChangedTokens::These(tokens), node: seen.left_out_changed, event }
    }

    fn gone(&mut self, key: &TokenKey) -> Changed {
        let (tracked, left_out_changed) = self.tokens.remove(key);
        Changed {
            tokens: ChangedTokens::These(Vec::new()),
            node: left_out_changed,
            event: tracked.map(Event::Gone),
        }
    }

    fn measured(&mut self, round: Round) -> Changed {
        self.clock.round(&round);
        self.startup.clock_answered();
        Changed { event: Some(Event::Measured(round)), ..Changed::node() }
    }

    /// What changed about a pod may change the judgement on its tokens.
    fn pods(&mut self, now: &Reading, seen: ClusterSeen) -> Changed {
        let answered = !matches!(seen, ClusterSeen::Unreachable { .. });
        let first = answered && self.startup.cluster_answered();
        let changed = self.cluster.see(seen, now);
        self.forget_pods();
        let keys = self.tokens.keys_of(|tracked| changed.contains(&tracked.key.pod_uid));
        Changed::node().with(if first { ChangedTokens::All } else { ChangedTokens::These(keys) })
    }

    /// A pod that the API server does not know any more is known here while a token of it exists.
    pub(crate) fn forget_pods(&mut self) {
        let tokens = &self.tokens;
        self.cluster.keep(|uid| tokens.has_pod(uid));
    }

    /// The state of a service account may be the reason that its tokens are not replaced.
    fn account(&mut self, now: &Reading, seen: AccountSeen) -> Changed {
        let account = seen.account.clone();
        let is_of = |generation: &Generation| AccountName::of(&generation.claims) == account;
        let keys = if self.accounts.see(seen, now) {
            self.tokens.keys_of(|tracked| tracked.current.as_ref().is_some_and(is_of))
        } else {
            Vec::new()
        };
        Changed::node().with(ChangedTokens::These(keys))
    }

    /// Everything that the judgement on one token rests on; nothing if it is not followed.
    pub fn facts<'a>(
        &'a self,
        key: &TokenKey,
        now: &Reading,
        clock: &'a Estimate,
    ) -> Option<Facts<'a>> {
        let tracked = self.tokens.get(key)?;
        let known = self.cluster.known(&key.pod_uid, now);
        let mut facts = Facts {
            tracked,
            known,
            lost: None,
            clock,
            catching_up: self.kubelet.catching_up(now),
            settle: self.settle,
        };
        facts.lost = facts.account().and_then(|_| {
            let generation = tracked.current.as_ref()?;
            self.accounts.loss(&generation.claims, &generation.seen, now)
        });
        Some(facts)
    }

    /// Whether the agent would know this token if it were there.
    pub fn would_see(&self, key: &TokenKey) -> bool {
        self.visibility.covers(key) && !self.tokens.is_left_out(key)
    }

    /// What the agent cannot see, tokens that it does not follow among it.
    pub fn blind_spots(&self) -> Vec<BlindSpot> {
        let left_out = self.tokens.left_out().map(|(first, count)| left_out(first, count));
        self.visibility.blind().iter().cloned().chain(left_out).collect()
    }

    /// The cluster in figures; nothing if the API server never answered.
    pub fn cluster_figures(&self, now: &Reading) -> Option<ClusterFigures> {
        self.cluster.age(now).map(|age| ClusterFigures { pods: self.cluster.len(), age })
    }
}

/// Tokens that the agent does not follow, as a blind spot. The first stands for all.
fn left_out(first: &TokenKey, count: usize) -> BlindSpot {
    BlindSpot {
        pod_uid: first.pod_uid.clone(),
        volume: first.volume.clone(),
        directory: String::new(),
        reason: format!(
            "this node has more than {MOST_TOKENS} tokens, and the agent does not follow {count} \
             of them"
        ),
    }
}

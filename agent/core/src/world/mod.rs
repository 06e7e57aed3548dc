//! The observed state of the node: tokens, clock, cluster, kubelet, and what the agent can see. It
//! knows neither findings nor spans.

mod absent;
mod asked;
mod audiences;
pub mod clocks;
pub mod cluster;
mod config;
pub mod copies;
mod crowded;
mod delivery;
mod expected;
mod facts;
mod fair;
pub mod keys;
pub mod kubelet;
mod legacy;
pub mod observation;
mod pinned;
pub mod privileges;
mod query;
pub mod readers;
mod reading;
pub mod refusals;
mod startup;
pub mod tokens;
mod visibility;
mod watched;

pub use absent::{Absent, AbsentFacts, AbsentTokens, PodLife};
pub use audiences::{Misfit, MisfitKind};
pub use config::Config;
pub use crowded::{Crowded, Unknown};
pub use expected::Learned;
pub use facts::{AheadClock, Facts, KubeletFacts, VerifierFacts};
pub use pinned::{PinEnd, Pinned};
pub use query::Query;
pub use reading::{Conclusions, Judged};
pub use startup::Startup;
pub use visibility::{ClusterFigures, DECIDING, REPORTED_AFTER, Visibility};

use crate::base::shares::Tenant;
use crate::base::time::{Delta, Reading, Wall};
use clocks::{ClockFacts, ClockModel, Round};
use cluster::{Accounts, Cluster, ClusterSeen};
use copies::Copies;
use kubelet::Kubelet;
use observation::{FileContent, FileSeen, Observation, SourceState};
use readers::Readers;
use tokens::{Change, Generation, TokenKey, Tokens, Tracked};

/// The state of the node, as far as the sources have observed it.
#[derive(Clone, Debug)]
pub struct World {
    /// The token files.
    pub tokens: Tokens,
    /// The tokens that should be there and are not.
    pub absent: AbsentTokens,
    /// The node's clock.
    pub clock: ClockModel,
    /// The node's pods.
    pub cluster: Cluster,
    /// The service accounts that the agent requested.
    pub accounts: Accounts,
    /// The files on the host that hold copies of tokens.
    pub copies: Copies,
    /// Who reads the tokens.
    pub readers: Readers,
    /// The node's kubelet.
    pub kubelet: Kubelet,
    /// What the agent can see.
    pub visibility: Visibility,
    /// Which sources have answered since the start.
    pub startup: Startup,
}

/// What an observation changed: the diagnoses that may differ now, and an event.
#[must_use]
#[derive(Debug)]
pub struct Changed {
    /// The tokens whose diagnosis may differ.
    pub tokens: ChangedTokens,
    /// Whether the diagnosis of the node itself may differ.
    pub node: bool,
    /// Whether a count in it may: that can wait for more of the kind.
    pub counted: bool,
    /// The event that the observation brought, if any.
    pub event: Option<Event>,
    /// The tokens that the agent tracks no more, because their pods have more than their share.
    pub evicted: Vec<Tracked>,
    /// The absent tokens of which it keeps nothing, for the same reason.
    pub left_out: Vec<TokenKey>,
}

/// A set of tokens.
#[derive(Debug, PartialEq, Eq)]
pub enum ChangedTokens {
    /// These tokens; may be empty.
    These(Vec<TokenKey>),
    /// Every token of the node.
    All,
}

/// Something that ended, and that the new state does not show.
#[derive(Debug)]
pub enum Event {
    /// A generation was replaced by the next one.
    Rotated {
        /// The token.
        key: TokenKey,
        /// The generation that was replaced.
        old: Box<Generation>,
        /// When, on the node's clock.
        at: Wall,
    },
    /// A token file no longer exists.
    Gone(Box<Tracked>),
    /// A clock measurement ended.
    Measured(Round),
}

impl Changed {
    /// A change that concerns the node alone.
    fn node() -> Self {
        Self { node: true, ..Self::of(Vec::new()) }
    }

    /// A change that concerns these tokens alone.
    fn of(tokens: Vec<TokenKey>) -> Self {
        let tokens = ChangedTokens::These(tokens);
        let (evicted, left_out) = (Vec::new(), Vec::new());
        Self { tokens, node: false, counted: false, event: None, evicted, left_out }
    }

    fn with(self, tokens: ChangedTokens) -> Self {
        Self { tokens, ..self }
    }
}

impl World {
    /// The state before the first observation.
    pub fn new(config: &Config) -> Self {
        Self {
            tokens: Tokens::default(),
            absent: AbsentTokens::default(),
            clock: ClockModel::new(config.clock.clone()),
            cluster: Cluster::of(config),
            accounts: Accounts::new(config.jitter_seed),
            copies: Copies::new(&config.node),
            readers: Readers::default(),
            kubelet: Kubelet::new(config.kubelet),
            visibility: Visibility::default(),
            startup: Startup::new(config),
        }
    }

    /// Takes one observation, made at `now`.
    pub fn learn(&mut self, now: &Reading, observation: Observation) -> Changed {
        self.startup.begin(now);
        self.cluster.keys.begin(now);
        self.readers.refusals.begin(now);
        self.readers.refusals.settle(now);
        match observation {
            Observation::File(seen) => return self.file(now, seen),
            Observation::Gone(key) => return self.gone(now, &key),
            Observation::LeftOut(key) => return self.not_followed(&key),
            Observation::WithoutTokens(pods) => return self.bare(pods),
            Observation::Held(keys) => return self.held_before(&keys),
            Observation::NtpRound(round) => return self.measured(round),
            Observation::ClockStep(step) => {
                self.clock.step(&step);
                self.kubelet.clock_stepped(&step);
                return Changed::node().with(ChangedTokens::All);
            }
            Observation::Cluster(seen) => return self.pods(now, seen),
            Observation::ServiceAccount(seen) => return self.account(now, seen),
            Observation::Keys(seen) => return self.published(now, seen),
            Observation::Copies(seen) => return self.copied(now, seen),
            Observation::ServerLog(seen) => return self.server_log(now, seen),
            Observation::PodsAtAddress(seen) => return self.pods_at(now, seen),
            Observation::Readers(seen) => return self.read(now, &seen),
            Observation::Syncs(seen) => return self.synced(now, seen),
            Observation::KubeletErrors(errors) => return self.kubelet_errors(now, errors),
            Observation::KubeletMetrics(seen) => return self.kubelet_metrics_seen(now, &seen),
            Observation::Habits(known) => {
                self.readers.habits.learn_all(known);
                return Changed::of(Vec::new());
            }
            Observation::Containers(seen) => {
                return Changed::of(self.readers.containers(seen, now));
            }
            Observation::Blind(spots) => {
                self.visibility.hidden(spots);
                return self.visibility_changed();
            }
            Observation::Unwatched(seen) => self.visibility.unwatched_by(seen),
            Observation::Source(state) => return self.source(state),
            Observation::Standstill(seen) => {
                let are_files = seen.is_of_files();
                self.visibility.stands(seen, now);
                let none = ChangedTokens::These(Vec::new());
                return Changed::node().with(if are_files { ChangedTokens::All } else { none });
            }
            Observation::Privileges(privileges) => self.visibility.granted(privileges),
            Observation::Kernel(kernel) => self.clock.kernel(&kernel),
            Observation::ApiServerDate(seen) => {
                let truth = ClockFacts::new(&self.clock, &seen.received).truth();
                // It was set, or another API server answers: one round of answers shows its clock.
                if self.cluster.verifiers.see(&seen, truth) {
                    self.cluster.keys.ask_soon(now);
                }
            }
            Observation::Legacy(all) => self.tokens.set_legacy(all),
            Observation::ControllerLease(lease) => self.cluster.controller.see(lease, now),
            Observation::Delivery(state) => self.visibility.delivery = state,
            Observation::Tick => {}
        }
        Changed::node()
    }

    /// Takes the state of a source. The source of files reports first after its first full scan.
    fn source(&mut self, state: SourceState) -> Changed {
        if state.is_of_copies() {
            self.copies.scanned();
        }
        let scanned = state.is_of_files() && self.startup.files_scanned();
        self.visibility.source(state);
        if scanned { Changed::node().with(ChangedTokens::All) } else { self.visibility_changed() }
    }

    fn file(&mut self, now: &Reading, seen: FileSeen) -> Changed {
        if let FileContent::Missing(absence) = seen.content {
            return self.missing(now, seen.key, absence);
        }
        if matches!(seen.content, FileContent::Malformed { .. }) {
            self.hold(&seen.key);
        }
        let (key, directory) = (seen.key.clone(), seen.directory.clone());
        let was_absent = self.appeared(&key);
        let long_life = self.long_life(&key);
        let namespace = self.namespace_of(&key.pod_uid);
        let tenant = Tenant { namespace, pod: Some(key.pod_uid.clone()) };
        let seen = self.tokens.see(seen, &tenant, now, self.kubelet.policy());
        if matches!(seen.change, Change::Rotated { .. }) {
            self.kubelet.syncs.replaced(&key, now);
        }
        if let Some(token) = self.tokens.get(&key) {
            self.cluster.has_token(token);
            let generation = token.current.iter();
            generation.for_each(|of| self.readers.generation(&key, of, directory.as_deref()));
        }
        let is_other_clock = self.issued(&key, &seen.change, now);
        let is_other_life = long_life != self.long_life(&key);
        let tokens = self.changed(&key, &seen.change);
        self.copies.pod(&key.pod_uid, true, now);
        let event = match seen.change {
            Change::Rotated { old, at } => Some(Event::Rotated { key, old, at }),
            Change::None | Change::First | Change::Trouble => None,
        };
        let has_answers = self.copies.has_any() || self.cluster.keys.has_answers();
        let concerns = !tokens.is_empty() && has_answers;
        self.want_keys(tokens.iter(), now);
        let node =
            seen.left_out_changed || was_absent || concerns || is_other_life || is_other_clock;
        let (counted, evicted) = (seen.left_out_counted, seen.evicted);
        Changed { node, counted, event, evicted, ..Changed::of(tokens) }
    }

    /// Takes the issue time of a new token. Returns whether the diagnosis of the API server's clock
    /// may differ.
    fn issued(&mut self, key: &TokenKey, change: &Change, now: &Reading) -> bool {
        let is_new = matches!(change, Change::Rotated { .. });
        let token = self.tokens.get(key).and_then(|token| token.current.as_ref());
        let issued_at = token.filter(|_| is_new).map(|token| token.claims.issued_at);
        issued_at.is_some_and(|at| self.cluster.issued.see(at, now))
    }

    /// How long somebody asked this token to live, if that is unusually long.
    fn long_life(&self, key: &TokenKey) -> Option<Delta> {
        self.tokens.get(key)?.long_life()
    }

    /// The tokens whose diagnosis a change of this one may change: a rotation shows that kubelet
    /// syncs the volume.
    fn changed(&self, key: &TokenKey, change: &Change) -> Vec<TokenKey> {
        let is_of_volume =
            |other: &Tracked| other.key.pod_uid == key.pod_uid && other.key.volume == key.volume;
        match change {
            Change::None => Vec::new(),
            Change::Rotated { .. } => self.tokens.keys_of(is_of_volume),
            Change::First | Change::Trouble => vec![key.clone()],
        }
    }

    fn measured(&mut self, round: Round) -> Changed {
        self.clock.round(&round);
        self.startup.clock_answered();
        Changed { event: Some(Event::Measured(round)), ..Changed::node() }
    }

    /// Takes a report about pods. A change of a pod may change the diagnosis of its tokens.
    fn pods(&mut self, now: &Reading, seen: ClusterSeen) -> Changed {
        let answered = !matches!(seen, ClusterSeen::Unreachable { .. });
        self.cluster.keys.reached(answered, now);
        let first = answered && self.startup.cluster_answered();
        if first {
            self.accounts.begin(now);
        }
        let changed = self.cluster.see(seen, now);
        self.absent.expected.pods_reported();
        self.forget_pods();
        self.tokens.iter().for_each(|token| self.cluster.has_token(token));
        let mut keys = self.tokens.keys_of(|tracked| changed.contains(&tracked.key.pod_uid));
        let (absent, left_out) = self.compare(now, &changed);
        keys.extend(absent);
        let tokens = if first { ChangedTokens::All } else { ChangedTokens::These(keys) };
        Changed { left_out, ..Changed::node().with(tokens) }
    }

    /// Forgets who read a token that is gone, and its pod if nothing of that is left. The trace of
    /// the token still needed both.
    pub(crate) fn forget(&mut self, key: &TokenKey) {
        self.readers.gone(key);
        let is_of_volume =
            |other: &TokenKey| other.pod_uid == key.pod_uid && other.volume == key.volume;
        if !self.tokens.iter().any(|tracked| is_of_volume(&tracked.key)) {
            self.kubelet.syncs.gone(key);
        }
        self.forget_pods();
    }

    /// Removes the pods that no longer exist at the API server and have no token left on the node.
    pub(crate) fn forget_pods(&mut self) {
        let tokens = &self.tokens;
        self.cluster.retain_gone(|uid| tokens.has_pod(uid));
    }

    /// Whether the agent would track this token if the file existed.
    pub fn would_see(&self, key: &TokenKey) -> bool {
        self.visibility.covers(key) && !self.tokens.is_left_out(key)
    }

    /// The number of pods and the age of the data; nothing if the API server never answered.
    pub fn cluster_figures(&self, now: &Reading) -> Option<ClusterFigures> {
        self.cluster.age(now).map(|age| ClusterFigures { pods: self.cluster.len(), age })
    }
}

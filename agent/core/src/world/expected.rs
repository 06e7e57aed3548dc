//! Where a token should be: at the paths that held one, and at those that the specs of pods have.

use std::collections::BTreeSet;

use super::fair::Fair;
use super::{Changed, World};
use crate::base::shares::in_turn;
use crate::base::time::Reading;
use crate::world::cluster::{Phase, Pod, PodStage};
use crate::world::readers::KnownHabit;
use crate::world::tokens::{MAX_TOKENS, TokenKey, Tracked};

/// No more of these than are tracked: the first of each pod, then the second of each.
fn in_turn_of_pods<'a>(keys: impl IntoIterator<Item = &'a TokenKey>) -> Vec<&'a TokenKey> {
    let mut all = in_turn(keys, |key| ((), Some(key.pod_uid.as_str())));
    all.truncate(MAX_TOKENS);
    all
}

/// The expected tokens.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// Those that an earlier agent saw, and those that were good or broken and are not known as
    /// tokens now, until their volumes are gone.
    held: Fair<TokenKey, ()>,
    /// Those for which the source of token files was asked last.
    asked: BTreeSet<TokenKey>,
    /// Whether pods were reported since.
    is_new: bool,
}

/// What the next agent on this node should know, beside the findings.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// Habits of readers.
    pub habits: Vec<KnownHabit>,
    /// Paths that hold a token, or held one and still should.
    pub held: Vec<TokenKey>,
}

impl Expected {
    /// Pods were reported.
    pub(super) fn pods_reported(&mut self) {
        self.is_new = true;
    }

    /// The file at `key` is gone with its volume.
    pub(super) fn gone(&mut self, key: &TokenKey) {
        self.held.remove(key);
    }
}

impl Default for Expected {
    fn default() -> Self {
        Self { held: Fair::of(MAX_TOKENS), asked: BTreeSet::new(), is_new: false }
    }
}

impl World {
    /// A token is at `key`, or was until now, and need not stay known as one. What has to make room
    /// for that is forgotten.
    pub(super) fn hold(&mut self, key: &TokenKey) {
        let namespace = self.namespace_of(&key.pod_uid);
        let _ = self.absent.expected.held.insert(namespace, key, ());
    }

    /// Takes the paths that held a token when an earlier agent saw them.
    pub(super) fn held_before(&mut self, keys: &[TokenKey]) -> Changed {
        for key in keys {
            self.hold(key);
        }
        Changed::of(Vec::new())
    }

    /// What the next agent on this node should know.
    pub(crate) fn learned(&self) -> Learned {
        let habits = self.readers.habits.iter().cloned().collect();
        Learned { habits, held: self.held().into_iter().cloned().collect() }
    }

    /// The first of each pod before the second of any: a reader or writer that has no room for all
    /// leaves out the last.
    fn held(&self) -> Vec<&TokenKey> {
        let is_token = |tracked: &&Tracked| tracked.current.is_some();
        let tokens = self.tokens.iter().filter(is_token).map(|tracked| &tracked.key);
        let others = self.absent.expected.held.keys().filter(|key| !self.is_gone(key));
        let all: BTreeSet<&TokenKey> = others.chain(tokens).collect();
        in_turn_of_pods(all)
    }

    /// After a report about pods: the paths at which they should have a token by their specs and
    /// none is known, if some of them are new. The source of token files has to look what is there
    /// instead.
    pub(crate) fn take_expected(&mut self, now: &Reading) -> Option<BTreeSet<TokenKey>> {
        if !std::mem::take(&mut self.absent.expected.is_new) {
            return None;
        }
        let expected = self.lacking(now);
        let is_new = !expected.is_subset(&self.absent.expected.asked);
        is_new.then(|| {
            self.absent.expected.asked.clone_from(&expected);
            expected
        })
    }

    /// The same, for a caller that looks only once.
    pub(crate) fn lacking(&self, now: &Reading) -> BTreeSet<TokenKey> {
        let pods = self.cluster.pods().filter(|pod| self.may_run(pod, now));
        let needed: BTreeSet<TokenKey> = pods.flat_map(Pod::needed).collect();
        let is_lacking = |key: &TokenKey| {
            let token = self.tokens.get(key).and_then(|tracked| tracked.current.as_ref());
            token.is_none() && !self.tokens.is_left_out(key)
        };
        in_turn_of_pods(needed.iter().filter(|key| is_lacking(key))).into_iter().cloned().collect()
    }

    /// Whether containers of the pod run, or will.
    fn may_run(&self, pod: &Pod, now: &Reading) -> bool {
        let is_active = self.cluster.stage(&pod.uid, None, now) == PodStage::Active;
        is_active && !matches!(pod.phase, Phase::Succeeded | Phase::Failed)
    }
}

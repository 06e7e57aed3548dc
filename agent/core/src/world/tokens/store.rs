//! The token files that the agent tracks, and those beyond the limit that it leaves out.

use std::collections::BTreeMap;

use super::{Change, Generation, KubeletPolicy, LeftOut, LegacyToken, MAX_LEGACY};
use super::{FileContent, FileSeen, Signature, SignatureResult, TokenKey, Tracked};
use crate::base::shares::{Shares, Tenant};
use crate::base::time::{Reading, Wall};

/// Most tokens that the agent tracks: twice those of a full node (250 pods with four tokens each).
/// A limit is needed because a pod can project any number of files that look like tokens.
pub const MAX_TOKENS: usize = 2_048;
/// What each token takes of the room at least, in bytes: one of kubelet, with long names, takes
/// some 1 kB. A file that is made for that takes up to 50 kB.
const LEAST_COST: usize = 2 << 10;

/// The token files of this node.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Boxed: a B-tree that was filled in order is half empty, and a `Tracked` is large.
    tracked: BTreeMap<TokenKey, Box<Tracked>>,
    /// What each pod takes of the room, in bytes.
    shares: Shares,
    /// Tokens beyond the limit.
    left_out: LeftOut,
    /// The generations that were found damaged before a restart, until the keys are known again.
    damaged: BTreeMap<TokenKey, (String, Signature)>,
    /// The Secret-based tokens that pods mount.
    pub legacy: Vec<LegacyToken>,
}

/// The result of one observation of a file.
#[derive(Debug)]
pub(crate) struct Seen {
    /// What changed about the token.
    pub(crate) change: Change,
    /// The tokens that are tracked no more, because their pods have more than their share. The one
    /// that was observed may be among them.
    pub(crate) evicted: Vec<Tracked>,
    /// Whether there are other pods of which tokens are left out.
    pub(crate) left_out_changed: bool,
    /// Whether more or fewer tokens are left out.
    pub(crate) left_out_counted: bool,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            tracked: BTreeMap::new(),
            shares: Shares::of(MAX_TOKENS * LEAST_COST),
            left_out: LeftOut::default(),
            damaged: BTreeMap::new(),
            legacy: Vec::new(),
        }
    }
}

impl Tokens {
    /// Takes the observed content of a file of this pod.
    pub(crate) fn see(
        &mut self,
        seen: FileSeen,
        tenant: &Tenant,
        now: &Reading,
        kubelet: KubeletPolicy,
    ) -> Seen {
        let seen = self.with_restored(seen);
        let key = seen.key.clone();
        let was_left_out = self.left_out.contains(&key);
        let outline = self.left_out.outline();
        let is_new = !self.tracked.contains_key(&key);
        let tracked =
            self.tracked.entry(key).or_insert_with_key(|key| Box::new(Tracked::new(key.clone())));
        let before = if is_new { 0 } else { cost(tracked) };
        let change = tracked.see(seen, now, kubelet);
        let (key, after) = (tracked.key.clone(), cost(tracked));
        self.shares.take(&tenant.pod, before);
        self.shares.add(tenant, after);
        let evicted = self.make_room(&key);
        let is_out = evicted.iter().any(|evicted| evicted.key == key);
        if is_out && is_new {
            // As if it had not been seen.
            let others: Vec<_> = evicted.into_iter().filter(|other| other.key != key).collect();
            let left_out_counted = !was_left_out || !others.is_empty();
            let left_out_changed = outline != self.left_out.outline();
            let change = Change::None;
            return Seen { change, evicted: others, left_out_changed, left_out_counted };
        }
        let left_out_counted = (!is_out && self.left_out.remove(&key)) || !evicted.is_empty();
        let left_out_changed = outline != self.left_out.outline();
        Seen { change, evicted, left_out_changed, left_out_counted }
    }

    /// Tracks no more what is too much: the last tokens of the pod that takes most of the room, the
    /// observed one first.
    fn make_room(&mut self, observed: &TokenKey) -> Vec<Tracked> {
        let mut evicted = Vec::new();
        while self.shares.is_full()
            && let Some(loser) = self.shares.loser().cloned().flatten()
            && let Some(key) = self.last_of(&loser, observed)
        {
            self.left_out.insert(&key);
            evicted.extend(self.take(&key).map(|tracked| *tracked));
        }
        evicted
    }

    fn last_of(&self, pod_uid: &str, observed: &TokenKey) -> Option<TokenKey> {
        if observed.pod_uid == pod_uid && self.tracked.contains_key(observed) {
            return Some(observed.clone());
        }
        let first =
            TokenKey { pod_uid: pod_uid.to_owned(), volume: String::new(), path: String::new() };
        let of_pod = self.tracked.range(first..).take_while(|(key, _)| key.pod_uid == pod_uid);
        of_pod.last().map(|(key, _)| key.clone())
    }

    fn take(&mut self, key: &TokenKey) -> Option<Box<Tracked>> {
        let tracked = self.tracked.remove(key)?;
        self.shares.take(&Some(key.pod_uid.clone()), cost(&tracked));
        Some(tracked)
    }

    /// A generation was found damaged before a restart. That stays true, and without keys the agent
    /// cannot find it again. The restart, at `at`, stands for the time of the keys.
    pub(crate) fn restore_damaged(&mut self, key: TokenKey, generation: String, at: Wall) {
        let signature = Signature { result: SignatureResult::Damaged, keys_at: at };
        self.damaged.insert(key, (generation, signature));
    }

    /// With what is known of its signature from before a restart, if it was not checked since.
    fn with_restored(&mut self, seen: FileSeen) -> FileSeen {
        let FileContent::Token(claims) = &seen.content else { return seen };
        if seen.signature.is_some() {
            self.damaged.remove(&seen.key);
            return seen;
        }
        let known = self.damaged.get(&seen.key);
        let known = known.filter(|(generation, _)| claims.generation().as_str() == generation);
        FileSeen { signature: known.map(|(_, signature)| *signature), ..seen }
    }

    /// Takes the complete list of Secret-based tokens.
    pub(crate) fn set_legacy(&mut self, mut all: Vec<LegacyToken>) {
        all.truncate(MAX_LEGACY);
        self.legacy = all;
    }

    /// Removes a file that no longer exists. Returns it, and whether the set of left out tokens
    /// changed. A token that was left out stays so until its file changes, even if there is room.
    pub(crate) fn remove(&mut self, key: &TokenKey) -> (Option<Box<Tracked>>, bool) {
        let left_out_changed = self.left_out.remove(key);
        (self.take(key), left_out_changed)
    }

    /// The token at `key`.
    pub fn get(&self, key: &TokenKey) -> Option<&Tracked> {
        self.tracked.get(key).map(Box::as_ref)
    }

    /// Every tracked token, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = &Tracked> {
        self.tracked.values().map(Box::as_ref)
    }

    /// The generation in each file, where one could be read.
    pub fn generations(&self) -> impl Iterator<Item = &Generation> {
        self.iter().filter_map(|tracked| tracked.current.as_ref())
    }

    /// The keys of the tokens that `wanted` selects.
    pub(crate) fn keys_of(&self, wanted: impl Fn(&Tracked) -> bool) -> Vec<TokenKey> {
        self.iter().filter(|tracked| wanted(tracked)).map(|tracked| tracked.key.clone()).collect()
    }

    /// Whether a token of this pod is tracked.
    pub(crate) fn has_pod(&self, uid: &str) -> bool {
        self.iter().any(|tracked| tracked.key.pod_uid == uid)
    }

    /// Whether this token is beyond the limit.
    pub fn is_left_out(&self, key: &TokenKey) -> bool {
        self.left_out.contains(key)
    }

    /// The tokens beyond the limit.
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }
}

/// What a token takes of the room, in bytes.
fn cost(tracked: &Tracked) -> usize {
    tracked.bytes().max(LEAST_COST)
}

//! The token files that the agent tracks, and those beyond the limit that it leaves out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Generation, KubeletPolicy, LegacyToken, MAX_LEGACY, TokenKey, Tracked};
use super::{FileContent, FileSeen, Signature, SignatureResult};
use crate::base::time::{Reading, Wall};

/// Most tokens that the agent tracks: twice those of a full node (250 pods with four tokens each).
/// A limit is needed because a pod can project any number of files that look like tokens. A file
/// made for that takes up to 7 kB here, and twice as much while the status page is rendered.
pub const MAX_TOKENS: usize = 2_048;

/// The token files of this node.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// Boxed: a B-tree that was filled in order is half empty, and a `Tracked` is large.
    tracked: BTreeMap<TokenKey, Box<Tracked>>,
    /// Tokens beyond the limit: at most [`MAX_TOKENS`] keys.
    left_out: BTreeSet<TokenKey>,
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
    /// Whether the set of tokens that are left out changed.
    pub(crate) left_out_changed: bool,
}

impl Tokens {
    /// Takes the observed content of a file.
    pub(crate) fn see(&mut self, seen: FileSeen, now: &Reading, kubelet: KubeletPolicy) -> Seen {
        let seen = self.with_restored(seen);
        let key = seen.key.clone();
        if self.tracked.len() >= MAX_TOKENS && !self.tracked.contains_key(&key) {
            let left_out_changed = self.left_out.len() < MAX_TOKENS && self.left_out.insert(key);
            return Seen { change: Change::None, left_out_changed };
        }
        let left_out_changed = self.left_out.remove(&key);
        let tracked =
            self.tracked.entry(key).or_insert_with_key(|key| Box::new(Tracked::new(key.clone())));
        Seen { change: tracked.see(seen, now, kubelet), left_out_changed }
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
        (self.tracked.remove(key), left_out_changed)
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

    /// The first of the tokens that are left out, and how many there are.
    pub fn left_out(&self) -> Option<(&TokenKey, usize)> {
        self.left_out.first().map(|key| (key, self.left_out.len()))
    }
}

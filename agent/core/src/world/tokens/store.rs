//! Every token file that is followed on this node, and those that are left out for want of room.

use std::collections::{BTreeMap, BTreeSet};

use super::FileSeen;
use super::{Change, Generation, KubeletPolicy, TokenKey, Tracked};
use crate::base::time::Reading;

/// Tokens that are followed: twice what a full node (250 pods) has where each pod has four. A pod
/// can project as many files that look like tokens as it likes. Each takes up to 7 kB here if it
/// was made for that, and twice as much while a status page is rendered.
pub const MOST_TOKENS: usize = 2_048;

/// The token files of this node.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// Boxed, because half of a map's room is empty when it was filled in order.
    followed: BTreeMap<TokenKey, Box<Tracked>>,
    /// At most as many as are followed.
    left_out: BTreeSet<TokenKey>,
}

/// What a look at a file brought.
#[derive(Debug)]
pub(crate) struct Seen {
    /// About the token.
    pub(crate) change: Change,
    /// Whether the set of left out tokens changed.
    pub(crate) left_out_changed: bool,
}

impl Tokens {
    /// Takes what was found in a file.
    pub(crate) fn see(&mut self, seen: FileSeen, now: &Reading, kubelet: KubeletPolicy) -> Seen {
        let key = seen.key.clone();
        if self.followed.len() >= MOST_TOKENS && !self.followed.contains_key(&key) {
            let left_out_changed = self.left_out.len() < MOST_TOKENS && self.left_out.insert(key);
            return Seen { change: Change::None, left_out_changed };
        }
        let left_out_changed = self.left_out.remove(&key);
        let tracked =
            self.followed.entry(key).or_insert_with_key(|key| Box::new(Tracked::new(key.clone())));
        Seen { change: tracked.see(seen, now, kubelet), left_out_changed }
    }

    /// Forgets a file that is gone. What was left out stays so until its file changes, even where
    /// this makes room for it.
    pub(crate) fn remove(&mut self, key: &TokenKey) -> (Option<Box<Tracked>>, bool) {
        let left_out_changed = self.left_out.remove(key);
        (self.followed.remove(key), left_out_changed)
    }

    /// The token at `key`.
    pub fn get(&self, key: &TokenKey) -> Option<&Tracked> {
        self.followed.get(key).map(Box::as_ref)
    }

    /// Every token that is followed, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Tracked> {
        self.followed.values().map(Box::as_ref)
    }

    /// Every generation that is in a file now.
    pub fn generations(&self) -> impl Iterator<Item = &Generation> {
        self.iter().filter_map(|tracked| tracked.current.as_ref())
    }

    /// The keys of those that `wanted` picks.
    pub(crate) fn keys_of(&self, wanted: impl Fn(&Tracked) -> bool) -> Vec<TokenKey> {
        self.iter().filter(|tracked| wanted(tracked)).map(|tracked| tracked.key.clone()).collect()
    }

    /// Whether a token of this pod is followed.
    pub(crate) fn has_pod(&self, uid: &str) -> bool {
        self.iter().any(|tracked| tracked.key.pod_uid == uid)
    }

    /// Whether this token is left out.
    pub fn is_left_out(&self, key: &TokenKey) -> bool {
        self.left_out.contains(key)
    }

    /// The first of the tokens that are left out, and how many there are.
    pub fn left_out(&self) -> Option<(&TokenKey, usize)> {
        self.left_out.first().map(|key| (key, self.left_out.len()))
    }
}

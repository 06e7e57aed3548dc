//! Which tokens kubelets have requested, of any node: a request with the same pod, audiences and
//! lifetime replaces the token before. The audit log has that from level Request on; at level
//! Metadata it has no pod, and proves nothing.
//!
//! kubelet may get two tokens for one request: two volumes that ask for the same at once, or a
//! restart, after which it asks again for all. Which of them it wrote is not known. So a token
//! replaces only those that are older than [`APART`].

use std::collections::BTreeMap;

use super::{AcceptedAccount, IssuedToken};
use crate::base::ids::stable_id;
use crate::base::time::{Delta, Monotonic, Wall};
use crate::world::tokens::GenerationId;

/// Tokens that are issued within this time do not replace each other: kubelet replaces the
/// shortest-lived token (600 s) after 470 s, and a volume has the newest token one sync (90 s)
/// after it was requested.
const APART: Delta = Delta::from_secs(300);
/// Time from the request of a new token to a use of the old one that shows a stale reader: kubelet
/// writes the token, at the latest, with its next sync (90 s), and the slowest of the common
/// libraries reads again after ten minutes (`readers`, as for rotations of this node).
pub(super) const GRACE: Delta = Delta::from_secs(750);
/// Most kinds of tokens that are kept, at some 500 bytes: most pods have one, by its audiences and
/// its lifetime. With more, a part of the pods is followed: see [`IssuedTokens::share`].
const MAX_KINDS: usize = 8_192;
/// Tokens that are kept of one kind: two that are current, and one before them.
const MAX_TOKENS: usize = 4;
/// A kind is forgotten so long after the end of its last token: the pod is gone, or its kubelet
/// is cut off, which its own agent reports.
const LEFT: Delta = Delta::from_secs(900);
/// Longest time that kubelet keeps a token (maxTTL in token_manager.go).
const LONGEST: Delta = Delta::from_secs(24 * 3_600);

/// The tokens that kubelets have requested.
#[derive(Clone, Debug, Default)]
pub(super) struct IssuedTokens {
    /// By the UID of the pod, and the hash of audiences and lifetime.
    kinds: BTreeMap<(String, String), TokenKind>,
    /// One of 2^share pods is followed, chosen by the hash of its UID: always the same ones. A part
    /// that is followed for long shows more than all pods for some minutes, because a token is
    /// replaced every 48 minutes. It stays so until the agent starts again.
    share: u32,
}

/// The tokens of one pod with the same audiences and lifetime.
#[derive(Clone, Debug)]
struct TokenKind {
    /// Oldest first.
    tokens: Vec<Issue>,
    ends: Monotonic,
}

#[derive(Clone, Debug)]
struct Issue {
    generation: GenerationId,
    /// By the API server's clock.
    at: Wall,
    seen: Monotonic,
}

impl IssuedTokens {
    /// Takes a token that was issued.
    pub(super) fn see(&mut self, issued: IssuedToken, now: Monotonic) {
        let IssuedToken { pod_uid, request, lifetime, generation, at } = issued;
        let ends = now + lifetime.min(LONGEST) + LEFT;
        let issue = Issue { generation, at, seen: now };
        let key = (pod_uid, request);
        if let Some(kind) = self.kinds.get_mut(&key) {
            return kind.add(issue, ends);
        }
        if self.kinds.len() >= MAX_KINDS {
            self.make_room(now);
        }
        if self.kinds.len() < MAX_KINDS && self.is_followed(&key.0) {
            self.kinds.insert(key, TokenKind { tokens: vec![issue], ends });
        }
    }

    /// Forgets the pods that have ended. If too many are left, half of the pods are followed from
    /// now on.
    fn make_room(&mut self, now: Monotonic) {
        self.kinds.retain(|_, kind| kind.ends > now);
        while self.kinds.len() >= MAX_KINDS / 4 * 3 && self.share < u64::BITS {
            self.share += 1;
            let share = self.share;
            self.kinds.retain(|(uid, _), _| is_followed(uid, share));
        }
    }

    fn is_followed(&self, uid: &str) -> bool {
        is_followed(uid, self.share)
    }

    /// How long ago the token of this user was replaced, if it was, and if that is too long ago for
    /// a client that reads its token again. `at`: when the request was received, by the API
    /// server's clock.
    ///
    /// The time by both clocks counts: the API server's may be set, and the agent may read a log
    /// late.
    pub(super) fn replaced(
        &self,
        user: &AcceptedAccount,
        at: Option<Wall>,
        now: Monotonic,
    ) -> Option<Delta> {
        let (pod, generation, at) = (user.pod.as_ref()?, user.generation.as_ref()?, at?);
        let from = (pod.uid.clone(), String::new());
        let of_pod = self.kinds.range(from..).take_while(|((uid, _), _)| *uid == pod.uid);
        let by =
            of_pod.filter_map(|(_, kind)| kind.replaced_by(generation)).min_by_key(|by| by.at)?;
        let ago = (at - by.at).min(now - by.seen);
        (ago >= GRACE).then_some(ago)
    }
}

/// One of 2^share pods.
fn is_followed(uid: &str, share: u32) -> bool {
    let hash = u64::from_str_radix(&stable_id("tokenwatch/pod/1", &[uid]), 16).unwrap_or_default();
    hash.trailing_zeros() >= share
}

impl TokenKind {
    fn add(&mut self, issue: Issue, ends: Monotonic) {
        let is_known = |known: &Issue| known.generation == issue.generation;
        if self.tokens.iter().any(is_known) {
            return; // a log that is read twice
        }
        self.ends = self.ends.max(ends);
        let place = self.tokens.partition_point(|known| known.at <= issue.at);
        self.tokens.insert(place, issue);
        if self.tokens.len() > MAX_TOKENS {
            self.tokens.remove(0);
        }
    }

    /// The first token that replaced this one.
    fn replaced_by(&self, generation: &GenerationId) -> Option<&Issue> {
        let of = self.tokens.iter().find(|issue| issue.generation == *generation)?;
        // Both clocks: the API server's may have been set between the two.
        let is_later = |issue: &&Issue| issue.at - of.at >= APART && issue.seen - of.seen >= APART;
        self.tokens.iter().find(is_later)
    }
}

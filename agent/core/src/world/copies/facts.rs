//! The facts about one copied token at one moment, as the diagnosis needs them.

use super::keys::CopyKey;
use super::writer::Writers;
use super::{CopiedFile, CopiedToken, Mention, Owner, Plugin};
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::world::World;
use crate::world::cluster::{PodRef, PodStage};
use crate::world::tokens::{Bound, CACHE, Claims, LEEWAY, Replaced, TokenKey, Tracked};

/// Longest time in which a writer replaces a copy after its token was rotated. Those that follow
/// the file need seconds. Tokens that live for an hour have 12 minutes left then.
pub const GRACE: Delta = Delta::from_secs(300);
/// Time in which the plugin's next pod writes the file after the pod of the copy is gone.
const REWRITE: Delta = Delta::from_secs(120);

/// What is known of the pod that a copied token is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundPod {
    /// The token is bound to no pod: a TokenRequest made it.
    None,
    /// The pod exists.
    Exists,
    /// The agent cannot tell: the pod is not on this node, or the agent does not see its files.
    Unknown,
    /// The pod does not exist any more. The API server refuses the token.
    Gone {
        /// From when on the next pod has had time to write the file.
        counts_from: Monotonic,
    },
}

impl BoundPod {
    /// The name in evidence.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Exists => "exists",
            Self::Unknown => "unknown",
            Self::Gone { .. } => "gone",
        }
    }
}

/// Whether something uses a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The settings or a CNI configuration name it, or its plugin runs on the node.
    Used,
    /// Its plugin runs on the node, and no CNI configuration names either.
    Uncertain,
    /// Nothing, as far as the agent can tell.
    Unused,
}

/// The token that a copy was made from, in its pod's volume.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The token.
    pub tracked: &'a Tracked,
    /// Whether the ids of the generations show it, and not only the pod.
    pub is_certain: bool,
    /// When kubelet replaced it, if the copy is of an earlier generation.
    pub replaced: Option<Replaced>,
}

/// One copied token, with everything that affects its diagnosis.
#[derive(Clone, Debug)]
pub struct CopyFacts<'a> {
    /// The file.
    pub file: &'a CopiedFile,
    /// The token in it.
    pub token: &'a CopiedToken,
    /// The node's clocks.
    pub now: Reading,
    /// The API server's time: true time where it is known to differ from the node's clock.
    pub verifier: Wall,
    /// The pod that the token is bound to.
    pub pod: BoundPod,
    /// The token that it was made from.
    pub source: Option<Source<'a>>,
    /// The pod on this node that writes the file, if only one comes into question.
    pub writer: Option<PodRef>,
    /// Whether the plugin, or the pod of the copy, runs on this node.
    pub has_writer: bool,
    /// Whose token it is.
    pub owner: Owner,
    /// What the keys of the API servers show of it.
    pub key: CopyKey,
}

impl<'a> CopyFacts<'a> {
    /// The claims of the copy.
    pub fn claims(&self) -> &'a Claims {
        &self.token.claims
    }

    /// The plugin that writes the file.
    pub fn plugin(&self) -> Option<Plugin> {
        self.file.seen.plugin
    }

    /// When kubelet replaced the token that it was made from, if it is of an earlier generation.
    pub fn replaced(&self) -> Option<Replaced> {
        self.source?.replaced
    }

    /// From when on the API server refuses the copy because of its age, on true time.
    pub fn refused_from(&self) -> Wall {
        self.claims().expires_at + LEEWAY
    }

    /// The lifetime of the copy.
    pub fn lifetime(&self) -> Delta {
        (self.claims().expires_at - self.claims().issued_at).max(Delta::ZERO)
    }

    /// Whether something uses the file, as far as the agent can tell.
    pub fn usage(&self) -> Use {
        let is_used_unnamed = self.plugin().is_none_or(Plugin::is_used_unnamed);
        match (self.file.seen.mention, self.has_writer) {
            (Mention::Configured | Mention::Named, _) | (Mention::Unknown, true) => Use::Used,
            (Mention::OtherNamed | Mention::NotNamed, true) if is_used_unnamed => Use::Used,
            (Mention::NotNamed, true) => Use::Uncertain,
            (Mention::OtherNamed, _) | (Mention::NotNamed | Mention::Unknown, false) => Use::Unused,
        }
    }
}

impl World {
    /// The facts about one copied token.
    pub fn copy_facts<'a>(
        &'a self,
        file: &'a CopiedFile,
        token: &'a CopiedToken,
        now: &Reading,
    ) -> CopyFacts<'a> {
        let estimate = self.clock.estimate(now);
        let verifier = estimate.true_time(now.wall).unwrap_or(now.wall);
        let Writers { one, runs, owner } = self.writers(file.seen.plugin, &token.claims);
        let source = self.source_of(&token.claims);
        let pod = self.bound_pod(file, &token.claims, now, verifier);
        CopyFacts {
            file,
            token,
            now: *now,
            verifier,
            pod,
            source,
            writer: one,
            has_writer: runs || pod == BoundPod::Exists,
            owner,
            key: self.copy_key(file, token),
        }
    }

    /// The token in a pod's volume that a copy was made from: one that has, or had, the same
    /// generation; else one of the same pod for the same audiences.
    fn source_of(&self, claims: &Claims) -> Option<Source<'_>> {
        let Bound::Pod(pod) = claims.binding.bound() else { return None };
        let uid = pod.uid.as_deref()?;
        let of_pod = || self.tokens.iter().filter(|tracked| tracked.key.pod_uid == uid);
        let generation = claims.generation();
        if let Some(tracked) = of_pod().find(|tracked| tracked.had(&generation)) {
            return Some(self.made_from(tracked, true, claims));
        }
        let audiences = |tracked: &&Tracked| {
            tracked.current.as_ref().is_some_and(|now| now.claims.audiences == claims.audiences)
        };
        of_pod().find(audiences).map(|tracked| self.made_from(tracked, false, claims))
    }

    fn made_from<'a>(&self, tracked: &'a Tracked, is_certain: bool, copy: &Claims) -> Source<'a> {
        let replaced = tracked.replaced(copy, self.kubelet.policy());
        Source { tracked, is_certain, replaced }
    }

    /// What is known of the pod that a copied token is bound to.
    fn bound_pod(
        &self,
        file: &CopiedFile,
        claims: &Claims,
        now: &Reading,
        verifier: Wall,
    ) -> BoundPod {
        let Bound::Pod(pod) = claims.binding.bound() else { return BoundPod::None };
        let Some(uid) = pod.uid.as_deref().filter(|uid| self.is_of_this_node(file, claims, uid))
        else {
            return BoundPod::Unknown;
        };
        let gone = || BoundPod::Gone { counts_from: self.counts_gone_from(uid, file) };
        match self.cluster.stage(uid, Some((claims.issued_at, file.since)), now) {
            PodStage::Deleted(_) => gone(),
            PodStage::Terminating { deletion } if verifier > deletion + LEEWAY + CACHE => gone(),
            PodStage::Active | PodStage::Terminating { .. } | PodStage::Ended(_) => {
                BoundPod::Exists
            }
            PodStage::Unknown if self.has_directory(uid) => BoundPod::Exists,
            PodStage::Unknown if self.sees_all_pods(uid) => gone(),
            PodStage::Unknown => BoundPod::Unknown,
        }
    }

    /// The writer has some time from when the pod left the node, or from when the agent first saw
    /// the copy. A caller that looks only once does not wait.
    fn counts_gone_from(&self, uid: &str, file: &CopiedFile) -> Monotonic {
        let since = self.copies.left.get(uid).unwrap_or(&file.since).monotonic;
        if self.startup.settle() == Delta::ZERO { since } else { since + REWRITE }
    }

    /// Whether the pod of a copy is on this node, if it exists. Claims without a node (before
    /// Kubernetes 1.30) count as of this one if they are of the same issuer: plugins copy the
    /// tokens of their node. A file that only the settings name may have a token of anywhere.
    fn is_of_this_node(&self, file: &CopiedFile, claims: &Claims, uid: &str) -> bool {
        let was_here = self.has_directory(uid) || self.copies.saw_leave(uid);
        let is_plugins = file.seen.mention != Mention::Configured || file.seen.plugin.is_some();
        let Some(node) = &claims.binding.node else {
            let mut here = self.tokens.generations();
            let is_of_cluster = is_plugins && here.any(|of| of.claims.issuer == claims.issuer);
            return was_here || is_of_cluster;
        };
        let claimed = |name: &str| {
            let mut nodes =
                self.tokens.generations().filter_map(|of| of.claims.binding.node.as_ref());
            nodes.any(|node| node.name == name)
        };
        node.name == self.copies.node || claimed(&node.name)
    }

    /// Whether the pod `uid` has a directory on this node.
    fn has_directory(&self, uid: &str) -> bool {
        self.tokens.has_pod(uid) || self.absent.has_directory(uid)
    }

    /// Whether the agent would see a directory of the pod `uid` if there were one.
    fn sees_all_pods(&self, uid: &str) -> bool {
        let key = TokenKey { pod_uid: uid.to_owned(), volume: String::new(), path: String::new() };
        let is_scanned = self.startup.is_scanned() || self.startup.settle() == Delta::ZERO;
        is_scanned && self.visibility.covers(&key) && self.tokens.left_out().is_empty()
    }
}

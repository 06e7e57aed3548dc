//! The facts about one copied token at one moment, as the diagnosis needs them.

use super::{CopiedFile, CopiedToken, Mention, Plugin};
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::world::World;
use crate::world::cluster::{PodRef, PodStage};
use crate::world::tokens::{Bound, CACHE, Claims, LEEWAY, TokenKey, Tracked};

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

/// The token that a copy was made from, in its pod's volume.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The token.
    pub tracked: &'a Tracked,
    /// Whether the ids of the generations show it, and not only the pod.
    pub is_certain: bool,
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
    /// A pod on this node that looks like the plugin's own.
    pub writer: Option<PodRef>,
    /// Whether the token was made from the token of a pod that is not the plugin's, while the
    /// plugin has a pod on this node.
    pub is_of_other_pod: bool,
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

    /// From when on the API server refuses the copy because of its age, on true time.
    pub fn refused_from(&self) -> Wall {
        self.claims().expires_at + LEEWAY
    }

    /// The lifetime of the copy.
    pub fn lifetime(&self) -> Delta {
        (self.claims().expires_at - self.claims().issued_at).max(Delta::ZERO)
    }

    /// When kubelet replaced the token that the copy was made from, if it did, and the copy is of
    /// an earlier generation: on the node's clock.
    pub fn replaced_at(&self) -> Option<Wall> {
        let current = self.source?.tracked.current.as_ref()?;
        let claims = &current.claims;
        let is_newer = claims.issued_at > self.claims().issued_at
            && claims.generation() != self.claims().generation();
        is_newer.then(|| current.appeared_at.unwrap_or(claims.issued_at))
    }

    /// Whether the copy is of the generation in the file of its source, or a newer one.
    pub fn is_current(&self) -> bool {
        self.source.is_some() && self.replaced_at().is_none()
    }

    /// Whether something uses the file, as far as the agent can tell.
    pub fn is_in_use(&self) -> bool {
        let has_writer = self.writer.is_some() || self.pod == BoundPod::Exists;
        match self.file.seen.mention {
            Mention::Configured | Mention::Named => true,
            Mention::NotNamed => self.plugin().is_none_or(Plugin::is_used_unnamed) && has_writer,
            Mention::Unknown => has_writer,
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
        let writer = file.seen.plugin.and_then(|plugin| self.writer(plugin));
        CopyFacts {
            file,
            token,
            now: *now,
            verifier,
            pod: self.bound_pod(file, &token.claims, now, verifier),
            source: self.source_of(&token.claims),
            is_of_other_pod: writer.is_some() && is_of_other(file.seen.plugin, &token.claims),
            writer,
        }
    }

    /// A pod on this node whose name or account is the plugin's.
    fn writer(&self, plugin: Plugin) -> Option<PodRef> {
        let mut own = self.tokens.iter().filter(|tracked| {
            let claims = tracked.current.as_ref().map(|current| &current.claims);
            claims.is_some_and(|claims| is_of_plugin(plugin, claims))
        });
        own.next().map(|tracked| PodRef::of(tracked, self.cluster.pod(&tracked.key.pod_uid)))
    }

    /// The token in a pod's volume that a copy was made from: one that has, or had, the same
    /// generation; else one of the same pod for the same audiences.
    fn source_of(&self, claims: &Claims) -> Option<Source<'_>> {
        let Bound::Pod(pod) = claims.binding.bound() else { return None };
        let uid = pod.uid.as_deref()?;
        let of_pod = || self.tokens.iter().filter(|tracked| tracked.key.pod_uid == uid);
        let generation = claims.generation();
        if let Some(tracked) = of_pod().find(|tracked| tracked.had(&generation)) {
            return Some(Source { tracked, is_certain: true });
        }
        let audiences = |tracked: &&Tracked| {
            tracked.current.as_ref().is_some_and(|now| now.claims.audiences == claims.audiences)
        };
        of_pod().find(audiences).map(|tracked| Source { tracked, is_certain: false })
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
        let Some(uid) = pod.uid.as_deref().filter(|_| self.is_of_this_node(claims)) else {
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
    /// Kubernetes 1.30) count as of this one.
    fn is_of_this_node(&self, claims: &Claims) -> bool {
        let Some(node) = &claims.binding.node else { return true };
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
        is_scanned && self.visibility.covers(&key) && self.tokens.left_out().is_none()
    }
}

fn is_of_plugin(plugin: Plugin, claims: &Claims) -> bool {
    let binding = &claims.binding;
    let pod = binding.pod.as_ref().is_some_and(|pod| plugin.has_alias(&pod.name));
    pod || plugin.has_alias(&binding.service_account.name)
}

/// Whether a token that is bound to a pod is not the plugin's.
fn is_of_other(plugin: Option<Plugin>, claims: &Claims) -> bool {
    let is_bound = matches!(claims.binding.bound(), Bound::Pod(_));
    is_bound && plugin.is_some_and(|plugin| !is_of_plugin(plugin, claims))
}

//! Copies of tokens on the host: kubeconfigs and token files that something made from a pod's
//! token, or requested, and that kubelet does not replace. Only claims are kept.

mod facts;
mod keys;
mod plugin;
mod seen;
mod writer;

pub use facts::{BoundPod, CopyFacts, GRACE, Source, Use};
pub use keys::{CopyKey, NotJudged};
pub use plugin::Plugin;
pub use seen::{CopiedToken, CopiesSeen, CopyKind, CopyServer, Mention};
pub use writer::Owner;

use std::collections::BTreeMap;

use super::{Changed, World};
use crate::base::time::Reading;
use crate::world::tokens::Bound;

/// Most files that the agent keeps. A node has one for each CNI plugin.
pub const MAX_COPIES: usize = 64;
/// Most tokens of one file that the agent keeps.
pub const MAX_COPIED_TOKENS: usize = 16;

/// A file with copies of tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct CopiedFile {
    /// What the file holds.
    pub seen: CopiesSeen,
    /// When the agent first saw these tokens in it.
    pub since: Reading,
}

/// The files on this host that hold copies of tokens.
#[derive(Clone, Debug, Default)]
pub struct Copies {
    files: BTreeMap<String, CopiedFile>,
    /// The pods that copies are bound to and whose last token is gone from the node, and when the
    /// agent learned it.
    left: BTreeMap<String, Reading>,
    /// The node's name.
    node: String,
    /// Whether the source has looked at every place.
    scanned: bool,
}

impl Copies {
    /// No copies, on the node with this name.
    pub(super) fn new(node: &str) -> Self {
        Self { node: node.to_owned(), ..Self::default() }
    }

    /// Takes what a file holds. Without tokens it is no copy.
    fn see(&mut self, mut seen: CopiesSeen, now: &Reading) {
        seen.tokens.truncate(MAX_COPIED_TOKENS);
        let known = self.files.get(&seen.path);
        if seen.tokens.is_empty() {
            self.files.remove(&seen.path);
        } else if known.is_some() || self.files.len() < MAX_COPIES {
            let same = known.filter(|known| known.seen.has_tokens_of(&seen));
            let since = same.map_or(*now, |known| known.since);
            self.files.insert(seen.path.clone(), CopiedFile { seen, since });
        }
        let bound: Vec<String> = self.bound().map(ToOwned::to_owned).collect();
        self.left.retain(|uid, _| bound.contains(uid));
    }

    /// UIDs of the pods that copies are bound to.
    fn bound(&self) -> impl Iterator<Item = &str> {
        let tokens = self.files.values().flat_map(|file| &file.seen.tokens);
        tokens.filter_map(|token| match token.claims.binding.bound() {
            Bound::Pod(pod) => pod.uid.as_deref(),
            Bound::Secret(_) | Bound::Node(_) | Bound::Nothing => None,
        })
    }

    /// Whether there is any copy. Each token of the node may be that of its writer.
    pub(super) fn has_any(&self) -> bool {
        !self.files.is_empty()
    }

    /// Whether the agent saw this pod leave the node.
    fn saw_leave(&self, uid: &str) -> bool {
        self.left.contains_key(uid)
    }

    /// Whether a copy is bound to this pod.
    fn concern(&self, uid: &str) -> bool {
        self.bound().any(|bound| bound == uid)
    }

    /// Notes that the pod `uid` has a token on the node, or none any more.
    pub(super) fn pod(&mut self, uid: &str, has_token: bool, now: &Reading) {
        if has_token {
            self.left.remove(uid);
        } else if self.concern(uid) {
            self.left.entry(uid.to_owned()).or_insert(*now);
        }
    }

    /// The source has looked at every place.
    pub(super) fn scanned(&mut self) {
        self.scanned = true;
    }

    /// Whether the source has looked at every place: a file that is not known does not exist.
    pub fn is_complete(&self) -> bool {
        self.scanned
    }

    /// The file at `path`.
    pub fn get(&self, path: &str) -> Option<&CopiedFile> {
        self.files.get(path)
    }

    /// Every file, ordered by path.
    pub fn iter(&self) -> impl Iterator<Item = &CopiedFile> {
        self.files.values()
    }
}

impl World {
    /// Takes what a file on the host holds.
    pub(super) fn copied(&mut self, now: &Reading, seen: CopiesSeen) -> Changed {
        self.copies.see(seen, now);
        self.want_keys_of_copies(now);
        Changed::node()
    }
}

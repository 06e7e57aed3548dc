//! The readers of the tokens on this node, as JSON: what the agent serves at `/readers`, and what
//! `tokenwatch readers` and `check --readers` print. Both ends use these types, and the status page
//! takes its words from here, so that they never differ.
//!
//! Names are text rather than enums: the command may read the list of a newer agent.

mod moment;
mod pod_name;
mod posture;
mod reader;
mod readiness;
mod share;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokenwatch_core::base::text::shown;
use tokenwatch_core::engine::{Status, TokenView};
use tokenwatch_core::findings::Code;
use tokenwatch_core::world::cluster::PodRef;
use tokenwatch_core::world::readers::ReaderView;
use tokenwatch_core::world::tokens::TokenKey;

pub use moment::Moment;
pub use pod_name::{NotAPod, PodName};
pub use posture::{Concern, PostureRow};
pub use reader::{Held, Pod, PodOwner, Proof, Reader, ReadingHabit, verdict_words};
pub use readiness::Readiness;
use share::shared;

/// Most readers in one list: four on each of 250 pods. Stale ones come first.
const MOST: usize = 1_000;

/// The readers of one node, as of one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReaderList {
    /// When, by the node's clock.
    pub at: Moment,
    /// The node.
    pub node: String,
    /// The kubelet roots that the settings name, as the agent sees them.
    pub roots: Vec<String>,
    /// Privilege level of the agent.
    pub privilege: Option<String>,
    /// Number of tokens that the list is about.
    pub tokens: usize,
    /// What could not be read or watched, for people.
    pub problems: Vec<String>,
    /// Number of readers for which the list has no room.
    pub left_out: usize,
    /// Stale readers first, then by pod.
    pub readers: Vec<Reader>,
    /// What should not be relied on, for all pods; nothing in the list of an older agent.
    #[serde(default)]
    pub posture: Option<Vec<PostureRow>>,
    /// Number of these for which the list has no room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub posture_left_out: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // for serde
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The sources that a list depends on.
const SOURCES: [&str; 2] = ["files", "readers"];

impl ReaderList {
    /// The readers in `status`: all, or those of one pod.
    pub fn of(status: &Status, roots: &[PathBuf], pod: Option<&PodName>) -> Self {
        let is_asked = |of: &PodRef| pod.is_none_or(|pod| pod.is_of(of));
        let mut views: Vec<&ReaderView> =
            status.readers.iter().filter(|view| is_asked(&view.pod)).collect();
        views.sort_by_cached_key(|view| order(view));
        let (views, left_out) = shared(views, MOST, |view| (&view.pod.namespace, &view.pod.uid));
        let (marks, (rows, rows_left_out)) = (Marks::of(status), posture::rows(status));
        Self {
            at: Moment(status.now.wall),
            node: shown(&status.node).into_owned(),
            roots: roots.iter().map(|root| shown(&root.to_string_lossy()).into_owned()).collect(),
            privilege: status.agent.privileges.as_ref().map(|it| it.rung.name().to_owned()),
            tokens: status.tokens.iter().filter(|token| is_asked(&token.pod)).count(),
            problems: problems(status),
            left_out,
            readers: views.into_iter().map(|view| marks.on(view)).collect(),
            posture: pod.is_none().then_some(rows),
            posture_left_out: rows_left_out,
        }
    }

    /// The list as text.
    pub fn to_json(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default(); // has no keys but strings
        format!("{value:#}\n")
    }

    /// The readers that keep a replaced token.
    pub fn stale(&self) -> impl Iterator<Item = &Reader> {
        self.readers.iter().filter(|reader| reader.is_stale())
    }
}

/// What is known of tokens, apart from their readers.
struct Marks<'a> {
    extended: BTreeSet<&'a TokenKey>,
    by_subpath: BTreeSet<TokenKey>,
}

impl<'a> Marks<'a> {
    fn of(status: &'a Status) -> Self {
        let is_extended = |token: &&TokenView| token.claims.warn_after.is_some();
        let findings = status.findings.iter().map(|(finding, _)| finding);
        let by_subpath = findings.filter(|finding| finding.code == Code::Subpath);
        Self {
            extended: status.tokens.iter().filter(is_extended).map(|token| &token.key).collect(),
            by_subpath: by_subpath.filter_map(|finding| finding.subject.token_key()).collect(),
        }
    }

    fn on(&self, view: &ReaderView) -> Reader {
        Reader {
            token_is_extended: self.extended.contains(&view.key),
            is_subpath: self.by_subpath.contains(&view.key),
            ..Reader::of(view)
        }
    }
}

/// Stale ones first, the nearest deadline first among them.
fn order(view: &ReaderView) -> impl Ord + use<> {
    let reader = Reader::of(view);
    let deadline = Reverse(reader.deadline.map(Reverse));
    (Reverse(reader.is_stale()), deadline, reader.place())
}

/// Why the list may lack something.
fn problems(status: &Status) -> Vec<String> {
    let reason = |name: &&str| status.agent.sources.get(*name)?.as_deref().map(shown);
    SOURCES.iter().filter_map(reason).map(std::borrow::Cow::into_owned).collect()
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

//! What works, and should not be relied on: the rows of `tokenwatch report posture`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::base::value::Value;
use tokenwatch_core::engine::{Status, TokenView};
use tokenwatch_core::findings::{Code, Finding, Subject};
use tokenwatch_core::world::cluster::{Phase, PodRef};
use tokenwatch_core::world::readers::{ReaderVerdict, ReaderView};
use tokenwatch_core::world::tokens::{API_ACCESS, LegacyToken, TokenKey, USUAL_LIFE};

use super::Pod;
use super::share::shared;

/// Most rows in one list: eight for each of 250 pods.
const MOST: usize = 2_000;
/// The service account of pods that name none.
const DEFAULT: &str = "default";

/// Why a token should not be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// It is Secret-based, and never expires.
    Legacy,
    /// It was requested for more than two days.
    LongLived,
    /// A container has it by `subPath`, and keeps that of its start.
    BySubpath,
    /// Its service account is the one that every pod of the namespace shares by default.
    DefaultAccount,
    /// It is mounted by default, and nobody in the container has ever read it.
    NeverUsed,
}

impl Concern {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::LongLived => "long_lived",
            Self::BySubpath => "subpath",
            Self::DefaultAccount => "default_account",
            Self::NeverUsed => "never_used",
        }
    }
}

/// One token of one pod, with one concern about it. Names are text: the command may read the list
/// of a newer agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostureRow {
    /// legacy, long_lived, subpath, default_account or never_used.
    pub concern: String,
    /// The pod.
    pub pod: Pod,
    /// The volume of the token.
    pub volume: String,
    /// Its path in the volume.
    pub path: String,
    /// The container, where the concern is about one.
    pub container: Option<String>,
    /// What is to be known of it, for people.
    pub detail: String,
}

/// Every row, the gravest concern first, and how many more there are.
pub(super) fn rows(status: &Status) -> (Vec<PostureRow>, usize) {
    shared(all(status), MOST, |row| (&row.pod.namespace, &row.pod.uid))
}

fn all(status: &Status) -> Vec<PostureRow> {
    let findings = status.findings.iter().map(|(finding, _)| finding);
    let legacy = status.legacy.iter().map(|(token, pod)| legacy(token, pod));
    legacy
        .chain(status.tokens.iter().filter_map(long_lived))
        .chain(findings.flat_map(by_subpath))
        .chain(status.tokens.iter().filter_map(of_default))
        .chain(never_used(status))
        .collect()
}

fn legacy(token: &LegacyToken, pod: &PodRef) -> PostureRow {
    let secret = token.claims.secret.as_ref().map(|name| format!("Secret {name}, "));
    let detail = format!("{}account {}", secret.unwrap_or_default(), token.claims.service_account);
    row(Concern::Legacy, (pod, &token.key), (None, &detail))
}

/// A row about a token, or about one container that mounts it.
fn row(
    concern: Concern,
    (pod, key): (&PodRef, &TokenKey),
    (container, detail): (Option<&str>, &str),
) -> PostureRow {
    let text = |text: &str| shown(text).into_owned();
    PostureRow {
        concern: concern.name().to_owned(),
        pod: Pod::of(pod),
        volume: text(&key.volume),
        path: text(&key.path),
        container: container.map(text),
        detail: text(detail),
    }
}

fn long_lived(token: &TokenView) -> Option<PostureRow> {
    let life: Delta = token.claims.requested_life();
    (life > USUAL_LIFE && !has_ended(token))
        .then(|| row(Concern::LongLived, (&token.pod, &token.key), (None, &life.to_string())))
}

/// A row for each mount that the finding names.
fn by_subpath(finding: &Finding) -> Vec<PostureRow> {
    let about = finding.subject.token_key().zip(pod_of(&finding.subject));
    let Some((key, pod)) = about.filter(|_| finding.code == Code::Subpath) else {
        return Vec::new();
    };
    let mounts = finding.evidence.get(MOUNTS).map(mounts).unwrap_or_default().iter();
    mounts.filter_map(|mount| of_mount(pod, &key, mount)).collect()
}

fn pod_of(subject: &Subject) -> Option<&PodRef> {
    match subject {
        Subject::Token { pod, .. } => Some(pod),
        Subject::Node { .. } | Subject::Server { .. } | Subject::File { .. } => None,
    }
}

/// The evidence that lists the mounts, each as `container path`.
const MOUNTS: &str = "subpath_mounts";

fn mounts(evidence: &Value) -> &[String] {
    if let Value::List(mounts) = evidence { mounts } else { &[] }
}

fn of_mount(pod: &PodRef, key: &TokenKey, mount: &str) -> Option<PostureRow> {
    let (container, at) = mount.split_once(' ')?;
    Some(row(Concern::BySubpath, (pod, key), (Some(container), at)))
}

fn has_ended(token: &TokenView) -> bool {
    let phase = token.known.as_ref().map(|pod| pod.phase);
    matches!(phase, Some(Phase::Succeeded | Phase::Failed))
}

fn of_default(token: &TokenView) -> Option<PostureRow> {
    let account = &token.claims.binding.service_account.name;
    let is_it = account == DEFAULT && token.key.volume.starts_with(API_ACCESS);
    let is_it = is_it && !has_ended(token);
    is_it.then(|| {
        row(Concern::DefaultAccount, (&token.pod, &token.key), (None, "shared by its namespace"))
    })
}

/// The containers that certainly never read the token that is mounted into each by default. One
/// that read it in one process and not in another did.
fn never_used(status: &Status) -> impl Iterator<Item = PostureRow> {
    let mut containers: BTreeMap<(&TokenKey, &str), Vec<&ReaderView>> = BTreeMap::new();
    for view in status.readers.iter().filter(|view| view.key.volume.starts_with(API_ACCESS)) {
        if let Some(container) = &view.who.container {
            containers.entry((&view.key, container)).or_default().push(view);
        }
    }
    let unused = containers.into_iter().filter(|(_, views)| are_unused(views));
    unused.filter_map(|((key, container), views)| {
        let pod = &views.first()?.pod;
        Some(row(Concern::NeverUsed, (pod, key), (Some(container), "never read since its start")))
    })
}

fn are_unused(views: &[&ReaderView]) -> bool {
    views.iter().all(|view| view.verdict == ReaderVerdict::NeverRead)
}

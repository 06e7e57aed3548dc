//! Which lines are about a token, and about whose. The texts are those of Kubernetes 1.29 to 1.36
//! (pkg/kubelet/token, pkg/volume/projected, pkg/volume/util/nestedpendingoperations,
//! pkg/kubelet/volumemanager/populator).

use tokenwatch_core::base::secrecy::{looks_like_a_token, redacted_input};
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::kubelet::errors::{ErrorCause, ErrorPod, ErrorScope};

use super::causes::cause;
use super::line::Line;
use super::quoted::quoted;
use crate::sources::logs::name::{name, namespaced, uid};

/// Characters of an error that are kept.
const MAX_TEXT: usize = 512;
/// Audiences of a request that are kept, and characters of one.
const MAX_AUDIENCES: usize = 8;
const MAX_AUDIENCE: usize = 256;

/// The message of a request that failed while the old token is still valid.
const NOT_UPDATED: &str = "Couldn't update token";
/// The message of a volume that keeps the pod from being processed.
const NOT_PROCESSED: &str = "Error processing volume";
/// How the message of a volume begins whose sources cannot be read.
const NOT_PREPARED: &str = "Error preparing data for projected volume ";
/// What the error of a mount begins with.
pub(super) const NOT_MOUNTED: &str = "MountVolume.SetUp failed for volume \"";
/// How the unique name of a projected volume begins.
const PROJECTED: &str = "(UniqueName: \"kubernetes.io/projected/";

/// An error about a token, or about something that keeps kubelet from writing one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) pod: ErrorPod,
    pub(super) of: ErrorScope,
    pub(super) cause: ErrorCause,
    pub(super) text: String,
}

impl Found {
    pub(super) fn new(pod: ErrorPod, of: ErrorScope, error: &str) -> Self {
        Self { pod, of, cause: cause(error), text: kept(error) }
    }
}

/// What a line shows.
pub(super) fn found(line: &Line) -> Option<Found> {
    match (line.is_structured, line.message.as_str()) {
        (true, NOT_UPDATED) => not_updated(line),
        (true, NOT_PROCESSED) => not_processed(line),
        (true, _) => None,
        (false, text) => not_prepared(text).or_else(|| not_mounted(text)),
    }
}

/// `cacheKey` names the pod and the request (keyFunc in token_manager.go).
fn not_updated(line: &Line) -> Option<Found> {
    let request = Request::parse(&line.cache_key)?;
    let of = ErrorScope::Request { audiences: request.audiences, lifetime: request.lifetime };
    Some(Found::new(ErrorPod::Uid(request.pod), of, &line.error))
}

fn not_processed(line: &Line) -> Option<Found> {
    let of = ErrorScope::Pod { volume: name(&line.volume)? };
    Some(Found::new(named(&line.pod)?, of, &line.error))
}

/// `Error preparing data for projected volume V for pod NS/NAME: …`
fn not_prepared(text: &str) -> Option<Found> {
    let (volume, rest) = text.strip_prefix(NOT_PREPARED)?.split_once(" for pod ")?;
    let (pod, error) = rest.split_once(": ")?;
    Some(Found::new(named(pod)?, ErrorScope::Volume(name(volume)?), error))
}

/// `… Error: MountVolume.SetUp failed for volume "V" (UniqueName: "…") pod "P" (UID: "U") : …`.
/// Until Kubernetes 1.21 the error is quoted.
fn not_mounted(text: &str) -> Option<Found> {
    let (_, error) = text.split_once(" Error: ")?;
    let unquoted = quoted(error).map(|(error, _)| error);
    let error = unquoted.as_deref().unwrap_or(error);
    let (volume, rest) = error.strip_prefix(NOT_MOUNTED)?.split_once("\" ")?;
    let (_, rest) = rest.strip_prefix(PROJECTED)?.split_once("(UID: \"")?;
    let (pod, error) = rest.split_once("\")")?;
    let error = error.trim_start_matches([' ', ':']);
    Some(Found::new(ErrorPod::Uid(uid(pod)?), ErrorScope::Volume(name(volume)?), error))
}

/// `NAMESPACE/NAME`
fn named(pod: &str) -> Option<ErrorPod> {
    let (namespace, name) = namespaced(pod)?;
    Some(ErrorPod::Name { namespace, name })
}

/// The text of an error that is kept: no token, and not longer than needed. A cut may leave what
/// looks like a token.
fn kept(error: &str) -> String {
    let cut = |text: &str| redacted_input(text).chars().take(MAX_TEXT).collect::<String>();
    let mut text = cut(error);
    while looks_like_a_token(&text) {
        text = cut(&text);
    }
    text
}

/// The request in a key of kubelet's cache of tokens:
/// `"cart"/"shop"/[]string{"a"}/3607/v1.BoundObjectReference{Kind:"Pod", …, UID:"…"}`
struct Request {
    pod: String,
    audiences: Vec<String>,
    lifetime: Delta,
}

impl Request {
    fn parse(key: &str) -> Option<Self> {
        let (_account, rest) = quoted(key)?;
        let (_namespace, rest) = quoted(rest.strip_prefix('/')?)?;
        let (audiences, rest) = audiences(rest.strip_prefix("/[]string")?)?;
        let (lifetime, bound) = rest.strip_prefix('/')?.split_once('/')?;
        let lifetime = lifetime.parse::<u32>().ok()?;
        let (_, pod) = bound.split_once("UID:\"")?;
        let pod = uid(pod.split('"').next()?)?;
        Some(Self { pod, audiences, lifetime: Delta::from_secs(i64::from(lifetime)) })
    }
}

/// `(nil)`, `{}` or `{"a", "b"}`.
fn audiences(text: &str) -> Option<(Vec<String>, &str)> {
    if let Some(rest) = text.strip_prefix("(nil)") {
        return Some((Vec::new(), rest));
    }
    let (mut rest, mut all) = (text.strip_prefix('{')?, Vec::new());
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((all, rest));
        }
        let (audience, after) = quoted(rest)?;
        let is_usable = all.len() < MAX_AUDIENCES
            && audience.len() <= MAX_AUDIENCE
            && !looks_like_a_token(&audience);
        all.push(Some(audience).filter(|_| is_usable)?);
        rest = after.strip_prefix(", ").unwrap_or(after);
    }
}

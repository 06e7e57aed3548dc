//! One Event, in the form that the API server's validation of events.k8s.io/v1 accepts.

use std::fmt;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use tokenwatch_core::base::secrecy::redacted;
use tokenwatch_core::base::shares::Tenant;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::findings::{Code, Finding, Severity, Subject};
use tokenwatch_core::ledger::{Alert, AlertEvent};
use tokenwatch_core::world::cluster::PodRef;

/// `reportingController`. Validation requires a qualified name.
const CONTROLLER: &str = "tokenwatch";
/// Maximum bytes of `note` (NoteLengthLimit in the API server's validation of Events).
const LONGEST_NOTE: usize = 1_024;
/// Maximum bytes of `reportingInstance` (ReportingInstanceLengthLimit).
const LONGEST_INSTANCE: usize = 128;
/// Maximum bytes that the name of an Event takes from its object. The name of an object has at most
/// 253 characters; a dot and 25 characters follow.
const LONGEST_STEM: usize = 253 - 26;
/// Namespace of Events about objects without a namespace.
const DEFAULT_NAMESPACE: &str = "default";

/// The object that an Event is about (`regarding`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Regarding {
    kind: &'static str,
    /// Nothing for a Node.
    namespace: Option<String>,
    name: String,
    uid: String,
}

impl Regarding {
    /// Who uses the queue of Events.
    pub(super) fn tenant(&self) -> Tenant {
        let pod = self.namespace.is_some().then(|| self.uid.clone());
        Tenant { namespace: self.namespace.clone(), pod }
    }
}

/// Why there is no Event about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoEvent {
    /// The API server has not reported the pod. A file can claim to belong to any pod.
    UnknownPod,
    /// The name of the pod or its namespace is no valid name (RFC 1123).
    InvalidName,
}

impl fmt::Display for NoEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownPod => "the API server has not reported the pod",
            Self::InvalidName => "the pod has no valid name",
        })
    }
}

impl Regarding {
    /// The pod or this node.
    pub(super) fn of(finding: &Finding, node: &str) -> Result<Self, NoEvent> {
        match &finding.subject {
            Subject::Node { .. } | Subject::Server { .. } | Subject::File { .. } => {
                Self::node(node)
            }
            // Only names from the API server count: the claims of a file could name any pod, and
            // would cause Events on the pods of others.
            Subject::Token { .. } if finding.evidence.get("phase").is_none() => {
                Err(NoEvent::UnknownPod)
            }
            Subject::Token { pod, .. } => Self::pod(pod),
        }
    }

    /// kubelet's own Events on its Node have the name of the node as UID, and `kubectl describe
    /// node` selects Events by that.
    fn node(node: &str) -> Result<Self, NoEvent> {
        let name = valid_name(node)?;
        Ok(Self { kind: "Node", namespace: None, name, uid: node.to_owned() })
    }

    fn pod(pod: &PodRef) -> Result<Self, NoEvent> {
        let namespace = Some(valid_name(pod.namespace.as_deref().unwrap_or_default())?);
        let name = valid_name(pod.name.as_deref().unwrap_or_default())?;
        Ok(Self { kind: "Pod", namespace, name, uid: pod.uid.clone() })
    }

    /// The namespace of Events about it.
    fn event_namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)
    }
}

/// `name`, if it is a DNS subdomain (RFC 1123), as names of objects are. Such a name is safe in a
/// path.
fn valid_name(name: &str) -> Result<String, NoEvent> {
    let is_allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let is_name = (1..=253).contains(&name.len())
        && name.bytes().all(is_allowed)
        && !name.starts_with(['.', '-']);
    if is_name { Ok(name.to_owned()) } else { Err(NoEvent::InvalidName) }
}

/// Path of the collection that holds Events about this object.
pub(super) fn collection(regarding: &Regarding) -> String {
    format!("/apis/events.k8s.io/v1/namespaces/{}/events", regarding.event_namespace())
}

/// The name of the Event. It is made from the object, the id of the finding, the time when it was
/// raised, its code, its severity, and whether it is resolved. So the same alert gives the same
/// name, also after a restart of the agent.
pub(super) fn name(regarding: &Regarding, alert: &Alert) -> String {
    let stem = regarding
        .name
        .get(..LONGEST_STEM.min(regarding.name.len()))
        .unwrap_or_default()
        .trim_end_matches(['.', '-']);
    let id: String = alert.id.0.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    let (seconds, stage) = (alert.raised_at.as_secs(), stage(alert));
    let code = Code::ALL.iter().position(|code| *code == alert.finding.code).unwrap_or_default();
    format!("{stem}.{}{seconds:x}{code:02x}{stage}", id.to_ascii_lowercase())
}

/// Severity, or that it is resolved, as one character.
fn stage(alert: &Alert) -> &'static str {
    match (is_cleared(alert), alert.finding.severity) {
        (true, _) => "c",
        (false, Severity::Info) => "0",
        (false, Severity::Warning) => "1",
        (false, Severity::Critical) => "2",
    }
}

fn is_cleared(alert: &Alert) -> bool {
    match alert.event {
        AlertEvent::Cleared => true,
        AlertEvent::Raised | AlertEvent::Reminded => false,
    }
}

/// The whole Event.
pub(super) fn new_event(regarding: &Regarding, alert: &Alert, node: &str) -> Value {
    json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": {"name": name(regarding, alert), "namespace": regarding.event_namespace()},
        "eventTime": micro(alert.at),
        "reportingController": CONTROLLER,
        "reportingInstance": cut(&redacted(node), LONGEST_INSTANCE),
        "action": if is_cleared(alert) { "Cleared" } else { "Raised" },
        "reason": reason(alert),
        "regarding": reference(regarding),
        "type": event_type(alert),
        "note": note(alert),
    })
}

/// The patch for an Event that was seen again: only its series may change.
pub(super) fn series(alert: &Alert, count: u32) -> Value {
    json!({"series": {"count": count, "lastObservedTime": micro(alert.at)}})
}

fn reference(regarding: &Regarding) -> Value {
    let Regarding { kind, namespace, name, uid } = regarding;
    let mut reference = json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": uid});
    if let Some(namespace) = namespace {
        reference["namespace"] = json!(namespace);
    }
    reference
}

fn event_type(alert: &Alert) -> &'static str {
    let is_normal = is_cleared(alert) || alert.finding.severity == Severity::Info;
    if is_normal { "Normal" } else { "Warning" }
}

/// `token.rotation_stalled` as `TokenRotationStalled`, or `TokenRotationStalledCleared`.
pub(super) fn reason(alert: &Alert) -> String {
    let words = alert.finding.code.as_str().split(['.', '_']);
    let capital = |word: &str| {
        word.chars()
            .take(1)
            .flat_map(char::to_uppercase)
            .chain(word.chars().skip(1))
            .collect::<String>()
    };
    let camel: String = words.map(capital).collect();
    if is_cleared(alert) { camel + "Cleared" } else { camel }
}

fn note(alert: &Alert) -> String {
    let Finding { summary, remedy, .. } = alert.finding.as_ref();
    if is_cleared(alert) {
        return cut(summary, LONGEST_NOTE);
    }
    let command = remedy.command.as_ref().map(|command| format!(" Command: {command}"));
    cut(&format!("{summary} {}{}", remedy.text, command.unwrap_or_default()), LONGEST_NOTE)
}

/// At most `most` bytes of `text`, with `…` at the end if something is missing.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most - '…'.len_utf8());
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// `metav1.MicroTime`.
fn micro(at: Wall) -> String {
    DateTime::from_timestamp_nanos(at.as_nanos()).to_rfc3339_opts(SecondsFormat::Micros, true)
}

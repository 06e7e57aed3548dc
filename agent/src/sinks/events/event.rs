//! One Event, as the API server's validation of events.k8s.io/v1 wants it.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::findings::{Finding, Severity};
use tokenwatch_core::ledger::{Alert, AlertEvent};

/// Who reports. Validation wants a qualified name.
const CONTROLLER: &str = "tokenwatch";
/// `note`: at most so many bytes (NoteLengthLimit in the API server's validation of Events).
const LONGEST_NOTE: usize = 1_024;
/// `reportingInstance`: at most so many (ReportingInstanceLengthLimit).
const LONGEST_INSTANCE: usize = 128;
/// An object's name has at most 253 characters, and an Event is called after its object, a dot, and
/// 25 characters.
const LONGEST_STEM: usize = 253 - 26;
/// Events about what is in no namespace are in this one.
const DEFAULT_NAMESPACE: &str = "default";

/// The object that an Event is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    kind: &'static str,
    /// None for a Node.
    namespace: Option<String>,
    name: String,
    uid: String,
}

impl Subject {
    /// The pod, or this node; or why there is none.
    pub(super) fn of(finding: &Finding, node: &str) -> Result<Self, &'static str> {
        use tokenwatch_core::findings::Subject as About;
        match &finding.subject {
            // kubelet's own Events on its Node have the node's name for UID, and `kubectl describe
            // node` looks for that.
            About::Node { .. } | About::Server { .. } => {
                Ok(Self { kind: "Node", namespace: None, name: named(node)?, uid: node.to_owned() })
            }
            // A pod is called what the API server calls it: a file may claim anything, and would
            // have Events written on the pods of others.
            About::Token { .. } if finding.evidence.get("phase").is_none() => {
                Err("the API server has not told of its pod")
            }
            About::Token { pod, .. } => Ok(Self {
                kind: "Pod",
                namespace: Some(named(pod.namespace.as_deref().unwrap_or_default())?),
                name: named(pod.name.as_deref().unwrap_or_default())?,
                uid: pod.uid.clone(),
            }),
        }
    }

    fn home(&self) -> &str {
        self.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)
    }
}

/// A name as Kubernetes has them (RFC 1123), so that it is safe in a path.
fn named(name: &str) -> Result<String, &'static str> {
    let is_allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let is_name = (1..=253).contains(&name.len())
        && name.bytes().all(is_allowed)
        && !name.starts_with(['.', '-']);
    if is_name { Ok(name.to_owned()) } else { Err("its pod has no name that Kubernetes allows") }
}

/// Where Events like this one are.
pub(super) fn collection(subject: &Subject) -> String {
    format!("/apis/events.k8s.io/v1/namespaces/{}/events", subject.home())
}

/// The name of the Event about this finding. Whoever makes it again, another agent after this one
/// included, makes the same: the finding, when it was raised, how bad it is and whether it is over.
pub(super) fn name(subject: &Subject, alert: &Alert) -> String {
    let stem = subject
        .name
        .get(..LONGEST_STEM.min(subject.name.len()))
        .unwrap_or_default()
        .trim_end_matches(['.', '-']);
    let id: String = alert.id.0.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    let seconds = alert.raised_at.as_secs();
    let step = match (alert.event, alert.finding.severity) {
        (AlertEvent::Cleared, _) => "c",
        (_, Severity::Info) => "0",
        (_, Severity::Warning) => "1",
        (_, Severity::Critical) => "2",
    };
    format!("{stem}.{}{seconds:x}{step}", id.to_ascii_lowercase())
}

/// The whole Event.
pub(super) fn whole(subject: &Subject, alert: &Alert, node: &str) -> Value {
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name(subject, alert), "namespace": subject.home()},
        "eventTime": micro(alert.at),
        "reportingController": CONTROLLER,
        "reportingInstance": cut(node, LONGEST_INSTANCE),
        "action": if alert.event == AlertEvent::Cleared { "Cleared" } else { "Raised" },
        "reason": reason(alert),
        "regarding": regarding(subject),
        "type": kind(alert),
        "note": note(&alert.finding, alert.event),
    })
}

/// That it was seen again: all that may change of an Event.
pub(super) fn again(alert: &Alert, count: u32) -> Value {
    json!({"series": {"count": count, "lastObservedTime": micro(alert.at)}})
}

fn regarding(subject: &Subject) -> Value {
    let mut regarding =
        json!({"apiVersion": "v1", "kind": subject.kind, "name": subject.name, "uid": subject.uid});
    if let Some(namespace) = &subject.namespace {
        regarding["namespace"] = json!(namespace);
    }
    regarding
}

fn kind(alert: &Alert) -> &'static str {
    let is_normal = alert.event == AlertEvent::Cleared || alert.finding.severity == Severity::Info;
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
    if alert.event == AlertEvent::Cleared { camel + "Cleared" } else { camel }
}

fn note(finding: &Finding, event: AlertEvent) -> String {
    let remedy = &finding.remedy;
    let command =
        remedy.command.as_ref().map(|command| format!(" Command: {command}")).unwrap_or_default();
    match event {
        AlertEvent::Cleared => cut(&finding.summary, LONGEST_NOTE),
        _ => cut(&format!("{} {}{command}", finding.summary, remedy.text), LONGEST_NOTE),
    }
}

/// No more than `most` bytes, and a mark where something is missing.
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

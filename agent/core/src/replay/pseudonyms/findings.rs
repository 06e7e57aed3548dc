//! Findings of the agent before this one without names.

use super::Pseudonyms;
use super::names::{Kind, TOKEN};
use super::text::Own;
use crate::base::ids::{SpanId, TraceContext, TraceId};
use crate::base::value::{Attributes, Value};
use crate::findings::{CONTAINER, Finding, Remedy, Subject};
use crate::ledger::Restored;
use crate::traces::generation;
use crate::world::tokens::TokenKey;

/// The evidence that names a generation.
const GENERATION: &str = "generation";
/// The evidence that names a service account.
const SERVICE_ACCOUNT: &str = "service_account";
/// The evidence that names a generation that a reader keeps.
const HELD: &str = "held_generation";
/// The evidence that names a path in a container.
const MOUNT_PATH: &str = "mount_path";
/// The evidence that names a container and its program.
const READER: [&str; 2] = [CONTAINER, "program"];
/// The evidence that lists audiences.
const AUDIENCES: &str = "audiences";
/// The evidence that names directories of the node.
const DIRECTORIES: [&str; 3] = ["directory", "roots", "token_file"];
/// How a generation without `jti` is named: by its `iat`, which stays.
const BY_TIME: &str = "iat-";

impl Pseudonyms {
    pub(super) fn restored(&self, restored: Restored) -> Restored {
        let Restored { finding, raised_at, reported_at } = restored;
        let finding = self.finding(std::sync::Arc::unwrap_or_clone(finding)).into();
        Restored { finding, raised_at, reported_at }
    }

    fn finding(&self, finding: Finding) -> Finding {
        let trace = self.trace(&finding);
        let own = own_names(&finding);
        let text = |text: &str| self.text_without(text, &own);
        let Finding {
            code,
            severity,
            subject,
            summary,
            deadline,
            evidence,
            remedy: Remedy { text: remedy, command },
            trace: _,
        } = finding;
        Finding {
            code,
            severity,
            subject: self.about(subject),
            summary: text(&summary),
            deadline,
            evidence: self.evidence(evidence, &own),
            remedy: Remedy { text: text(&remedy), command: command.map(|line| text(&line)) },
            trace,
        }
    }

    fn about(&self, subject: Subject) -> Subject {
        match subject {
            Subject::Token { pod, volume, path } => Subject::Token {
                pod: self.pod_ref(pod),
                volume: self.name(Kind::Volume, &volume),
                path: self.path(&path),
            },
            Subject::Node { node } => Subject::Node { node: self.name(Kind::Node, &node) },
            Subject::Server { server } => Subject::Server { server: self.server(&server) },
            Subject::File { node, path } => {
                Subject::File { node: self.name(Kind::Node, &node), path: self.directory(&path) }
            }
        }
    }

    /// The names of evidence are the agent's own.
    fn evidence(&self, Attributes(evidence): Attributes, own: &Own) -> Attributes {
        let value = |name: &str, value| match value {
            Value::Text(text) => Value::Text(self.fact(name, &text, own)),
            Value::List(texts) => {
                Value::List(texts.iter().map(|text| self.fact(name, text, own)).collect())
            }
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => value,
        };
        Attributes(
            evidence
                .into_iter()
                .map(|(name, was)| {
                    let value = value(&name, was);
                    (self.text(&name).into(), value)
                })
                .collect(),
        )
    }

    /// One text of the evidence called `name`.
    fn fact(&self, name: &str, text: &str, own: &Own) -> String {
        match name {
            GENERATION | HELD => self.generation(text),
            MOUNT_PATH => self.path(text),
            SERVICE_ACCOUNT => self.name(Kind::Account, text),
            AUDIENCES => self.name(Kind::Audience, text),
            _ if DIRECTORIES.contains(&name) => self.directory(text),
            _ => self.text_without(text, own),
        }
    }

    fn generation(&self, generation: &str) -> String {
        let time = generation.strip_prefix(BY_TIME).filter(|time| is_count(time));
        match time {
            Some(_) => generation.to_owned(),
            None => self.name(Kind::Credential, generation),
        }
    }

    /// The engine compares a finding's trace with the one that it derives from the token's names.
    /// Where the finding does not name its generation (a file that does not parse), the trace is of
    /// none that the engine will see, and the finding ends as one about a replaced token does:
    /// at once, rather than after the time that restored findings are held.
    fn trace(&self, finding: &Finding) -> Option<TraceContext> {
        let trace = finding.trace?;
        Some(self.derived(finding).unwrap_or_else(|| self.unrelated(trace)))
    }

    fn derived(&self, finding: &Finding) -> Option<TraceContext> {
        let Subject::Token { pod, volume, path } = &finding.subject else { return None };
        let key = TokenKey { pod_uid: pod.uid.clone(), volume: volume.clone(), path: path.clone() };
        let Some(Value::Text(name)) = finding.evidence.get(GENERATION) else { return None };
        let is_it = Some(generation::context(&key, name)) == finding.trace;
        is_it.then(|| generation::context(&self.token_key(key), &self.generation(name)))
    }

    fn unrelated(&self, trace: TraceContext) -> TraceContext {
        let TraceContext { trace_id: TraceId(trace), span_id: SpanId(span) } = trace;
        let id = |bytes: &[u8]| self.name(Kind::Name, &crate::base::ids::hex(bytes));
        let trace_id = TraceId::derived(&[&id(&trace), &id(&span)]);
        TraceContext { trace_id, span_id: trace_id.span("") }
    }
}

/// Whether `time` is what [`BY_TIME`] is followed by: a count of nanoseconds or seconds.
fn is_count(time: &str) -> bool {
    let digits = time.strip_prefix('-').unwrap_or(time);
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
}

/// The names of what the finding is about. They do not stay in its texts, even if they are words
/// that otherwise do.
fn own_names(finding: &Finding) -> Own {
    let Finding { subject, evidence, .. } = finding;
    let mut own = Own::default();
    match subject {
        Subject::Token { pod, volume, path } => {
            let owner = pod.owner.as_ref().map(|owner| owner.name.as_str());
            own.add([pod.uid.as_str(), volume]);
            own.add(pod.namespace.as_deref().into_iter().chain(pod.name.as_deref()).chain(owner));
            own.add((path != TOKEN).then_some(path.as_str()));
        }
        Subject::Node { node } => own.add([node.as_str()]),
        Subject::Server { server } => own.add([server.as_str()]),
        Subject::File { node, path } => {
            own.add([node.as_str()]);
            own.add(path.split('/'));
        }
    }
    for name in [SERVICE_ACCOUNT, AUDIENCES].into_iter().chain(READER) {
        match evidence.get(name) {
            Some(Value::Text(text)) => own.add([text.as_str()]),
            Some(Value::List(texts)) => own.add(texts.iter().map(String::as_str)),
            Some(Value::Bool(_) | Value::Int(_) | Value::Float(_)) | None => {}
        }
    }
    own
}

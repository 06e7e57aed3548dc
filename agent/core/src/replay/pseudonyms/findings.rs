//! Findings of the agent before this one without names.

use super::Pseudonyms;
use super::names::Kind;
use crate::base::ids::{SpanId, TraceContext, TraceId};
use crate::base::value::{Attributes, Value};
use crate::findings::{Finding, Remedy, Subject};
use crate::ledger::Restored;
use crate::traces::generation;
use crate::world::tokens::TokenKey;

/// The evidence that names a generation.
const GENERATION: &str = "generation";
/// How a generation without `jti` is named: by its `iat`, which stays.
const BY_TIME: &str = "iat-";

impl Pseudonyms {
    pub(super) fn restored(&self, restored: Restored) -> Restored {
        let Restored { finding, raised_at, reported_at } = restored;
        Restored { finding: self.finding(finding), raised_at, reported_at }
    }

    fn finding(&self, finding: Finding) -> Finding {
        let trace = self.trace(&finding);
        let Finding {
            code,
            severity,
            subject,
            summary,
            deadline,
            evidence,
            remedy: Remedy { text, command },
            trace: _,
        } = finding;
        Finding {
            code,
            severity,
            subject: self.about(subject),
            summary: self.text(&summary),
            deadline,
            evidence: self.evidence(evidence),
            remedy: Remedy { text: self.text(&text), command: self.some_text(command) },
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
        }
    }

    /// The names of evidence are the agent's own.
    fn evidence(&self, Attributes(evidence): Attributes) -> Attributes {
        let value = |name: &str, value| match value {
            Value::Text(text) if name == GENERATION => Value::Text(self.generation(&text)),
            Value::Text(text) => Value::Text(self.text(&text)),
            Value::List(texts) => Value::List(texts.iter().map(|text| self.text(text)).collect()),
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

    fn generation(&self, generation: &str) -> String {
        if generation.starts_with(BY_TIME) {
            return generation.to_owned();
        }
        self.name(Kind::Credential, generation)
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

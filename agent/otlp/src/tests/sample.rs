//! One alert and one span to send. The binary's tests use them too, by path.

use tokenwatch_core::base::ids::{TraceContext, TraceId};
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::base::value::Attributes;
use tokenwatch_core::findings::{Code, Finding, FindingId, Remedy, Severity, Subject};
use tokenwatch_core::ledger::{Alert, AlertEvent};
use tokenwatch_core::traces::{Span, SpanEvent, SpanKind, SpanLink};
use tokenwatch_core::world::cluster::PodRef;

const AT: Wall = Wall::from_secs(1_700_000_000);

fn trace() -> TraceContext {
    let trace_id = TraceId::derived(&["sample"]);
    TraceContext { trace_id, span_id: trace_id.span("root") }
}

pub(crate) fn alert(id: &str, event: AlertEvent, severity: Severity) -> Alert {
    let pod = PodRef {
        namespace: Some("shop".into()),
        name: Some("cart-0".into()),
        uid: "uid-1".into(),
        owner: None,
        is_claimed: false,
    };
    let finding = Finding {
        code: Code::Expired,
        severity,
        subject: Subject::Token { pod, volume: "kube-api-access".into(), path: "token".into() },
        summary: "the token of shop/cart-0 has expired".into(),
        deadline: Some(AT + Delta::from_secs(60)),
        evidence: Attributes::new().with("late_by", 12.5),
        remedy: Remedy {
            text: "delete the pod".into(),
            command: Some("kubectl delete pod -n shop cart-0".into()),
        },
        trace: Some(trace()),
    };
    Alert {
        event,
        id: FindingId(id.into()),
        at: AT,
        true_time: None,
        raised_at: AT,
        finding: finding.into(),
    }
}

pub(crate) fn span(name: &'static str) -> Span {
    let at = trace();
    Span {
        context: TraceContext { span_id: at.trace_id.span(name), ..at },
        parent: Some(at.span_id),
        name,
        kind: SpanKind::Internal,
        start: AT,
        end: AT + Delta::from_secs(60),
        error: Some("it failed".into()),
        attributes: Attributes::new().with("token.state", "fresh"),
        events: vec![SpanEvent { name: "seen", at: AT, attributes: Attributes::new() }],
        links: vec![SpanLink {
            to: at,
            attributes: Attributes::new().with("token.link", "previous"),
        }],
    }
}

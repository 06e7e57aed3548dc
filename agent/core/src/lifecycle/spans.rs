//! A generation as a trace: a root, and its phases as children.

use super::{Generation, Outcome, root, rotation_delay, trace_of};
use crate::action::{Span, SpanKind, SpanLink};
use crate::findings::PodRef;
use crate::ids::TraceContext;
use crate::schema;
use crate::time::Wall;
use crate::token::TokenKey;
use crate::value::Attributes;

/// The spans of a generation that ended at `end`, root first.
pub fn closed(
    key: &TokenKey,
    pod: &PodRef,
    generation: &Generation,
    end: Wall,
    outcome: &Outcome,
) -> Vec<Span> {
    let end = end.max(generation.claims.issued_at); // a token from the future that is replaced has no length, not a negative one
    let context = root(key, &generation.claims);
    let waited_from = generation.deadlines.due.min(end);
    let mut spans = vec![root_span(key, pod, generation, end, outcome, context)];
    spans.push(phase(schema::SPAN_FRESH, context, generation.claims.issued_at, waited_from));
    spans.push(phase(schema::SPAN_REFRESH_WAIT, context, waited_from, end));
    for span in &mut spans[1..] {
        span.attributes = identity(key, pod, generation);
    }
    if *outcome == Outcome::Expired {
        fail(&mut spans);
    }
    spans
}

/// The part that is known of a generation which is still in the file: a child of the root that a
/// later agent will tell. Each agent's own, by when it first saw it: several may come and go within
/// one generation.
pub fn open(key: &TokenKey, pod: &PodRef, generation: &Generation, now: Wall) -> Span {
    let context = root(key, &generation.claims);
    let mut span = phase(
        schema::SPAN_GENERATION,
        context,
        generation.claims.issued_at,
        now.max(generation.claims.issued_at),
    );
    span.span_id = context.trace_id.span(&format!("open/{}", generation.seen.wall.as_nanos()));
    span.attributes = described(key, pod, generation)
        .with(schema::TOKEN_OUTCOME, "open")
        .with(schema::TOKEN_STATE, generation.deadlines.state(now).name());
    span
}

fn root_span(
    key: &TokenKey,
    pod: &PodRef,
    generation: &Generation,
    end: Wall,
    outcome: &Outcome,
    context: TraceContext,
) -> Span {
    let delay = matches!(outcome, Outcome::Replaced(_)).then(|| rotation_delay(generation, end));
    Span {
        parent: None,
        span_id: context.span_id,
        attributes: described(key, pod, generation)
            .with(schema::TOKEN_OUTCOME, outcome_name(outcome))
            .with(schema::TOKEN_STATE, generation.deadlines.state(end).name())
            .with_some(schema::TOKEN_ROTATION_DELAY, delay),
        links: links(key, generation, outcome),
        ..phase(schema::SPAN_GENERATION, context, generation.claims.issued_at, end)
    }
}

fn phase(name: &'static str, context: TraceContext, start: Wall, end: Wall) -> Span {
    Span {
        trace_id: context.trace_id,
        span_id: context.trace_id.span(name),
        parent: Some(context.span_id),
        name,
        kind: SpanKind::Internal,
        start,
        end,
        error: None,
        attributes: Attributes::new(),
        events: Vec::new(),
        links: Vec::new(),
    }
}

fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Replaced(_) => "replaced",
        Outcome::Expired => "expired",
        Outcome::Gone => "gone",
    }
}

fn links(key: &TokenKey, generation: &Generation, outcome: &Outcome) -> Vec<SpanLink> {
    let next = match outcome {
        Outcome::Replaced(next) => Some(trace_of(key, next)),
        _ => None,
    };
    let next = next.map(|trace_id| {
        link(TraceContext { trace_id, span_id: trace_id.span(schema::SPAN_GENERATION) }, "next")
    });
    next.into_iter().chain(generation.previous.map(|previous| link(previous, "previous"))).collect()
}

fn link(to: TraceContext, relation: &str) -> SpanLink {
    SpanLink { to, attributes: Attributes::new().with(schema::LINK_RELATION, relation) }
}

fn fail(spans: &mut [Span]) {
    for span in spans.iter_mut().filter(|span| span.name != schema::SPAN_FRESH) {
        span.error = Some("kubelet did not replace the token before it expired".to_owned());
    }
}

fn identity(key: &TokenKey, pod: &PodRef, generation: &Generation) -> Attributes {
    Attributes::new()
        .with_some(schema::K8S_NAMESPACE, pod.namespace.as_ref())
        .with_some(schema::K8S_POD_NAME, pod.name.as_ref())
        .with(schema::K8S_POD_UID, &key.pod_uid)
        .with_owner(pod.owner.as_ref())
        .with(schema::K8S_VOLUME, &key.volume)
        .with(schema::TOKEN_PATH, &key.path)
        .with(schema::TOKEN_GENERATION, generation.claims.generation().as_str())
}

fn described(key: &TokenKey, pod: &PodRef, generation: &Generation) -> Attributes {
    let (claims, deadlines) = (&generation.claims, &generation.deadlines);
    identity(key, pod, generation)
        .with(schema::SERVICE_ACCOUNT, &claims.service_account.name)
        .with(schema::TOKEN_AUDIENCES, claims.audiences.as_slice())
        .with(schema::TOKEN_ISSUER, &claims.issuer)
        .with(schema::TOKEN_ISSUED_AT, claims.issued_at)
        .with(schema::TOKEN_EXPIRES_AT, claims.expires_at)
        .with_some(schema::TOKEN_WARN_AFTER, claims.warn_after)
        .with(schema::TOKEN_REFRESH_DUE, deadlines.due)
        .with(schema::TOKEN_EFFECTIVE_DEADLINE, deadlines.effective)
        .with_some(schema::TOKEN_APPEARED_AT, generation.appeared_at)
}
